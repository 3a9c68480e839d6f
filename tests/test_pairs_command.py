"""The command ``detox-bench pairs``."""

import json

import pytest
from typer.testing import CliRunner

from detox_bench.commands.pairs import app
from detox_bench.data.preferences import read_pairs

ROW = {"prompt": "The cat", "chosen": " is kind.", "rejected": " is a stupid fool."}


@pytest.fixture
def pairs_file(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (ROW, ROW | {"chosen": ""})))
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception:
        raise result.exception
    return result.output


def test_make_writes_plain_pairs_and_says_what_it_left_out(pairs_file, tmp_path):
    out = tmp_path / "out.jsonl"
    said = run("make", pairs_file, "--output", out, "--same-length")
    assert "1 pairs, 1 left out, 0 filtered" in said
    assert "left out, empty chosen: 1 (in.jsonl, line 2" in said
    (pair,) = read_pairs(out).pairs
    assert (pair.chosen, pair.rejected, pair.complete) == (" is kind.", " is a", False)
    assert "fool" not in said


def test_make_tells_what_a_format_filters_from_what_is_wrong(tmp_path):
    row = {"prompt_text": "a", "unpert_gen_text": "b", "pert_gen_text": "c"}
    path = tmp_path / "in.jsonl"
    rows = (row, row | {"pert_gen_text": "c" * 300})
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    said = run("make", path, "--output", tmp_path / "out.jsonl", "--format", "legacy")
    assert "1 pairs, 0 left out, 1 filtered" in said
    assert "filtered, over 256 characters: 1 (in.jsonl, line 2" in said


def test_make_cuts_by_the_tokens_of_a_model(pairs_file, tmp_path, gpt2_folder):
    out = tmp_path / "out.jsonl"
    run("make", pairs_file, "--output", out, "--tokenizer", gpt2_folder, "--tokens", 5)
    (pair,) = read_pairs(out).pairs
    assert (pair.chosen, pair.rejected) == (" is k", " is a")


def test_sample_writes_a_file_that_check_reads(tmp_path, gpt2_folder):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Hello\nGood day\n")
    out = tmp_path / "out.jsonl"
    said = run(
        *("sample", "--model", gpt2_folder, "--prompts", prompts, "--output", out),
        *("--samples", 30, "--tokens", 6, "--margin", 0.001, "--per-prompt", 3, "--any-language"),
    )
    found = json.loads(run("check", out, "--tokenizer", gpt2_folder, "--json"))
    assert f"Wrote {found['pairs']} pairs" in said
    assert found["groups"][0]["reversed"] == 0
    assert found["groups"][0]["margin"] >= 0.001
    assert (tmp_path / "out.jsonl.run" / "run.json").exists()


def test_check_states_lengths_and_overlap(pairs_file):
    said = run("check", pairs_file, "--scorer", "none")
    assert "overlap unknown. No RTP-LX has been prepared" in said
    assert "length alone tells chosen from rejected" in said
    assert "fool" not in said


def test_check_prints_json_for_machines(pairs_file):
    found = json.loads(run("check", pairs_file, "--json"))
    assert found["pairs"] == 1
    assert found["left_out"] == {"empty chosen": 1}
    assert found["filtered"] == {}
    assert found["groups"][0]["margin"] > 0.3
    assert {each["source"] for each in found["overlaps"]} == {"rtplx", "sample"}


@pytest.mark.parametrize("command", ["make", "sample", "check"])
def test_help_ends_with_two_examples(command):
    said = run(command, "--help")
    assert said.count(f"detox-bench pairs {command}") >= 2
