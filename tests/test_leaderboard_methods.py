"""What was done to a model: told as the run was made, or refused before a model is loaded."""

from pathlib import Path

import pytest

from detox_bench.errors import BadData
from detox_bench.leaderboard.methods import Told, method_of
from detox_bench.neurons.edit.interventions import BaseModel, intervention
from detox_bench.run_records import RunRecord
from detox_bench.types import NeuronId

EDIT = intervention(BaseModel("base", "gpt2", 2, 64), "add", [(NeuronId(0, 1), -1.0)])
BASE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def file(tmp_path) -> Path:
    EDIT.write(tmp_path / "edit.json")
    return tmp_path / "edit.json"


def run(used: str | None, weights: str = BASE) -> RunRecord:
    identity = {"weights_sha256": weights} | ({"intervention": used} if used else {})
    return RunRecord(Path("run"), identity=identity)


def test_edited_neurons_of_the_base_are_told_inline(file):
    found = method_of(Told("neurons", intervention=file), run(EDIT.sha256), BASE)
    assert found.intervention == EDIT.as_json()


def test_an_edit_that_the_run_was_not_made_with_is_refused(file):
    told = Told("neurons", intervention=file)
    for used, words in (("0" * 16, "made with 0000"), (None, "made with none")):
        with pytest.raises(BadData, match=f"{words}.*folded into the weights is submitted as"):
            method_of(told, run(used), BASE)


def test_edited_neurons_have_the_weights_of_the_base(file):
    with pytest.raises(BadData, match=r"weights b{16}, and the base on the board has a{16}: "):
        method_of(Told("neurons", intervention=file), run(EDIT.sha256, OTHER), BASE)


@pytest.mark.parametrize("kind", ["base", "dpo"])
def test_an_edit_is_not_called_otherwise(kind):
    with pytest.raises(BadData, match=f"intervention {EDIT.sha256}, and --method is {kind}"):
        method_of(Told(kind), run(EDIT.sha256))


def test_what_was_folded_is_told_as_another_method(file):
    told = Told("other", "Folded into the weights", intervention=file)
    assert method_of(told, run(None, OTHER), BASE).intervention == EDIT.as_json()
    with pytest.raises(BadData, match="made with 0000"):
        method_of(told, run("0" * 16), BASE)


def test_a_recipe_is_short(tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"text: {'x' * 301}", "utf-8")
    with pytest.raises(BadData, match=r"recipe is .*at most 20000 bytes of JSON with texts of at"):
        method_of(Told("dpo", recipe=tmp_path / "recipe.yaml"), run(None))
