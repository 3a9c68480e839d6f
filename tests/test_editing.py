"""An intervention at work, on a small random model of every architecture."""

import pytest
import torch
from architecture_models import NEURONS, tiny

from detox_bench.errors import BadIntervention
from detox_bench.modeling.architectures import ARCHITECTURES, down_projections, neuron_shape
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.likelihood import Continuation, log_probabilities
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.modeling.sampling import Sampler, SampleRequest
from detox_bench.neurons.edit.editing import base_model_of, check_made_for, edited
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.neurons.edit.operators import OPERATORS
from detox_bench.types import NeuronId

IDS = torch.arange(14).view(2, 7)
EDITS = [(NeuronId(0, 3), 0.75), (NeuronId(1, 5), 0.9), (NeuronId(1, 7), 0.6)]


def of(model, operator="add", positions="all", edits=EDITS):
    return intervention(base_model_of(model, "tiny"), operator, edits, positions)


def activations(model, layer, ids=IDS):
    """Return what goes into a down projection, after any edit, as ``(rows, columns, neurons)``."""
    seen = []
    keep = down_projections(model)[layer].register_forward_pre_hook(
        lambda _, args: seen.append(*args)
    )
    with torch.no_grad():
        logits = model(ids).logits
    keep.remove()
    return seen[0].reshape(*ids.shape, -1), logits


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request):
    return tiny(request.param)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_does_to_the_first_edited_layer_what_it_says(model, operator):
    before, _ = activations(model, 0)
    with edited(model, of(model, operator)):
        after, _ = activations(model, 0)
    a, value = before[..., 3], 0.75
    wanted = {"add": a + value, "set": a * 0 + value, "scale": a * value, "aura": a * 0.5}[operator]
    torch.testing.assert_close(after[..., 3], wanted)
    others = [n for n in range(before.shape[-1]) if n != 3]
    assert torch.equal(after[..., others], before[..., others])


def test_hooks_come_off_bit_for_bit_also_after_an_error(model):
    with torch.no_grad():
        before = model(IDS).logits
        with edited(model, of(model)):
            during = model(IDS).logits
        with pytest.raises(RuntimeError, match="on purpose"), edited(model, of(model)):
            raise RuntimeError("on purpose")
        after = model(IDS).logits
    assert torch.equal(before, after)
    assert not torch.allclose(before, during)


def test_hooks_come_off_where_one_of_them_cannot_be_put_on():
    model = tiny("gpt2")
    broken = of(model)
    far = type(broken)(broken.base_model, "add", (NeuronId(0, 3), NeuronId(9, 3)), (1.0, 1.0))
    with pytest.raises(IndexError), edited(model, far):
        pass
    assert not any(each._forward_pre_hooks for each in model.modules())


def test_generated_positions_leave_the_prompt_alone(model):
    """A prompt by itself is edited in its last column only; over a cache every column is."""
    before, _ = activations(model, 0)
    with edited(model, of(model, positions="generated")), torch.no_grad():
        after, _ = activations(model, 0)
        assert torch.equal(after[:, :-1], before[:, :-1])
        torch.testing.assert_close(after[:, -1, 3], before[:, -1, 3] + 0.75)
        seen = []
        with edited(model, of(model, positions="generated"), lambda *each: seen.append(each)):
            cache = model(IDS[:, :4], use_cache=True).past_key_values
            model(IDS[:, 4:], past_key_values=cache)
    assert all((b != a).all() for layer, b, a in seen if b.numel() == 2 * 3 * 1)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "opt", "gemma3"])
@pytest.mark.parametrize("positions", ["all", "generated"])
def test_ways_to_run_a_continuation_agree(kind, positions):
    """Sampled over a cache, in another batch, and scored afterwards: the same edited model."""
    model = tiny(kind)
    request = SampleRequest("p", (5, 6, 7, 8), (0, 1, 2))
    short = SampleRequest("q", (9, 10), (0, 1))
    settings = SamplingSettings(new_tokens=6)
    with edited(model, of(model, "add", positions)):
        one, many = (
            {
                (each.request.prompt_id, each.sample): each.tokens
                for batch in Sampler(CausalModel(model), settings, batch_size=size).sample(
                    [request, short]
                )
                for each in batch
            }
            for size in (1, 8)
        )
        assert one == many
        tokens = tuple(one["p", 0])
        (together,) = log_probabilities(model, [Continuation(request.tokens, tokens)])
        step = CausalModel(model)
        state, _ = step.prefill([request.tokens])
        singly = []
        with torch.no_grad():
            for token in tokens:
                singly.append(float(state.logits[0].log_softmax(-1)[token]))
                state = step.step(torch.tensor([[token]]), None, state.cache)
    torch.testing.assert_close(torch.tensor(singly), torch.tensor(together), atol=1e-4, rtol=1e-4)


def test_it_acts_on_a_wrapped_model():
    from peft import LoraConfig, get_peft_model

    inner = tiny("llama")
    plain = of(inner)
    with torch.no_grad(), edited(inner, plain):
        wanted = inner(IDS).logits
    wrapped = get_peft_model(inner, LoraConfig(r=2, target_modules=["down_proj"])).eval()
    with torch.no_grad(), edited(wrapped, plain):
        torch.testing.assert_close(wrapped(IDS).logits, wanted)


def test_an_intervention_for_another_model_is_refused_unless_forced():
    one, other = tiny("gpt2"), tiny("gpt2", seed=1)
    made = of(one)
    assert check_made_for(made, base_model_of(one, "again")) is None
    with pytest.raises(BadIntervention, match=r"made for another model .*weights"):
        check_made_for(made, base_model_of(other, "other"))
    assert "weights" in (check_made_for(made, base_model_of(other, "other"), force=True) or "")
    with pytest.raises(BadIntervention, match="model type 'gpt2', not 'llama'"):
        check_made_for(made, base_model_of(tiny("llama", num_hidden_layers=2), "l"), force=True)


def test_the_fingerprint_is_the_same_in_any_type_it_was_loaded_in():
    model = tiny("llama")
    half = tiny("llama").to(torch.bfloat16)
    assert base_model_of(model, "a") == base_model_of(half, "a")
    assert neuron_shape(model).neurons == NEURONS
