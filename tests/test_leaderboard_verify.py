"""Verification: the prompts drawn, what must be equal, and when scores agree."""

import json
import shutil

import pytest
from leaderboard_runs import CLEAN, small_suite
from submission_doubles import sample_lines
from typer.testing import CliRunner

from detox_bench.commands.leaderboard import app
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.harness.command import EvalOptions, evaluate
from detox_bench.leaderboard import specification
from detox_bench.leaderboard.adding import ModelTold, Wish, add
from detox_bench.leaderboard.board import Place
from detox_bench.leaderboard.methods import Told
from detox_bench.leaderboard.submission import Badge
from detox_bench.leaderboard.verifying import check_identity, choose, compare

IDENTITY = {"engine": "e", "seed": 0, "weights_sha256": "a", "dtype": "float32"}


def test_prompts_are_drawn_from_every_language_and_the_same_for_a_seed():
    lines = sample_lines("x")
    chosen = choose(lines, 0.05, seed=3)
    assert {code: len(ids) for code, ids in chosen.items()} == {"ar": 2, "en": 2, "zh-Hans": 2}
    assert chosen == choose(list(reversed(lines)), 0.05, seed=3)
    assert chosen != choose(lines, 0.05, seed=4)
    assert sum(map(len, choose(lines, 1.0).values())) == len(lines)
    with pytest.raises(BadData, match="share of prompts is 0"):
        choose(lines, 0)


def test_texts_must_be_equal_by_the_same_engine_in_float32_only():
    assert check_identity(IDENTITY, IDENTITY)
    for name, value in (("engine", "f"), ("seed", 1), ("dtype", "bfloat16")):
        assert not check_identity(IDENTITY, IDENTITY | {name: value})
    half = IDENTITY | {"dtype": "bfloat16"}
    assert not check_identity(half, half)
    with pytest.raises(BadData, match="weights_sha256 differ, as weights_sha256, 'a' there and 'b"):
        check_identity(IDENTITY, IDENTITY | {"weights_sha256": "b"})
    with pytest.raises(BadData, match="intervention differ"):
        check_identity(IDENTITY | {"intervention": "i"}, IDENTITY)


def test_equal_samples_are_reproduced_and_one_other_text_is_not():
    stated = sample_lines("x")
    made = stated[::7]
    found = compare(stated, made, True, 0)
    assert (found.equal, found.texts, found.p) == (len(made) * 3, len(made) * 3, 1.0)
    assert found.badge().badge == "reproduced"
    other = [made[0].model_copy(update={"texts": ["0" * 16, *made[0].texts[1:]]}), *made[1:]]
    found = compare(stated, other, True, 0)
    assert (found.texts - found.equal, found.reproduced) == (1, False)
    with pytest.raises(BadData, match="was not reproduced"):
        found.badge()
    asked = [made[0].model_copy(update={"asked": "0" * 16})]
    with pytest.raises(BadData, match="The prompts are not those of the submission"):
        compare(stated, asked, True, 0)


def test_other_texts_are_reproduced_where_their_scores_do_not_differ():
    stated, again = sample_lines("x", 0.4), sample_lines("y", 0.4)
    found = compare(stated, again, False, 0)
    assert found.equal == 0
    assert found.reproduced
    assert found.agreement["emt"].difference.low < 0 < found.agreement["emt"].difference.high
    better = compare(sample_lines("x", 0.3), again, False, 0)
    assert not better.reproduced
    # The stated level is 0.1 lower than what the model does.
    assert better.agreement["average_toxicity"].difference.estimate == pytest.approx(0.1, abs=0.02)


@pytest.fixture(scope="module")
def submission(tmp_path_factory, gpt2_folder):
    """Return the submission of a tiny model, evaluated on the packaged prompts."""
    folder = tmp_path_factory.mktemp("verified")
    suite = small_suite(samples=25)
    arguments = ["--model", "detox-hf", "--tasks", "rtplx_toxicity_de,rtplx_toxicity_en"]
    model_args = f"pretrained={gpt2_folder},run_folder={folder / 'run'}"
    evaluate([*arguments, "--model_args", model_args], EvalOptions(prompts="sample", quiet=True))
    wish = Wish(
        Place(folder / "board", "sample", "ngram"),
        ModelTold("some/model"),
        Told("base"),
        CLEAN,
        perplexity_model=str(gpt2_folder),
    )
    return suite, add(folder / "run", wish, suite).folder


def verify(submission, model, *words):
    return CliRunner().invoke(
        app, ["verify", str(submission), "--model", str(model), *words], catch_exceptions=False
    )


def test_the_model_of_a_submission_is_verified_and_another_is_refused(
    submission, gpt2_folder, tmp_path, monkeypatch
):
    from conftest import tiny_gpt2

    suite, original = submission
    monkeypatch.setattr(specification, "load_specification", lambda: suite)
    folder = shutil.copytree(original, tmp_path / "copy")
    done = verify(folder, gpt2_folder, "--seed", "5", "--write-badge")
    assert "4 of 48 prompts, drawn with seed 5: 100 of 100 texts are equal" in done.output
    badge = Badge.model_validate(json.loads((folder / "badge.json").read_text("utf-8")))
    assert badge.note == "4 of 48 prompts (seed 5) generated again: 100 of 100 texts equal, p 1.00"
    other = shutil.copytree(gpt2_folder, tmp_path / "other")
    tiny_gpt2(seed=1).save_pretrained(other)
    with pytest.raises(DetoxBenchError, match="This is not the model of the submission"):
        verify(folder, other)
