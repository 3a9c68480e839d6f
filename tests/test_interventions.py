"""Intervention files: what is in them, and what is refused."""

import json
import math

import pytest

from detox_bench.errors import BadData, BadIntervention, DetoxBenchError, UnknownName
from detox_bench.neurons.edit.interventions import (
    BaseModel,
    intervention,
    parse_neurons,
    read_intervention,
)
from detox_bench.neurons.edit.operators import OPERATORS, Affine
from detox_bench.neurons.find.found import FoundNeuron, FoundNeurons, read_found
from detox_bench.types import NeuronId

MODEL = BaseModel("tiny", "gpt2", layers=2, neurons=8, fingerprint="0123456789abcdef")
EDITS = [(NeuronId(1, 7), 0.25), (NeuronId(0, 3), 0.5)]


def test_a_file_holds_all_that_the_edit_is(tmp_path):
    made = intervention(MODEL, "scale", EDITS, "generated", {"by": "hand"})
    made.write(tmp_path / "deep" / "edit.json")
    assert read_intervention(tmp_path / "deep" / "edit.json") == made
    assert made.neurons == ((0, 3), (1, 7)) and made.values == (0.5, 0.25)
    assert made.by_layer() == {0: [(3, Affine(0.5, 0))], 1: [(7, Affine(0.25, 0))]}


def test_the_hash_is_of_what_the_edit_does_and_not_of_where_it_comes_from():
    one = intervention(MODEL, "scale", EDITS, provenance={"by": "hand"})
    renamed = BaseModel("other name", *list(vars_of(MODEL).values())[1:])
    assert one.sha256 == intervention(renamed, "scale", EDITS[::-1]).sha256
    others = [
        intervention(MODEL, "add", EDITS),
        intervention(MODEL, "scale", EDITS[:1]),
        intervention(MODEL, "scale", EDITS, "generated"),
    ]
    assert one.sha256 not in {each.sha256 for each in others}


def vars_of(model):
    return {name: getattr(model, name) for name in model.__slots__}


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([(NeuronId(2, 0), 1.0)], "layers 0 to 1, not 2"),
        ([(NeuronId(0, 8), 1.0)], "neurons 0 to 7, not 8"),
        ([(NeuronId(0, -1), 1.0)], "neurons 0 to 7, not -1"),
        ([(NeuronId(0, 1), math.nan)], "is nan. Give a finite number"),
        ([(NeuronId(0, 1), math.inf)], "is inf"),
        ([(NeuronId(0, 1), 1.0), (NeuronId(0, 1), 2.0)], "given twice, with 1 and 2"),
        ([], "names no neuron"),
    ],
)
def test_what_cannot_be_edited_is_refused(edits, said):
    with pytest.raises(BadIntervention, match=said):
        intervention(MODEL, "add", edits)


def test_one_neuron_given_twice_alike_is_one():
    assert len(intervention(MODEL, "add", [*EDITS, EDITS[0]]).neurons) == 2


def test_names_are_answered_with_the_nearest():
    with pytest.raises(UnknownName, match=r"Unknown operator 'scael'\. Did you mean 'scale'\?"):
        intervention(MODEL, "scael", EDITS)
    with pytest.raises(UnknownName, match="Did you mean 'generated'"):
        intervention(MODEL, "add", EDITS, "generate")


def test_aura_takes_aurocs_only():
    with pytest.raises(BadIntervention, match="an AUROC: 0 to 1"):
        intervention(MODEL, "aura", [(NeuronId(0, 0), 1.5)])


