"""Interventions from lists of neurons, and the controls to compare them with."""

import pytest
import torch
from architecture_models import tiny

from detox_bench.errors import BadIntervention, DetoxBenchError, UnknownName
from detox_bench.modeling.architectures import down_projections, value_vectors
from detox_bench.neurons.edit.controls import CONTROLS, control
from detox_bench.neurons.edit.editing import base_model_of, check_made_for, edited
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.neurons.edit.making import Chosen, Edit, check_found_in, made
from detox_bench.neurons.find.found import read_found
from detox_bench.types import NeuronId

NEURONS = (NeuronId(0, 3), NeuronId(1, 5), NeuronId(1, 7))
CHOSEN = Chosen(NEURONS, dict(zip(NEURONS, (0.9, 0.75, 0.5), strict=True)), {"from": "x"})


@pytest.fixture(scope="module")
def model():
    return tiny("gpt2")


@pytest.fixture(scope="module")
def base(model):
    return base_model_of(model, "tiny")


def test_every_neuron_gets_the_value(base):
    found = made(CHOSEN, Edit("add", -2.0, "generated"), base)
    assert found.neurons == NEURONS and set(found.values) == {-2.0}
    assert found.positions == "generated" and found.provenance["from"] == "x"


def test_aura_takes_each_neuron_s_own_auroc(base):
    assert made(CHOSEN, Edit("aura"), base).values == (0.9, 0.75, 0.5)


@pytest.mark.parametrize("operator", ["add", "set", "scale"])
def test_other_operators_need_a_value(base, operator):
    with pytest.raises(BadIntervention, match=f"'{operator}' needs a --value"):
        made(CHOSEN, Edit(operator), base)


def test_aura_without_aurocs_is_one_sentence(base):
    with pytest.raises(BadIntervention, match="find --by auroc"):
        made(Chosen(NEURONS, {}, {}), Edit("aura"), base)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_as_many_other_neurons_of_the_same_layers(model, base, name):
    found = made(CHOSEN, Edit("aura", control=name, seed=1), base, model)
    assert [each.layer for each in found.neurons] == [0, 1, 1]
    assert not set(found.neurons) & set(NEURONS) and len(set(found.neurons)) == 3
    assert sorted(found.values) == [0.5, 0.75, 0.9]
    assert found.provenance["control"] == name and found.provenance["seed"] == 1
    again = made(CHOSEN, Edit("aura", control=name, seed=1), base, model)
    assert again == found


def test_another_seed_draws_other_neurons():
    drawn = [control("random", NEURONS, None, 100, seed) for seed in (0, 1)]
    assert drawn[0] != drawn[1]


def test_norms_are_matched(model):
    vectors = value_vectors(down_projections(model)[1])
    norms = torch.linalg.vector_norm(vectors, dim=-1)
    (found,) = control("norm", [NeuronId(1, 5)], model, len(norms), 0)
    others = [n for n in range(len(norms)) if n != 5]
    nearest = min(others, key=lambda n: abs(float(norms[n] - norms[5])))
    assert found == NeuronId(1, nearest)
    with pytest.raises(DetoxBenchError, match="name the model"):
        control("norm", NEURONS, None, 24, 0)


def test_where_most_of_a_layer_is_chosen_only_the_values_are_shuffled():
    most = [NeuronId(0, n) for n in range(6)]
    found = control("random", most, None, 8, 0)
    assert len(set(found)) == 6 and set(found) & set(most)


def test_an_unknown_control_is_answered_with_the_nearest(base):
    with pytest.raises(UnknownName, match="Did you mean 'random'"):
        made(CHOSEN, Edit("add", 1.0, control="randon"), base)


def test_the_paper_s_neurons_edit_a_model_of_mgpt_s_shape():
    """24 layers of 8,192 neurons, as ai-forever/mGPT has them; only the width is smaller."""
    model = tiny("gpt2", n_layer=24, n_inner=8192)
    shape = base_model_of(model, "mGPT-shaped")
    listed = read_found("paper-mgpt")
    for take, count in (("sources", 36), ("all", 100)):
        chosen = Chosen(tuple(row.id for row in listed.taken(take)), {}, {})
        edit = made(chosen, Edit("add", -5.0), listed.base_model)
        assert len(edit.neurons) == count and check_made_for(edit, shape) is None
        ids = torch.arange(6)[None]
        with torch.no_grad():
            before = model(ids).logits
            with edited(model, edit):
                assert not torch.allclose(model(ids).logits, before)


def test_neurons_of_another_model_are_refused_unless_forced(base):
    other = BaseModel("other", "gpt2", base.layers, base.neurons, "0" * 16)
    with pytest.raises(DetoxBenchError, match="made for another model"):
        check_found_in(other, base)
    told = check_found_in(other, base, force=True)
    assert "weights" in told["forced_over"] and told["found_in"]["name"] == "other"
    paper = BaseModel("paper", "gpt2", base.layers, base.neurons, None)
    assert check_found_in(paper, base) == {}
