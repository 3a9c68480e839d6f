"""Scoring stored continuations again: the same numbers as any other way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from doubles import HashScorer, hash_value
from filelock import FileLock
from test_stored_texts import run_folder, samples_file

from detox_bench import rescoring
from detox_bench.errors import BadData, DetoxBenchError
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


def test_prompts_stand_in_the_order_of_the_store(tmp_path):
    for n, code in enumerate(("de", "en", "de")):
        samples_file(tmp_path / "samples_1.jsonl", [f"{n}"], id=f"p{n}", language=code)
    scored = rescore(tmp_path, HashScorer(), tmp_path)
    lines = [json.loads(line) for line in scored.scores.read_text().splitlines()]
    assert [line["prompt_id"] for line in lines] == ["p0", "p1", "p2"]
    assert [line["scores"] for line in lines] == [[hash_value(f"{n}")] for n in range(3)]


def test_two_commands_do_not_write_one_file_at_once(tmp_path):
    run_folder(tmp_path / "run", TEXTS)
    name = f"scores-{HashScorer().id}.jsonl"
    told = pytest.raises(DetoxBenchError, match=r"Another command is writing .*scores-hash")
    with FileLock(tmp_path / f".{name}.lock"), told:
        rescore(tmp_path / "run", HashScorer(), tmp_path)
    assert rescore(tmp_path / "run", HashScorer(), tmp_path).scores.exists()


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from doubles import HashScorer
from detox_bench.rescoring import rescore
class Dying(HashScorer):
    def score(self, texts, language):
        if len(self.calls) == 4:
            os.kill(os.getpid(), 9)
        return super().score(texts, language)
rescore(Path({run!r}), Dying(), Path({run!r}))
"""


def test_a_killed_command_leaves_no_half_result_and_scores_nothing_twice(tmp_path):
    """100 different texts, 8 a call: killed in the fifth, so that 32 are in the cache."""
    texts = [("s", f"p{prompt}", n, f"{prompt} {n}") for prompt in range(20) for n in range(5)]
    run = run_folder(tmp_path / "run", texts)
    program = KILLED.format(tests=str(Path(__file__).parent), run=str(run))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -9
    assert not list(run.glob("scores-*")) and len(list(run.glob(".scores-*.partial"))) == 1
    scorer = HashScorer()
    scored = rescore(run, scorer, run)
    assert sum(map(len, scorer.calls)) == 100 - 32
    lines = [json.loads(line) for line in scored.scores.read_text().splitlines()]
    assert [line["scores"] for line in lines] == [
        [hash_value(f"{prompt} {n}") for n in range(5)] for prompt in range(20)
    ]
    assert not list(run.glob(".scores-*.partial"))
