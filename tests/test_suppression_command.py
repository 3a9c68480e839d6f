"""``detox-bench suppression``: tables, JSON, and what it refuses before models are loaded."""

import json

import pytest
from conftest import byte_tokenizer, tiny_gpt2
from test_suppression_texts import prepared, rated
from typer.testing import CliRunner

from detox_bench.commands import suppression
from detox_bench.data.identity import identity_sentences
from detox_bench.errors import BadData, BadRunFolder, DetoxBenchError, UnknownName
from detox_bench.modeling import adapters
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.types import NeuronId


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    tiny_gpt2(seed=1).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    monkeypatch.setattr(adapters, "load_causal_model", lambda *_: pytest.fail("a model was loaded"))


def invoke(*arguments):
    given = [*map(str, arguments), "--device", "cpu"]
    result = CliRunner().invoke(suppression.app, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_without_any_data_it_asks_our_sentences_and_says_what_is_not_there(
    gpt2_folder, other_folder, tmp_path
):
    file = tmp_path / "new" / "out.json"
    shown = invoke(gpt2_folder, other_folder, "--languages", "de,fr", "--limit", 6, "--json", file)
    assert "identity: our harmless sentences" in shown and "flores is not there." in shown
    assert "de German" in shown and "selectivity" not in shown
    written = json.loads(file.read_text())
    assert (written["kind"], written["schema"]) == ("suppression", 1)
    assert list(written["texts"]) == ["identity", "sample"]
    assert set(written["settings"]["not_there"]) == {"flores", "benign", "toxic"}
    identity = written["texts"]["identity"]
    assert [row["language"] for row in identity["languages"]] == ["de", "fr", "mean"]
    assert [row["n_texts"] for row in identity["languages"]] == [6, 6, 12]
    for row in identity["languages"]:
        assert row["difference"]["estimate"] == pytest.approx(row["model"] - row["base"])
        assert row["difference"]["low"] < row["difference"]["estimate"] < row["difference"]["high"]
    assert [row["p_holm"] is None for row in identity["languages"]] == [False, False, True]
    assert written["selectivity"] == {"languages": []}
    assert written["base"]["name"] == gpt2_folder.name and str(tmp_path) not in file.read_text()
    assert {"detox_bench", "torch", "transformers"} <= written["versions"].keys()


def test_a_verdict_line_counts_the_languages_below_zero(gpt2_folder, tmp_path):
    """A head that is scaled up is surer, mostly of the wrong byte: all text becomes less likely."""
    model = tiny_gpt2()
    model.transformer.ln_f.weight.data *= 4
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    shown = invoke(gpt2_folder, tmp_path, "--texts", "identity", "--languages", "de,ja")
    assert "identity: less likely than before in 2 of 2 languages: de, ja." in shown
    assert "*" in shown
    back = invoke(tmp_path, gpt2_folder, "--texts", "identity", "--languages", "de,ja")
    assert "identity: less likely than before in 0 of 2 languages." in back


def test_an_edit_of_the_base_needs_no_second_model_and_selectivity_pairs_prompts(
    gpt2_folder, tmp_path
):
    prepared(tmp_path / "data", DE=[rated(2 * n, f"prompt {n} de", 5) for n in range(6)])
    edit = tmp_path / "edit.json"
    made = intervention(base_model_of(tiny_gpt2(), "t"), "add", [(NeuronId(0, 3), 2.0)])
    made.write(edit)
    file = tmp_path / "out.json"
    options = ("--texts", "benign", "--texts", "toxic", "--languages", "de,ru", "--json", file)
    shown = invoke(gpt2_folder, "--intervention", edit, *options)
    assert "(edited)" in shown and "benign has no ru." in shown and "selectivity" in shown
    written = json.loads(file.read_text())
    assert written["model"]["intervention"] == made.sha256
    assert written["texts"]["toxic"]["missing"] == ["ru"]
    (row,) = written["selectivity"]["languages"]
    benign, toxic = (
        written["texts"][kind]["languages"][0]["difference"]["estimate"]
        for kind in ("benign", "toxic")
    )
    assert (row["benign"], row["toxic"]) == pytest.approx((benign, toxic))
    assert row["difference"]["estimate"] == pytest.approx(toxic - benign)


def test_few_texts_are_told_to_be_few(gpt2_folder, other_folder):
    options = ("--texts", "identity", "--languages", "en", "--limit", 2)
    shown = invoke(gpt2_folder, other_folder, *options)
    assert "Intervals over fewer than 5 texts say nothing." in shown
    assert identity_sentences("en")[0].text not in shown


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ((), DetoxBenchError, "Name a MODEL, or an adapter"),
        (("other", "--texts", "bening"), UnknownName, "Did you mean 'benign'"),
        (("other", "--texts", "benign"), BadData, "Run `detox-bench data rtplx SOURCE`"),
        (("other", "--languages", "xx"), UnknownName, "language 'xx'"),
        (("other", "--languages", "fi"), BadData, "There is no text in fi"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(arguments, error, told, nothing_is_loaded):
    with pytest.raises(error, match=told):
        invoke("base", *arguments)


def test_a_file_that_cannot_be_written_is_told_first(tmp_path, nothing_is_loaded):
    with pytest.raises(BadRunFolder, match="is a folder"):
        invoke("base", "other", "--json", tmp_path)
