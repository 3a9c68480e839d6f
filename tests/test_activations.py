"""Mean activations over greedily decoded tokens, against one pass after the other."""

import math

import numpy as np
import pytest
import torch
from architecture_models import tiny
from conftest import byte_tokenizer, tiny_gpt2

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.architectures import ARCHITECTURES, down_projections
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.neurons.find.activations import mean_activations
from detox_bench.types import NeuronId

NEURONS = [NeuronId(1, 5), NeuronId(0, 3), NeuronId(1, 2), NeuronId(0, 3)]
TEXTS = ["prompt 0 en", "p", "twenty characters ok"]


def loaded_of(model):
    return LoadedModel("tiny", model, byte_tokenizer())


def keep(seen, name):
    return lambda _, args: seen.__setitem__(name, args[0])


def one_by_one(model, text, new_tokens, stops):
    """Return each neuron's activations ``(steps, n_neurons)``: whole passes, no cache, no batch."""
    ids, found = list(byte_tokenizer()(text)["input_ids"]), []
    for _ in range(new_tokens):
        seen = {}
        hooks = [
            each.register_forward_pre_hook(keep(seen, n))
            for n, each in enumerate(down_projections(model))
        ]
        with torch.no_grad():
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        for hook in hooks:
            hook.remove()
        last = {n: each.reshape(len(ids), -1)[-1] for n, each in seen.items()}
        found.append([float(last[each.layer][each.neuron]) for each in NEURONS])
        ids.append(token)
        if token in stops:
            break
    return np.array(found)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_they_are_the_means_of_what_single_passes_show(model_type):
    """In a padded batch with a cache, in every architecture."""
    model = tiny(model_type)
    found = mean_activations(loaded_of(model), NEURONS, TEXTS, 5)
    assert found.dtype == np.float32
    assert found.shape == (3, 4)
    stops = loaded_of(model).stop_tokens
    wanted = [one_by_one(model, text, 5, stops).mean(0) for text in TEXTS]
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_steps_count_up_to_the_one_that_makes_the_stop_token():
    model = tiny_gpt2()
    every = one_by_one(model, TEXTS[0], 6, ())
    loaded = loaded_of(model)
    ids = loaded.tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    made = model.generate(ids, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
    tokens = made[0, ids.shape[1] :].tolist()
    model.generation_config.eos_token_id = tokens[2]
    steps = tokens.index(tokens[2]) + 1  # the step that makes it is counted
    (found,) = mean_activations(loaded, NEURONS, TEXTS[:1], 6)
    np.testing.assert_allclose(found, every[:steps].mean(0), atol=1e-5)
    assert not np.allclose(found, every.mean(0), atol=1e-5)


def test_the_pass_over_the_prompt_is_the_first_step():
    model = tiny_gpt2()
    (found,) = mean_activations(loaded_of(model), NEURONS, TEXTS[:1], 1)
    np.testing.assert_allclose(found, one_by_one(model, TEXTS[0], 1, ())[0], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_the_batch_does_not_matter(batch_size):
    loaded = loaded_of(tiny_gpt2())
    found = mean_activations(loaded, NEURONS, TEXTS, 8, batch_size)
    np.testing.assert_allclose(found, mean_activations(loaded, NEURONS, TEXTS, 8), atol=1e-5)


def test_under_an_edit_the_edited_activations_are_read():
    model = tiny_gpt2()
    base = base_model_of(model, "tiny")
    edit = intervention(base, "set", [(NeuronId(0, 3), 0.75), (NeuronId(1, 2), -2.0)])
    with edited(model, edit):
        found = mean_activations(loaded_of(model), NEURONS, TEXTS, 4)
    assert set(found[:, 1]) == set(found[:, 3]) == {0.75}
    assert set(found[:, 2]) == {-2.0}
    assert len(set(found[:, 0])) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_activations_that_are_no_numbers_are_refused(value):
    model = tiny_gpt2()
    down_projections(model)[1].register_forward_pre_hook(lambda _, args: (args[0] * value,))
    with pytest.raises(DetoxBenchError, match=r"activations are not finite numbers.*bfloat16"):
        mean_activations(loaded_of(model), NEURONS, TEXTS, 2)


def test_tokens_that_are_chosen_by_no_numbers_are_refused():
    """Neurons of the first block are fine, and what the second makes of them is not."""
    model = tiny_gpt2()
    with torch.no_grad():
        model.transformer.ln_f.weight[0] = math.nan
    with pytest.raises(DetoxBenchError, match="logits are not finite numbers"):
        mean_activations(loaded_of(model), [NeuronId(0, 3)], TEXTS, 2)


def test_reading_leaves_no_hook_and_changes_nothing_also_after_an_error():
    model = tiny_gpt2()
    ids = torch.arange(14).view(2, 7)
    with torch.no_grad():
        before = model(ids).logits
        mean_activations(loaded_of(model), NEURONS, TEXTS, 2)
        with pytest.raises(IndexError):
            mean_activations(loaded_of(model), [NeuronId(0, 10**6)], TEXTS, 2)
        assert torch.equal(model(ids).logits, before)
    assert not any(each._forward_pre_hooks for each in down_projections(model))
