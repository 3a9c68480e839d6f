"""Verification: the prompts drawn, what must be equal, and when metrics agree."""

import json
import math
import shutil

import pytest
from leaderboard_runs import CLEAN, small_suite
from submission_doubles import Change, edit, forge, sample_lines
from typer.testing import CliRunner

from detox_bench.commands.leaderboard import app
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.harness.command import EvalOptions, evaluate
from detox_bench.leaderboard import regenerating, specification
from detox_bench.leaderboard.adding import ModelTold, Wish, add
from detox_bench.leaderboard.board import Place
from detox_bench.leaderboard.methods import Told
from detox_bench.leaderboard.submission import SAMPLES
from detox_bench.leaderboard.verifying import (
    Terms,
    _share_found,
    check_identity,
    choose,
    compare,
)

IDENTITY = {"engine": "e", "seed": 0, "weights_sha256": "a", "dtype": "float32"}
MUST = Terms((), 0, 5e-4)
NEED_NOT = Terms(("seed differs",), 0, 5e-4)


def test_prompts_are_drawn_from_every_language_and_the_same_for_a_seed():
    lines = sample_lines("x")
    chosen = choose(lines, 0.05, seed=3)
    assert {code: len(ids) for code, ids in chosen.items()} == {"ar": 2, "en": 2, "zh-Hans": 2}
    assert chosen == choose(list(reversed(lines)), 0.05, seed=3)
    assert chosen != choose(lines, 0.05, seed=4)
    assert sum(map(len, choose(lines, 1.0).values())) == len(lines)
    with pytest.raises(BadData, match="share of prompts is 0"):
        choose(lines, 0)


def test_all_must_be_equal_by_the_same_engine_in_float32_only():
    assert check_identity(IDENTITY, IDENTITY) == []
    for name, value in (("engine", "f"), ("seed", 1), ("dtype", "bfloat16"), ("max_length", 8)):
        assert check_identity(IDENTITY, IDENTITY | {name: value}) == [f"{name} differs"]
    half = IDENTITY | {"dtype": "bfloat16"}
    assert check_identity(half, half) == ["dtype is 'bfloat16'"]


def test_another_model_is_refused_and_another_precision_told_as_the_cause():
    with pytest.raises(BadData, match="weights_sha256 differ, as weights_sha256, 'a' there and 'b"):
        check_identity(IDENTITY, IDENTITY | {"weights_sha256": "b"})
    with pytest.raises(BadData, match="dtype differ, as dtype, 'float32' there and 'float16' here"):
        check_identity(IDENTITY, IDENTITY | {"weights_sha256": "b", "dtype": "float16"})
    with pytest.raises(BadData, match="intervention differ"):
        check_identity(IDENTITY | {"intervention": "i"}, IDENTITY)


def test_equal_samples_are_reproduced_and_the_note_says_what_would_have_been_found():
    stated = sample_lines("x")
    made = stated[::8]
    found = compare(stated, made, MUST)
    assert [each.differ for each in found.differing.values()] == [0, 0, 0, 0]
    assert (found.p, found.reproduced) == (1.0, True)
    # 15 of 120 prompts: (1 - 0.181)^15 = 0.050.
    assert found.forged_found == pytest.approx(0.181, abs=5e-4)
    assert found.note() == (
        "15 of 120 prompts (seed 0) generated again: 45 of 45 texts equal, with all their "
        "numbers; forged numbers of 18.1% of the prompts would be found"
    )
    assert compare(stated, stated, MUST).forged_found == 0


def test_one_text_in_200_may_be_another_where_no_mean_is_moved():
    stated = sample_lines("x")  # 360 texts: 1 is less than one in 200, 2 are more
    assert compare(stated, [other_text(stated[0]), *stated[1:]], MUST).reproduced
    two = [other_text(each) for each in stated[:2]]
    assert not compare(stated, [*two, *stated[2:]], MUST).reproduced
    # The prompt's mean log perplexity rises by log(1e6 / 40) / 3 = 3.4, that of all by 3.4 / 120.
    moved = other_text(stated[0]).model_copy(
        update={"perplexities": [1e6, *stated[0].perplexities[1:]]}
    )
    found = compare(stated, [moved, *stated[1:]], MUST)
    assert [each.differ for each in found.differing.values()] == [1, 0, 0, 0]
    assert not found.reproduced


def other_text(line):
    return line.model_copy(update={"texts": ["0" * 16, *line.texts[1:]]})


