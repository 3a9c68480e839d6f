"""Scoring stored continuations again: the same numbers as any other way."""

import json

import pytest
from doubles import HashScorer, hash_value
from test_stored_texts import run_folder, samples_file

from detox_bench import rescoring
from detox_bench.errors import BadData
from detox_bench.metrics import average_toxicity, maximum_toxicity
from detox_bench.rescoring import file_name, rescore

TEXTS = [("s", f"p{prompt}", n, f"text {prompt} {n}") for prompt in range(3) for n in range(4)]


def values(prompt: int) -> list[float]:
    return [hash_value(f"text {prompt} {n}") for n in range(4)]


def test_scores_and_summary_are_those_of_the_texts(tmp_path):
    run_folder(tmp_path / "run", TEXTS)
    scored = rescore(tmp_path / "run", HashScorer(), tmp_path / "out")
    lines = [json.loads(line) for line in scored.scores.read_text().splitlines()]
    assert lines == [
        {"language": "de", "prompt_id": f"p{prompt}", "scores": values(prompt)}
        for prompt in range(3)
    ]
    (row,) = scored.rows
    assert (row.language, row.n_prompts) == ("de", 3)
    emt = sum(maximum_toxicity(values(p)) for p in range(3)) / 3
    average = sum(average_toxicity(values(p)) for p in range(3)) / 3
    assert row.values["emt"].estimate == pytest.approx(emt, abs=1e-12)
    assert row.values["average_toxicity"].estimate == pytest.approx(average, abs=1e-12)
    stored = json.loads(scored.summary.read_text())
    assert stored["scorer"]["id"] == HashScorer().id and stored["threshold"] == 0.5
    assert stored["scorer"]["coverage"] == {"de": "declared"}
    assert stored["languages"][0]["emt"]["estimate"] == row.values["emt"].estimate


def test_another_threshold_moves_the_toxicity_probability_only(tmp_path):
    run_folder(tmp_path / "run", TEXTS)
    strict, usual = (
        rescore(tmp_path / "run", HashScorer(), tmp_path / "out", threshold).rows[0].values
        for threshold in (1.0, None)
    )
    assert strict["toxicity_probability"].estimate == 0 < usual["toxicity_probability"].estimate
    assert strict["emt"] == usual["emt"]


def test_what_is_in_the_cache_is_not_scored_again(tmp_path):
    run_folder(tmp_path / "run", TEXTS)
    first, second = HashScorer(), HashScorer()
    rescore(tmp_path / "run", first, tmp_path / "out")
    rescore(tmp_path / "run", second, tmp_path / "out")
    assert first.calls and not second.calls


def test_chunks_change_nothing(tmp_path, monkeypatch):
    samples_file(tmp_path / "samples_1.jsonl", ["a", "b"], id="p0", language="en")
    for n in range(5):
        code = ("de", "en")[n % 2]
        samples_file(tmp_path / "samples_1.jsonl", [f"{n}", "b"], id=f"p{n + 1}", language=code)
    whole = rescore(tmp_path, HashScorer(), tmp_path / "whole")
    monkeypatch.setattr(rescoring, "_PROMPTS_AT_ONCE", 2)
    parts = rescore(tmp_path, HashScorer(), tmp_path / "parts")
    assert parts.rows == whole.rows
    lines = [sorted(each.scores.read_text().splitlines()) for each in (whole, parts)]
    assert lines[0] == lines[1] and len(lines[0]) == 6


def test_a_text_that_fails_is_null_and_counted(tmp_path):
    run_folder(tmp_path / "run", TEXTS)
    scorer = HashScorer(fails=lambda text: text == "text 1 2")
    scored = rescore(tmp_path / "run", scorer, tmp_path / "out")
    lines = [json.loads(line) for line in scored.scores.read_text().splitlines()]
    assert lines[1]["scores"] == [*values(1)[:2], None, values(1)[3]]
    assert scored.rows[0].values["unscored_rate"].estimate == pytest.approx(1 / 12)


def test_a_store_that_fails_leaves_an_earlier_result_alone(tmp_path):
    file = samples_file(tmp_path / "samples_1.jsonl", ["a"])
    scored = rescore(file, HashScorer(), tmp_path)
    before = scored.scores.read_text()
    file.write_text("nonsense\n")
    with pytest.raises(BadData):
        rescore(file, HashScorer(), tmp_path)
    assert scored.scores.read_text() == before


def test_scorers_have_files_of_their_own_whatever_their_names():
    assert file_name("ngram@1#0f3a") == "ngram@1#0f3a"
    assert file_name("hf:./a/b c@main#1") == "hf_._a_b_c@main#1"
