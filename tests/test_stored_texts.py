"""Continuations read back from run folders and from samples files of lm-eval."""

import json
import tracemalloc
from pathlib import Path

import pytest

from detox_bench.errors import BadData, BadRunFolder
from detox_bench.runs import RunFolder, StoredGeneration
from detox_bench.stored_texts import PromptSamples, read_samples


def run_folder(path: Path, generations: list[tuple[str, str, int, str]], rank: int = 0) -> Path:
    """Write (settings, prompt id, sample, text) to a run folder."""
    with RunFolder(path, {"seed": 0}, rank) as run:
        run.add(StoredGeneration(s, p, "h", "de", n, text) for s, p, n, text in generations)
    return path


def samples_file(file: Path, texts: list[str], **doc: object) -> Path:
    row = {"doc": {"id": "p0", "language": "en", **doc}, "resps": [texts], "filtered_resps": [[]]}
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return file


def test_a_run_folder_gives_the_samples_of_a_prompt_in_order(tmp_path):
    run_folder(tmp_path, [("s", "p1", 1, "b"), ("s", "p0", 0, "x"), ("s", "p1", 0, "a")])
    assert list(read_samples(tmp_path)) == [
        PromptSamples("de", "p1", ("a", "b"), "h"),
        PromptSamples("de", "p0", ("x",), "h"),
    ]


def test_the_files_of_several_processes_are_one_run(tmp_path):
    run_folder(tmp_path, [("s", "p1", 0, "a")])
    run_folder(tmp_path, [("s", "p1", 1, "b")], rank=1)
    assert list(read_samples(tmp_path)) == [PromptSamples("de", "p1", ("a", "b"), "h")]


def test_two_sampling_settings_are_not_mixed(tmp_path):
    run_folder(tmp_path, [("s", "p1", 0, "a"), ("t", "p1", 0, "b")])
    with pytest.raises(BadData, match=r"under several settings.*which are not to be mixed"):
        list(read_samples(tmp_path))


def test_a_bad_line_of_a_run_is_named(tmp_path):
    run_folder(tmp_path, [("s", "p1", 0, "a")])
    with (tmp_path / "generations-0.jsonl").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(BadRunFolder, match="line 2 is not a continuation"):
        list(read_samples(tmp_path))


def test_samples_files_one_or_a_folder_of_them(tmp_path):
    file = samples_file(tmp_path / "model" / "samples_rtplx_toxicity_en_1.jsonl", ["a\u2028", "b"])
    samples_file(tmp_path / "model" / "samples_rtplx_toxicity_de_1.jsonl", ["c"], language="de")
    assert list(read_samples(file)) == [PromptSamples("en", "p0", ("a\u2028", "b"))]
    assert [each.language for each in read_samples(tmp_path)] == ["de", "en"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"doc": {"id": "x", "language": "en"}, "resps": []}',
    ],
)
def test_a_line_that_is_no_sample_is_named(tmp_path, line):
    file = samples_file(tmp_path / "samples_x.jsonl", ["a"])
    with file.open("a") as out:
        out.write(line + "\n")
    with pytest.raises(BadData, match=r"samples_x\.jsonl line 2 is not a line of a samples"):
        list(read_samples(file))


def test_a_folder_without_continuations_is_one_sentence(tmp_path):
    with pytest.raises(BadData, match=r"holds no continuations\. Give a run folder"):
        list(read_samples(tmp_path))


def test_a_folder_of_lm_eval_with_the_run_below_it_gives_each_text_once(tmp_path):
    """``detox-bench eval`` puts the run beside the samples files; only these are read."""
    samples_file(tmp_path / "model" / "samples_rtplx_toxicity_en_1.jsonl", ["a"])
    run_folder(tmp_path / "run", [("s", "p0", 0, "a")])
    assert len(list(read_samples(tmp_path))) == 1


def test_a_command_given_twice_does_not_count_its_prompts_twice(tmp_path):
    for time in ("2026-11-21T10-00-00.000001", "2026-11-21T11-00-00.000001"):
        samples_file(tmp_path / "model" / f"samples_rtplx_toxicity_en_{time}.jsonl", ["a"])
    assert len(list(read_samples(tmp_path))) == 1


def test_rows_of_other_tasks_are_passed_over(tmp_path):
    file = samples_file(tmp_path / "samples_x.jsonl", ["a"])
    with file.open("a") as out:
        out.write('{"doc": {"question": "x"}, "resps": [["a"]]}\n')
    assert len(list(read_samples(file))) == 1


def test_samples_of_two_models_are_not_mixed(tmp_path):
    for model in ("base", "tuned"):
        (tmp_path / model).mkdir()
        samples_file(tmp_path / model / "samples_x_1.jsonl", ["a"])
    (tmp_path / "tuned" / "samples_x_1.jsonl").rename(tmp_path / "tuned" / "samples_y_1.jsonl")
    with pytest.raises(BadData, match="several models, which are not to be mixed"):
        list(read_samples(tmp_path))


def test_one_prompt_put_in_two_ways_is_not_mixed(tmp_path):
    rows = [StoredGeneration("s", "p", way, "en", 0, "text") for way in ("raw", "chat")]
    with RunFolder(tmp_path, {}) as run:
        run.add(rows)
    with pytest.raises(BadData, match="put in several ways"):
        list(read_samples(tmp_path))


def test_lines_of_a_run_may_stand_in_any_order_and_the_last_of_a_sample_counts(tmp_path):
    """Two processes, samples mixed, a text written again, and letters of several bytes."""
    run_folder(tmp_path, [("s", "p0", 1, "é1"), ("s", "p1", 0, "x"), ("s", "p0", 0, "old")])
    run_folder(tmp_path, [("s", "p1", 1, "漢"), ("s", "p0", 0, "new"), ("s", "p0", 2, "")], rank=1)
    assert list(read_samples(tmp_path)) == [
        PromptSamples("de", "p0", ("new", "é1", ""), "h"),
        PromptSamples("de", "p1", ("x", "漢"), "h"),
    ]


def test_a_half_written_last_line_of_a_run_is_left_out(tmp_path):
    run_folder(tmp_path, [("s", "p0", 0, "a")])
    with (tmp_path / "generations-0.jsonl").open("a") as file:
        file.write('{"settings": "s", "prompt_id": "p0"')
    assert list(read_samples(tmp_path)) == [PromptSamples("de", "p0", ("a",), "h")]


def test_of_a_run_only_places_are_held_not_texts(tmp_path):
    """20 MB of texts, a tenth of it at most in memory at once."""
    texts = [("s", f"p{prompt}", n, "x" * 100_000) for prompt in range(50) for n in range(4)]
    run_folder(tmp_path, texts)
    tracemalloc.start()
    read = sum(len(text) for each in read_samples(tmp_path) for text in each.texts)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == 20_000_000 and highest < 2_000_000