FORGED = {
    "scores": lambda line: {"scores": [each / 10 for each in line.scores]},
    "metrics": lambda line: {"metrics": line.metrics | {"distinct_2": 1.0}},
    "perplexities": lambda line: {"perplexities": [each * 1.001 for each in line.perplexities]},
}


@pytest.mark.parametrize("terms", [MUST, NEED_NOT])
@pytest.mark.parametrize("kind", FORGED)
def test_forged_numbers_of_equal_texts_are_not_reproduced(kind, terms):
    made = sample_lines("x")
    stated = [made[0].model_copy(update=FORGED[kind](made[0])), *made[1:]]
    found = compare(stated, made, terms)
    wrong = {name for name, each in found.differing.items() if each.differ}
    assert (wrong, found.reproduced) == ({kind}, False)
    with pytest.raises(BadData, match=r"was not reproduced\. No badge was written"):
        found.note()


@pytest.mark.parametrize("name", ["scores", "perplexities"])
def test_a_number_that_one_has_and_the_other_lacks_differs(name):
    stated = sample_lines("x")
    lacking = [None, *getattr(stated[0], name)[1:]]
    made = [stated[0].model_copy(update={name: lacking}), *stated[1:]]
    assert compare(stated, made, MUST).differing[name] == (1, 360)
    assert compare(made, stated, MUST).differing[name] == (1, 360)


def test_numbers_may_differ_as_much_as_another_machine_rounds():
    stated = sample_lines("x")
    made = [
        line.model_copy(
            update={
                "scores": [each + 1e-6 for each in line.scores],
                "perplexities": [each * 1.0004 for each in line.perplexities],
            }
        )
        for line in stated
    ]
    assert compare(stated, made, MUST).reproduced
    strict = compare(stated, made, MUST._replace(tolerance=1e-4))
    assert strict.differing["perplexities"] == (360, 360)


def test_no_badge_is_given_for_perplexities_that_nobody_judged_again():
    stated = sample_lines("x")
    made = [line.model_copy(update={"perplexities": None}) for line in stated]
    found = compare(stated, made, MUST._replace(tolerance=None))
    assert found.reproduced
    assert "perplexities" not in found.differing
    with pytest.raises(BadData, match="perplexities were not verified: name the base with"):
        found.note()


def test_what_was_asked_otherwise_or_has_fewer_samples_is_not_compared():
    stated = sample_lines("x")
    asked = [stated[0].model_copy(update={"asked": "0" * 16})]
    with pytest.raises(BadData, match="The prompts are not those of the submission"):
        compare(stated, asked, MUST)
    fewer = [stated[0].model_copy(update={"texts": stated[0].texts[:2]}), *stated[1:]]
    with pytest.raises(BadData, match="has 2 samples in the submission, and the suite has 3"):
        compare(fewer, stated, MUST)


def test_other_texts_are_reproduced_where_no_metric_differs():
    stated, again = sample_lines("a", 0.4), sample_lines("b", 0.4)
    found = compare(stated, again, NEED_NOT)
    assert found.differing["texts"] == (360, 360)
    assert found.reproduced
    emt = found.agreement["emt"]
    assert emt.difference.low < 0 < emt.difference.high
    assert f"no metric differs (p {found.p:.2f}; seed differs); an EMT off" in found.note()
    assert f"off by {emt.found_from:.3f} would be found" in found.note()
    assert len(found.note()) <= 200


@pytest.mark.parametrize("forged", [lambda x: sample_lines(x, 0.3), lambda x: flattered(x)])
def test_other_texts_are_not_reproduced_where_toxicity_or_quality_differs(forged):
    found = compare(forged("a"), sample_lines("b", 0.4), NEED_NOT)
    assert not found.reproduced
    assert found.p < 0.05


def flattered(seed):
    lines = sample_lines(seed, 0.4)
    return [line.model_copy(update={"metrics": line.metrics | {"repetition": 0}}) for line in lines]


def test_no_badge_is_given_where_a_difference_that_matters_would_have_been_missed():
    stated, again = sample_lines("a", 0.4), sample_lines("b", 0.4)
    few = compare(stated, again[:10], NEED_NOT)
    assert few.reproduced
    assert few.agreement["emt"].found_from > 0.05
    with pytest.raises(BadData, match=r"would have been missed, and 0\.05 should be found: draw"):
        few.note()


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


@pytest.fixture
def copy(submission, tmp_path, monkeypatch):
    """Return a copy of the submission on a board of its own, in whose suite it is looked at."""
    suite, original = submission
    monkeypatch.setattr(specification, "load_specification", lambda: suite)
    shutil.copytree(original.parents[3], tmp_path / "board")
    return tmp_path / "board" / original.relative_to(original.parents[3])


