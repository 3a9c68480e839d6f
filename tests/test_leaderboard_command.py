"""``detox-bench leaderboard add`` and ``export`` as a user types them."""

import json
from pathlib import Path

import pytest
from leaderboard_runs import everyday, make_run, small_suite
from typer.testing import CliRunner

from detox_bench.commands.leaderboard import app
from detox_bench.errors import DetoxBenchError
from detox_bench.leaderboard import specification

SUITE = small_suite(samples=2)


@pytest.fixture
def ready(tmp_path, monkeypatch, gpt2_folder) -> Path:
    """Return a folder with the runs of a base and of a model made from it."""
    monkeypatch.setattr(specification, "load_specification", lambda: SUITE)
    make_run(tmp_path / "base", SUITE, everyday(0), "a" * 64, str(gpt2_folder))
    make_run(tmp_path / "after", SUITE, everyday(1), "b" * 64)
    return tmp_path


def run(folder: Path, words: str) -> str:
    arguments = [word.replace("@", str(folder)) for word in words.split()]
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def test_from_two_runs_to_a_board_and_a_model_card(ready):
    options = "--board @/board --list sample --not-contaminated"
    first = run(ready, f"add @/base --method base --model some/base {options}")
    assert "some/base on list sample" in first
    (ready / "recipe.yaml").write_text("recipe: modern\nbeta: 0.1\n", "utf-8")
    second = run(
        ready,
        "add @/after --method dpo --recipe @/recipe.yaml --model some/after --base @/base "
        f"{options}",
    )
    (folder,) = (ready / "board").glob("submissions/some__after/local-bbbbbbbbbbbb/*")
    assert f"leaderboard check {folder}" in second
    found = json.loads((folder / "submission.json").read_text("utf-8"))
    assert found["method"]["recipe"] == {"recipe": "modern", "beta": 0.1}
    assert found["contamination"] == {"rtplx": False, "jigsaw": False, "ptp": False, "note": None}
    card = ready / "card.md"
    told = run(ready, f"export {folder} --to model-card --output {card}")
    assert str(card) in told and "## Toxicity" in card.read_text("utf-8")


def test_nothing_declared_is_refused_before_anything_is_read(ready):
    with pytest.raises(DetoxBenchError, match="Say what the model was trained on"):
        run(ready, "add @/nowhere --method base --model some/base --board @/board")


def test_a_reference_row_needs_no_model_and_no_declaration(ready):
    run(ready, "add @/base --method base --model some/base --board @/board --list sample "
               "--not-contaminated")  # fmt: skip
    told = run(ready, "add @/base --reference all --board @/board --list sample")
    assert told.count("Submission: ") == 5
    names = {path.name for path in (ready / "board" / "submissions").iterdir()}
    assert {"reference__says-nothing", "reference__random-words", "some__base"} <= names


def test_what_is_no_submission_cannot_be_exported(ready):
    with pytest.raises(DetoxBenchError, match="is no submission"):
        run(ready, "export @/base --to model-card --output @/card.md")


def test_the_help_names_every_format_and_ends_with_examples():
    told = CliRunner().invoke(app, ["export", "--help"]).output
    assert "every-eval-ever" in told and "Examples" in told