@pytest.mark.parametrize(
    ("name", "value", "activation", "edited"),
    [
        ("add", -2.0, 3.0, 1.0),
        ("set", -2.0, 3.0, -2.0),
        ("scale", 0.25, 3.0, 0.75),
        ("aura", 0.75, 3.0, 1.5),  # 2 (1 - 0.75) = 1/2
        ("aura", 0.4, 3.0, 3.0),  # no expert
        ("aura", 1.0, 3.0, 0.0),  # a perfect one
    ],
)
def test_operators(name, value, activation, edited):
    factor, offset = OPERATORS[name].affine(value)
    assert factor * activation + offset == edited


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 9}, "schema 9"),
        ({"edits": [[0, 3]]}, "is not an intervention"),
        ({"edits": [[0.5, 3, 1.0]]}, "is not layer, neuron, value"),
        ({"edits": [[0, 3, "much"]]}, "is not an intervention"),
        ({"edits": [[0, 3, 1.0], [0, 3, 2.0]]}, "given twice"),
        ({"base_model": {"name": "x"}}, "is not an intervention"),
        ({"operator": "sett"}, "Did you mean 'set'"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path, change, said):
    file = tmp_path / "edit.json"
    file.write_text(json.dumps({**intervention(MODEL, "add", EDITS).as_json(), **change}))
    with pytest.raises(DetoxBenchError, match=said):
        read_intervention(file)


def test_a_file_that_is_no_json_or_not_there_is_one_sentence(tmp_path):
    (tmp_path / "edit.json").write_text("{")
    for name in ("edit.json", "none.json"):
        with pytest.raises(BadIntervention, match="cannot be read as JSON"):
            read_intervention(tmp_path / name)


def test_nan_in_a_file_is_refused(tmp_path):
    file = tmp_path / "edit.json"
    text = json.dumps(intervention(MODEL, "add", EDITS).as_json())
    file.write_text(text.replace("0.25", "NaN"))
    with pytest.raises(BadIntervention, match="finite"):
        read_intervention(file)


def test_neurons_are_written_layer_colon_neuron():
    assert parse_neurons(" 0:3, 1:7,") == [(0, 3), (1, 7)]
    assert str(NeuronId(3, 17)) == "3:17"
    for wrong in ("3", "3:", "a:1", "1:-2", "1:2:3"):
        with pytest.raises(BadIntervention, match="is no neuron"):
            parse_neurons(wrong)


def test_the_paper_s_neurons_are_in_the_package():
    """arXiv 2406.16235: 100 potential sources, 36 actual ones; Table 4 misprints 3:3173."""
    found = read_found("paper-mgpt")
    assert (len(found.taken("all")), len(found.taken("sources"))) == (100, 36)
    assert found.taken("1")[0].id == (13, 2337) and found.taken("sources")[-1].id == (14, 7052)
    ids = {each.id for each in found.taken("sources")}
    assert NeuronId(3, 3173) in ids and NeuronId(3, 3137) not in ids
    assert (found.base_model.layers, found.base_model.neurons) == (24, 8192)


def test_found_neurons_are_read_as_written(tmp_path):
    rows = (
        FoundNeuron(NeuronId(0, 1), {"cosine": 0.5, "activation": 0.1}, True),
        FoundNeuron(NeuronId(1, 2), {"cosine": 0.25}),
    )
    found = FoundNeurons(MODEL, "cosine", rows, {"top": 2})
    found.write(tmp_path / "found.json")
    assert read_found(tmp_path / "found.json") == found
    assert found.taken("sources") == rows[:1]


@pytest.mark.parametrize("take", ["0", "3", "-1", "few"])
def test_more_than_there_is_cannot_be_taken(take):
    found = FoundNeurons(MODEL, "cosine", (FoundNeuron(NeuronId(0, 1), {}),) * 2)
    with pytest.raises(DetoxBenchError, match="of 2 neurons cannot be taken"):
        found.taken(take)
    with pytest.raises(DetoxBenchError, match="None of the 2 neurons is an actual source"):
        found.taken("sources")


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1}', '{"schema": 2}'])
def test_a_damaged_list_of_neurons_is_one_sentence(tmp_path, content):
    file = tmp_path / "found.json"
    file.write_text(content)
    with pytest.raises(BadData):
        read_found(file)