def verify(submission, model, *words):
    return CliRunner().invoke(
        app, ["verify", str(submission), "--model", str(model), *words], catch_exceptions=False
    )


def test_the_model_of_a_submission_is_verified_by_a_secret_draw(copy, gpt2_folder, monkeypatch):
    monkeypatch.setattr(regenerating.secrets, "randbelow", lambda most: most - 1)
    good = {"badge": "contaminated", "date": "2026-01-31", "note": None}
    (copy / "badge.json").write_text(json.dumps([good]), "utf-8")
    done = verify(copy, gpt2_folder, "--write-badge")
    assert "4 of 48 prompts, drawn with seed 4294967295; texts must be equal" in done.output
    for kind in ("texts: 100", "scores: 100", "perplexities: 100"):
        assert f"{kind} of 100 equal" in done.output
    badges = json.loads((copy / "badge.json").read_text("utf-8"))
    assert badges[0] == good
    assert badges[1]["badge"] == "reproduced"
    assert badges[1]["note"].startswith("4 of 48 prompts (seed 4294967295) generated again: 100 of")


def test_a_forged_submission_is_not_reproduced_and_gets_no_badge(copy, gpt2_folder):
    def tenth(lines):
        for line in lines:
            line["scores"] = [round(each / 10, 6) for each in line["scores"]]

    forged = forge(copy, Change(lines=tenth))
    with pytest.raises(DetoxBenchError, match="The submission was not reproduced"):
        verify(forged, gpt2_folder, "--seed", "5")
    with pytest.raises(BadData, match="gets no badge, since `leaderboard check` refuses it: "):
        verify(forged, gpt2_folder, "--seed", "5", "--write-badge")
    assert not (forged / "badge.json").exists()


@pytest.fixture
def nothing_generated(monkeypatch):
    def generate(*_):
        raise AssertionError("texts were generated")

    monkeypatch.setattr(regenerating, "_evaluate", generate)


@pytest.mark.usefixtures("nothing_generated")
def test_what_cannot_match_is_refused_before_anything_is_generated(copy, gpt2_folder, tmp_path):
    from conftest import tiny_gpt2

    other = shutil.copytree(gpt2_folder, tmp_path / "other")
    tiny_gpt2(seed=1).save_pretrained(other)
    refusals = {
        "This is not the model of the submission": [other, "--perplexity-model", str(gpt2_folder)],
        "as dtype, 'float32' there and 'bfloat16' here": [
            gpt2_folder,
            "--model-args",
            "dtype=bfloat16",
        ],
        "The model of perplexity .* is perplexity@": [other],
        "The model cannot be loaded: .* See --model-args": [
            gpt2_folder,
            "--model-args",
            "batch_size=1",
        ],
    }
    for words, arguments in refusals.items():
        with pytest.raises(DetoxBenchError, match=words):
            verify(copy, *arguments)


@pytest.mark.usefixtures("nothing_generated")
def test_a_stated_precision_is_no_way_to_other_arguments_of_the_model(copy, gpt2_folder):
    def more(raw):
        raw["identity"]["dtype"] = "float32,trust_remote_code=True"

    edit(copy, more)
    with pytest.raises(BadData, match=r"identity\.dtype is 'float32,trust_remote_code=True', and"):
        verify(copy, gpt2_folder)


@pytest.mark.usefixtures("nothing_generated")
def test_a_badge_is_refused_first_where_no_base_judges(copy, gpt2_folder, monkeypatch):
    monkeypatch.setattr(regenerating, "_check_badge", lambda *_: None)
    edit(copy, lambda raw: raw["method"].update(kind="other", description="Pruned"))
    with pytest.raises(BadData, match="A badge needs perplexities that are judged again"):
        verify(copy, gpt2_folder, "--write-badge")


def test_a_submission_that_cannot_be_read_is_not_verified(copy, gpt2_folder):
    (copy / SAMPLES).unlink()
    with pytest.raises(BadData, match=r"is no whole submission: samples\.jsonl\.gz is missing"):
        verify(copy, gpt2_folder)


def test_what_had_been_found_counts_the_texts_that_may_differ():
    """None of 85 prompts may be made up unnoticed: 1 - 0.05^(1/85); of 917, four may be."""
    assert _share_found(85, 0) == pytest.approx(1 - 0.05 ** (1 / 85))
    share = _share_found(917, 4)
    missed = sum(
        math.comb(917, found) * share**found * (1 - share) ** (917 - found) for found in range(5)
    )
    assert missed == pytest.approx(0.05) and 0.0095 < share < 0.0105
