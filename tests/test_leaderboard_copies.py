"""Copies: told by texts that stand for one prompt alone, in whatever order they stand."""

import gzip
import json
import shutil
from itertools import count
from pathlib import Path

from submission_doubles import Change, badge, forge, model_of, problems

from detox_bench.leaderboard.content import in_sketch, sha256, text_digest
from detox_bench.leaderboard.copies import Sketch, overlap, sketch_of, sketches
from detox_bench.leaderboard.folders import Board, Spot
from detox_bench.leaderboard.submission import SAMPLES, SampleLine


def test_a_copy_under_another_name_is_caught(board):
    copied = board / "submissions" / "thief__mine" / "r" / "x"
    shutil.copytree(model_of(board), copied)

    def rename(raw):
        raw["model"] |= {"name": "thief/mine", "revision": "e" * 40, "weights_sha256": "e" * 64}
        raw["identity"]["weights_sha256"] = "e" * 64

    (found,) = problems(forge(copied, Change(rename)))
    assert found.startswith("100% of the texts that lab__dpo (run ")
    assert found.endswith("for the same prompts: a copy under another name?")


def thief(board: Path, change: Change) -> list[str]:
    """Return what is found of the model's samples, changed, under another name."""
    copied = board / "submissions" / "thief__mine" / "r" / "x"
    shutil.copytree(model_of(board), copied)

    def rename(raw):
        raw["model"] |= {"name": "thief/mine", "revision": "e" * 40, "weights_sha256": "e" * 64}
        raw["identity"]["weights_sha256"] = "e" * 64
        if change.submission:
            change.submission(raw)

    return problems(forge(copied, Change(rename, change.lines)))


def in_another_order(lines):
    """Roll the samples of every prompt; no aggregate is changed by it."""
    for each in lines:
        for name in ("texts", "scores", "perplexities"):
            each[name] = [*each[name][1:], each[name][0]]


def test_a_copy_is_caught_in_whatever_order_its_samples_stand(board):
    (found,) = thief(board, Change(lines=in_another_order))
    assert found.startswith("100% of the texts that lab__dpo (run ")


def test_a_copy_of_what_maintainers_removed_is_none(board):
    """The owner comes after the thief."""
    badge(model_of(board), "removed")
    assert thief(board, Change(lines=in_another_order)) == []


def sketch(*prompts: str) -> Sketch:
    """Return the sketch of prompts whose samples are the letters of a word."""
    ids = (f"sample/en/{n}" for n in count())
    chosen = (each for each in ids if in_sketch(each))
    return sketch_of(
        SampleLine(
            language="en",
            prompt_id=each,
            asked="0" * 16,
            texts=[text_digest(letter.strip("-")) for letter in letters],
            scores=[0.5] * len(letters),
            metrics={},
        )
        for each, letters in zip(chosen, prompts, strict=False)
    )


def test_overlap_by_hand():
    # Own texts, which stand for one prompt alone: a, b, c of the first; e, f of the second. The
    # empty text (-) and d stand for both.
    board = sketch("abcd-", "efdd-")
    assert overlap(board, board) == (1.0, 5)
    assert overlap(sketch("-dcba", "d-dfe"), board) == (1.0, 5)  # in another order
    assert overlap(sketch("dd---", "ddd--"), board) == (0.0, 5)  # common texts tell nothing
    assert overlap(sketch("efdd-", "abcd-"), board) == (0.0, 5)  # for other prompts
    assert overlap(sketch("abxyz", "exyzx"), board) == (3 / 5, 5)
    assert overlap(sketch("abcd-"), board) == (1.0, 3)  # the prompts that both have
    assert overlap(board, sketch("-----", "ddddd", "d----")) == (0.0, 0)  # nothing of its own


def test_a_text_that_stands_twice_must_be_there_twice():
    assert overlap(sketch("abc"), sketch("aab")) == (2 / 3, 3)
    assert overlap(sketch("aab"), sketch("abc")) == (2 / 3, 3)
    assert overlap(sketch("aax"), sketch("aab")) == (2 / 3, 3)


def test_copies_are_told_by_the_first_lines_which_must_be_those_of_the_sketch(board):
    folder = model_of(board)
    packed = (folder / SAMPLES).read_bytes()
    ids = [json.loads(line)["prompt_id"] for line in gzip.decompress(packed).splitlines()]
    chosen = [in_sketch(each) for each in ids]
    assert 0 < sum(chosen) < len(chosen) / 8
    assert chosen == sorted(chosen, reverse=True)
    (_, found), *_ = sketches(Board(board / "submissions"), [Spot(*folder.parts[-3:])])
    assert len(found.keys) == sum(chosen)
    lines = gzip.decompress(packed).splitlines(keepends=True)
    moved = gzip.compress(b"".join([*lines[1:], lines[0]]), mtime=0)
    (folder / SAMPLES).write_bytes(moved)
    found = problems(forge(folder, Change(lambda raw: raw.update(samples_sha256=sha256(moved)))))
    (sentence,) = found
    assert sentence.startswith("The samples are not in the order that `leaderboard add` writes")


def test_one_model_has_one_name(board):
    """The same weights, with the same edit or none, and samples of its own."""
    folder = model_of(board)
    twin = Path(shutil.copytree(folder, board / "submissions" / "lab__twin" / "r" / "x"))

    def fresh(lines):
        for each in lines:
            each["texts"] = [text_digest(f"fresh {text}") for text in each["texts"]]

    def rename(raw):
        raw["model"]["name"] = "lab/twin"

    def rename_and_edit(raw):
        raw["identity"]["intervention"] = "0" * 16
        raw["method"] |= {"kind": "other", "description": "Edited after DPO"}

    twin = forge(twin, Change(rename, fresh))
    (found,) = problems(twin)
    assert found.startswith("Its weights are those of lab__dpo (run ")
    assert problems(forge(twin, Change(rename_and_edit))) == []
