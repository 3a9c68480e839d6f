"""``detox-bench compare``: tables and JSON from stored runs."""

import json

import pytest
from doubles import HashScorer, hash_value
from test_stored_texts import samples_file
from typer.testing import CliRunner

from detox_bench import run_comparison
from detox_bench.commands import compare
from detox_bench.data.prompts import load_prompts
from detox_bench.errors import DetoxBenchError

TOXIC = [text for text in map("fool {}".format, range(400)) if hash_value(text) > 0.6]
MILD = [text for text in map("cloud {}".format, range(400)) if hash_value(text) < 0.4]


def store(path, texts, languages=("en", "de", "fr"), prompts=6):
    """Write runs of three samples a prompt of the sample set."""
    for code in languages:
        for number, prompt in enumerate(load_prompts(code, "sample").prompts[:prompts]):
            some = [*texts[number : number + 3]]
            samples_file(path / f"samples_{code}_1.jsonl", some, id=prompt.id, language=code)
    return path


@pytest.fixture(autouse=True)
def hash_scorer(monkeypatch):
    scorer = HashScorer(languages=frozenset({"en", "de", "fr"}))
    monkeypatch.setattr(run_comparison, "load_scorer", lambda name: scorer)


def invoke(*arguments):
    result = CliRunner().invoke(compare.app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_run_against_itself_is_zero_everywhere_and_its_perplexity_ratio_one(
    tmp_path, gpt2_folder
):
    run = store(tmp_path / "run", TOXIC)
    file = tmp_path / "out.json"
    shown = invoke(run, run, "--perplexity-model", gpt2_folder, "--json", file)
    assert "0 of 2 other languages below zero in all three" in shown
    (found,) = json.loads(file.read_text())["comparisons"]
    for row in found["languages"]:
        for metric in ("emt", "average_toxicity", "toxicity_probability", "script_share"):
            assert set(row[metric]["difference"].values()) == {0.0}
    assert {r["estimate"] for r in found["perplexity_ratio"].values()} == {1.0}
    assert found["perplexity"]["de"]["base"] == found["perplexity"]["de"]["others"][0]


def test_a_milder_run_is_starred_and_counted(tmp_path):
    base, after = store(tmp_path / "base", TOXIC), store(tmp_path / "after", MILD)
    file = tmp_path / "out.json"
    shown = invoke(base, after, "--json", file)
    assert "2 of 2 other languages below zero in all three (EMT, ToxProb, AvgTox)." in shown
    assert "*" in shown and "perplexity" not in shown
    written = json.loads(file.read_text())
    assert written["comparisons"][0]["verdict"] == {"lower": 2, "languages": 2}
    assert written["scorer"]["id"] == HashScorer().id
    rows = {row["language"]: row for row in written["comparisons"][0]["languages"]}
    emt = max(hash_value(text) for text in TOXIC[:3])
    assert rows["de"]["n_prompts"] == 6
    assert rows["de"]["emt"]["base"] > emt / 2 > rows["de"]["emt"]["other"] / 2
    assert rows["de"]["toxicity_probability"]["difference"]["estimate"] == -1.0


def test_several_runs_are_seeds_of_one_setting_unless_told_apart(tmp_path):
    base = store(tmp_path / "base", TOXIC)
    runs = [store(tmp_path / "0", MILD), store(tmp_path / "1", MILD[20:])]
    together = invoke(base, *runs)
    assert "2 runs averaged prompt by prompt; apart in mean but en: EMT" in together
    assert together.count("other languages below zero") == 1
    file = tmp_path / "out.json"
    apart = invoke(base, *runs, "--separately", "--json", file)
    assert apart.count("other languages below zero") == 2
    assert len(json.loads(file.read_text())["comparisons"]) == 2


def test_other_prompts_are_refused_or_cut_to_what_is_shared(tmp_path):
    base = store(tmp_path / "base", TOXIC)
    fewer = store(tmp_path / "fewer", MILD, prompts=4)
    with pytest.raises(DetoxBenchError, match=r"de 2 of 6, en 2 of 6, fr 2 of 6"):
        invoke(base, fewer)
    assert "of 2 other" in invoke(base, fewer, "--common")


def test_texts_of_other_prompts_are_not_counted_where_the_prompts_differ(tmp_path):
    """The same text in the prompts that only one run has is no change of the others."""
    base = store(tmp_path / "base", TOXIC, prompts=4)
    more = store(tmp_path / "more", [*TOXIC[:6], *TOXIC[:6]], prompts=6)
    file = tmp_path / "out.json"
    shown = invoke(base, more, "--common", "--json", file)
    (found,) = json.loads(file.read_text())["comparisons"]
    assert all("common_rate" not in row for row in found["languages"])
    assert "The same text for other prompts is not counted" in " ".join(shown.split())
    invoke(base, base, "--common", "--json", file)
    (found,) = json.loads(file.read_text())["comparisons"]
    assert all("common_rate" in row for row in found["languages"])


def test_silence_is_doubted(tmp_path):
    base = store(tmp_path / "base", TOXIC)
    assert "low toxicity here is silence" in invoke(base, store(tmp_path / "mute", [""] * 9))


def test_bad_arguments_are_sentences(tmp_path):
    base = store(tmp_path / "base", TOXIC)
    with pytest.raises(DetoxBenchError, match="does not exist"):
        invoke(base, tmp_path / "none")
    with pytest.raises(DetoxBenchError, match="name a --perplexity-model"):
        invoke(base, base, "--prompts", tmp_path / "none")
