"""``detox-bench neurons make``: which neurons, for which model, and what is said of them."""

import json
from pathlib import Path

import pytest
from conftest import tiny_gpt2

from detox_bench.commands.neurons_make import make
from detox_bench.errors import DetoxBenchError
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.edit.interventions import BaseModel, read_intervention
from detox_bench.neurons.find.found import FoundNeuron, FoundNeurons
from detox_bench.types import NeuronId


@pytest.fixture
def found(tmp_path):
    rows = tuple(FoundNeuron(NeuronId(1, n), {"auroc": 0.9}, n == 3) for n in (3, 5))
    FoundNeurons(base_model_of(tiny_gpt2(), "gpt2"), "auroc", rows).write(tmp_path / "found.json")
    return str(tmp_path / "found.json")


def test_neurons_by_hand_are_checked_against_the_model(gpt2_folder, tmp_path, capsys):
    output = tmp_path / "new" / "edit.json"
    make(output, "scale", str(gpt2_folder), "0:3,1:7,0:3", value=0.25)
    made = read_intervention(output)
    assert made.neurons == ((0, 3), (1, 7)) and made.values == (0.25, 0.25)
    assert made.base_model == base_model_of(tiny_gpt2(), str(gpt2_folder))
    assert made.sha256 in capsys.readouterr().out
    with pytest.raises(DetoxBenchError, match=r"layers 0 to 1, not 7"):
        make(output, "scale", str(gpt2_folder), "7:0", value=0.25)


def test_a_list_needs_no_model(found, tmp_path):
    make(tmp_path / "edit.json", "aura", found=found, take="all")
    made = read_intervention(tmp_path / "edit.json")
    assert made.neurons == ((1, 3), (1, 5)) and made.values == (0.9, 0.9)
    make(tmp_path / "paper.json", "add", found="paper-mgpt", value=-2.0)
    paper = read_intervention(tmp_path / "paper.json")
    assert len(paper.neurons) == 36 and paper.base_model.fingerprint is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "Say which neurons"),
        ({"neurons": "0:3", "found": "paper-mgpt"}, "Say which neurons"),
        ({"neurons": "0:3", "value": 1.0}, "need the --model"),
        ({"found": "paper-mgpt"}, "needs a --value"),
        ({"found": "none.json", "value": 1.0}, "cannot be read"),
        ({"found": "paper-mgpt", "value": 1.0, "control": "norm"}, "name the model"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path, options, said):
    with pytest.raises(DetoxBenchError, match=said):
        make(tmp_path / "edit.json", "add", **options)


def test_forcing_neurons_of_another_model_is_recorded(gpt2_folder, found, tmp_path):
    content = json.loads(Path(found).read_text())
    content["base_model"]["fingerprint"] = "0" * 16
    (tmp_path / "other.json").write_text(json.dumps(content))
    output = tmp_path / "edit.json"
    options = {"model": str(gpt2_folder), "found": str(tmp_path / "other.json"), "value": 1.0}
    with pytest.raises(DetoxBenchError, match="made for another model"):
        make(output, "add", **options)
    make(output, "add", **options, force=True)
    told = read_intervention(output).provenance
    assert "weights" in told["forced_over"]
    assert BaseModel(**told["found_in"]).fingerprint == "0" * 16


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DetoxBenchError, match="Cannot write"):
        make(tmp_path / "file" / "edit.json", "add", found="paper-mgpt", value=1.0)
