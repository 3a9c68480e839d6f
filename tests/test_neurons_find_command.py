"""``detox-bench neurons find``, ``tokens`` and ``activations`` on a tiny model."""

import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from conftest import tiny_gpt2
from typer.testing import CliRunner

from detox_bench.commands.neurons_find import COMMANDS
from detox_bench.data.prompts import load_prompts
from detox_bench.data.store import content_sha256
from detox_bench.errors import (
    BadData,
    BadIntervention,
    BadRunFolder,
    DetoxBenchError,
    UnknownName,
)
from detox_bench.modeling.loading import load_causal_model
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.find.activations import mean_activations
from detox_bench.neurons.find.found import read_found
from detox_bench.neurons.find.probe_files import Probe, write_probe
from detox_bench.neurons.find.ranking import highest, measure_vectors

VECTOR = np.random.default_rng(0).normal(size=16).astype(np.float32)
app = typer.Typer()
for _name, (_command, _) in COMMANDS.items():
    app.command(_name)(_command)


def invoke(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    write_probe(folder, Probe(VECTOR, True, base_model_of(tiny_gpt2(), "tiny"), {"auc": 0.9}))
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    file = tmp_path_factory.mktemp("texts") / "labelled.jsonl"
    rows = [{"id": f"{n}", "text": f"{n} text", "label": n % 3 == 0} for n in range(24)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture(scope="module")
def found(gpt2_folder, probe, tmp_path_factory):
    """Return the file of the ten highest, and what was printed."""
    file = tmp_path_factory.mktemp("found") / "new" / "found.json"
    shown = invoke(
        *("find", "--model", gpt2_folder, "--probe", probe, "--output", file),
        *("--top", 10, "--limit", 4, "--tokens", 3, "--prompts", "sample", "--device", "cpu"),
    )
    return file, shown


def test_find_ranks_by_cosine_and_marks_what_is_active(found, gpt2_folder):
    file, shown = found
    written = read_found(file)
    loaded = load_causal_model(str(gpt2_folder), "cpu")
    measures = measure_vectors(loaded.model, VECTOR)
    ids = highest(measures.cosines, 10)
    assert [each.id for each in written.neurons] == ids
    asked = load_prompts("en", "sample", "even").prompts[:4]
    means = mean_activations(loaded, ids, [each.text for each in asked], 3).mean(0)
    for each, mean in zip(written.neurons, means, strict=True):
        assert each.measures["cosine"] == pytest.approx(measures.cosines[each.id])
        assert each.measures["norm"] == pytest.approx(measures.norms[each.id])
        assert each.measures["activation"] == pytest.approx(mean, abs=1e-6)
        assert each.source is bool(mean > 0)
    assert written.base_model.difference(base_model_of(tiny_gpt2(), "x")) is None
    settings = written.settings
    assert settings["probe"]["about"] == {"auc": 0.9}
    assert settings["prompts"]["sha256"] == content_sha256((p.id, p.text) for p in asked)
    assert (settings["prompts"]["n"], settings["tokens"], settings["value_vectors"]) == (4, 3, 128)
    sources = sum(bool(each.source) for each in written.neurons)
    assert f"{sources} of 10 are actual sources" in shown
    assert "of 4 prompts (sample even, en)" in " ".join(shown.split())


def test_find_by_auroc_keeps_all_above_a_half_with_both_measures(
    gpt2_folder, probe, labelled, tmp_path
):
    file = tmp_path / "experts.json"
    shown = invoke(
        *("find", "--model", gpt2_folder, "--probe", probe, "--output", file, "--by", "auroc"),
        *("--data", labelled, "--top", "all", "--device", "cpu"),
    )
    written = read_found(file)
    aurocs = [each.measures["auroc"] for each in written.neurons]
    assert aurocs == sorted(aurocs, reverse=True)
    assert min(aurocs) > 0.5
    assert all(set(each.measures) == {"auroc", "cosine", "norm"} for each in written.neurons)
    assert all(each.source is None for each in written.neurons)
    data = written.settings["data"]
    assert (data["n_toxic"], data["n_other"]) == (8, 16)
    assert data["above_half"] == len(aurocs)
    assert f"{len(aurocs)} neurons above 0.5" in shown


def test_find_says_what_is_missing(gpt2_folder, probe, tmp_path):
    arguments = ("find", "--model", gpt2_folder, "--output", tmp_path / "x.json")
    with pytest.raises(DetoxBenchError, match="by cosine needs a probe: --probe"):
        invoke(*arguments)
    with pytest.raises(DetoxBenchError, match="by auroc needs labelled texts: --data"):
        invoke(*arguments, "--by", "auroc")
    with pytest.raises(UnknownName, match="Did you mean 'cosine'"):
        invoke(*arguments, "--by", "cosin")
    with pytest.raises(DetoxBenchError, match="kept by AUROC only"):
        invoke(*arguments, "--probe", probe, "--top", "all")
    with pytest.raises(DetoxBenchError, match=r"--top '1\.5' is no number"):
        invoke(*arguments, "--probe", probe, "--top", "1.5")
    assert not (tmp_path / "x.json").exists()


def test_prompts_that_are_missing_are_missed_before_anything_is_run(
    gpt2_folder, labelled, tmp_path, monkeypatch
):
    monkeypatch.setattr("detox_bench.neurons.find.finding.measure_detectors", None)
    with pytest.raises(BadData, match="No RTP-LX has been prepared"):
        invoke(
            *("find", "--model", gpt2_folder, "--by", "auroc", "--data", labelled),
            *("--output", tmp_path / "x.json", "--prompts", "rtplx"),
        )


def test_a_probe_of_other_weights_is_refused_unless_forced(gpt2_folder, tmp_path):
    model = base_model_of(tiny_gpt2(seed=1), "other")
    write_probe(tmp_path / "probe", Probe(VECTOR, True, model, {}))
    arguments = (
        *("find", "--model", gpt2_folder, "--probe", tmp_path / "probe", "--limit", 1),
        *("--output", tmp_path / "x.json", "--device", "cpu", "--tokens", 1),
        *("--prompts", "sample", "--top", 3),
    )
    with pytest.raises(DetoxBenchError, match=r"another model \(other\): weights .*--force"):
        invoke(*arguments)
    assert "Forced: the probe is of another model" in invoke(*arguments, "--force")
    written = read_found(tmp_path / "x.json")
    assert "weights" in written.settings["probe"]["forced"]
    assert all("activation" in each.measures for each in written.neurons)


@pytest.mark.parametrize("command", ["find", "tokens", "activations", "figure"])
def test_a_place_that_cannot_be_written_is_seen_before_a_model_is_loaded(
    found, probe, tmp_path, command
):
    (tmp_path / "file").write_text("")
    bad, model = tmp_path / "file" / "x.json", ("--model", "none")
    models = ("activations", "none", "none", "--neurons", found[0])
    arguments = {
        "find": ("find", *model, "--probe", probe, "--output", bad),
        "tokens": ("tokens", *model, "--neurons", found[0], "--json", bad),
        "activations": (*models, "--json", bad),
        "figure": (*models, "--figure", bad.with_suffix(".svg")),
    }
    with pytest.raises(BadRunFolder, match="Cannot write to"):
        invoke(*arguments[command])


def test_languages_are_refused_alike(found, gpt2_folder, probe, tmp_path):
    find = ("find", "--model", gpt2_folder, "--probe", probe, "--output", tmp_path / "x.json")
    change = ("activations", gpt2_folder, gpt2_folder, "--neurons", found[0])
    for arguments in (find, change):
        with pytest.raises(DetoxBenchError, match="No language is named"):
            invoke(*arguments, "--language", ",")
    with pytest.raises(DetoxBenchError, match=r"'en,de' is more than one\. Give one: en"):
        invoke(*find, "--language", "en,de")


def test_a_neuron_below_zero_is_no_neuron(found, gpt2_folder, tmp_path):
    content = json.loads(found[0].read_text())
    for column in ("layer", "neuron"):
        row = content["neurons"][0] | {column: -1}
        file = tmp_path / f"{column}.json"
        file.write_text(json.dumps(content | {"neurons": [row]}))
        for command in (
            ("tokens", "--model", gpt2_folder),
            ("activations", gpt2_folder, gpt2_folder, "--language", "en", "--prompts", "sample"),
        ):
            with pytest.raises(BadIntervention, match=f"has {column}s 0 to .*, not -1"):
                invoke(*command, "--neurons", file, "--take", "all", "--device", "cpu")


@pytest.mark.parametrize("settings", [None, [], "x"])
def test_settings_that_are_none_are_a_sentence(found, tmp_path, settings):
    file = tmp_path / "found.json"
    file.write_text(json.dumps(json.loads(found[0].read_text()) | {"settings": settings}))
    with pytest.raises(BadData, match=r"is no file of ranked neurons .*settings are"):
        read_found(file)
    file.write_text("[" * 100_000)
    with pytest.raises(BadData, match="cannot be read as JSON"):
        read_found(file)


def test_a_probe_of_the_wrong_width_is_refused_even_if_forced(gpt2_folder, tmp_path):
    np.save(tmp_path / "wide.npy", np.ones(17, dtype=np.float32))
    with pytest.raises(BadData, match="17 numbers, and the model's hidden size is 16"):
        invoke(
            *("find", "--model", gpt2_folder, "--probe", tmp_path / "wide.npy", "--force"),
            *("--output", tmp_path / "x.json"),
        )


def test_tokens_shows_counts_and_words_only_where_asked(found, gpt2_folder, tmp_path):
    file, out = found[0], tmp_path / "tokens.json"
    arguments = ("tokens", "--model", gpt2_folder, "--neurons", file, "--take", 3, "--top", 257)
    shown = invoke(*arguments, "--json", out)
    # A byte tokenizer has 52 letters among 257 tokens, whatever the vector.
    assert "Latin 20%" in shown
    assert "control: random" in shown
    written = json.loads(out.read_text())
    assert written["chosen"]["scripts"] == written["control"]["scripts"] == {"LATIN": 3 * 52}
    assert '"text"' not in out.read_text()
    assert "[\u0120" not in shown
    assert " Q " not in shown
    everything = invoke(*arguments, "--json", out, "--show-tokens")
    assert " Q " in everything
    assert len(json.loads(out.read_text())["chosen"]["neurons"][0]["tokens"]) == 257


def test_tokens_of_neurons_by_hand(gpt2_folder):
    assert "0:3" in invoke("tokens", "--model", gpt2_folder, "--neurons", "0:3, 1:7")
    with pytest.raises(BadIntervention, match=r"Neuron 2:7: .* has layers 0 to 1, not 2"):
        invoke("tokens", "--model", gpt2_folder, "--neurons", "2:7")
    with pytest.raises(DetoxBenchError, match="made for another model"):
        invoke("tokens", "--model", gpt2_folder, "--neurons", "paper-mgpt")


def test_activations_of_a_model_and_itself(found, gpt2_folder, tmp_path):
    out, figure = tmp_path / "change.json", tmp_path / "change.svg"
    shown = invoke(
        *("activations", gpt2_folder, gpt2_folder, "--neurons", found[0], "--take", "all"),
        *("--language", "en, de,DE", "--limit", 6, "--tokens", 2, "--prompts", "sample"),
        *("--json", out, "--figure", figure, "--device", "cpu"),
    )
    assert "0 of 2 languages below zero" in shown
    written = json.loads(out.read_text())
    assert [row["language"] for row in written["languages"]] == ["de", "en", "mean"]
    assert {row["activation"]["difference"]["high"] for row in written["languages"]} == {0}
    assert [each["n"] for each in written["prompts"]] == [6, 6]
    assert len(written["neurons"]) == 10
    assert figure.stat().st_size > 5000


def test_activations_refuses_neurons_of_other_weights(found, gpt2_folder, tmp_path):
    written = read_found(found[0])
    other = replace(written.base_model, fingerprint="0" * 16)
    file = tmp_path / "other.json"
    replace(written, base_model=other).write(file)
    arguments = (
        *("activations", gpt2_folder, gpt2_folder, "--neurons", file, "--take", 2),
        *("--language", "en", "--limit", 2, "--tokens", 1, "--device", "cpu"),
    )
    with pytest.raises(DetoxBenchError, match="made for another model"):
        invoke(*arguments)
    out = tmp_path / "change.json"
    invoke(*arguments, "--force", "--json", out)
    assert json.loads(out.read_text())["forced"].startswith("weights")
