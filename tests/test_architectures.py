"""Every row of the table of architectures, tried on a small random model."""

import pytest
import torch
from architecture_models import LAYERS, tiny

from detox_bench.errors import DetoxBenchError, UnknownName
from detox_bench.modeling.architectures import (
    ARCHITECTURES,
    architecture_of_config,
    blocks,
    causal_model,
    down_projections,
    final_norm,
    neuron_shape,
    switched_on,
    value_vectors,
)

IDS = torch.arange(14).view(2, 7)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request):
    return tiny(request.param)


@torch.no_grad()
def test_value_vectors_are_what_a_layer_writes(model):
    """Adding c to neuron i moves the MLP's output, and so the block's, by c times its vector."""
    row = ARCHITECTURES[model.config.model_type]
    layer, neuron, c = 1, 5, 3.0
    projection, block = down_projections(model)[layer], blocks(model)[layer]
    outputs: dict[str, list[torch.Tensor]] = {"projection": [], "block": []}

    def keep(name):
        return lambda _, __, out: outputs[name].append(out[0] if isinstance(out, tuple) else out)

    def add(_, args):
        edited = args[0].clone()
        edited[..., neuron] += c
        return (edited, *args[1:])

    kept = [
        projection.register_forward_hook(keep("projection")),
        block.register_forward_hook(keep("block")),
    ]
    model(IDS)
    hook = projection.register_forward_pre_hook(add)
    model(IDS)
    for handle in (*kept, hook):
        handle.remove()
    written = value_vectors(projection)[neuron] * c
    before, after = outputs["projection"]
    torch.testing.assert_close(after - before, written.expand_as(after), atol=1e-4, rtol=1e-4)
    if not row.post_norm:
        scale = getattr(model.config, row.multiplier) if row.multiplier else 1.0
        before, after = outputs["block"]
        moved = (written * scale).expand_as(after)
        torch.testing.assert_close(after - before, moved, atol=1e-4, rtol=1e-4)


def test_the_shape_and_the_bias_are_those_of_the_modules(model):
    shape, projection = neuron_shape(model), down_projections(model)[0]
    assert shape.layers == LAYERS == len(down_projections(model))
    assert value_vectors(projection).shape == (shape.neurons, shape.hidden)
    has_bias = projection.bias is not None
    assert switched_on(model.config, ARCHITECTURES[model.config.model_type]) == has_bias


@torch.no_grad()
def test_the_final_norm_is_what_the_head_reads(model):
    seen = []
    hooks = [final_norm(model).register_forward_hook(lambda _, __, out: seen.append(out))]
    head = model.get_output_embeddings()
    hooks.append(head.register_forward_pre_hook(lambda _, args: seen.append(args[0])))
    model(IDS)
    for hook in hooks:
        hook.remove()
    normed, read = seen
    assert torch.equal(normed.reshape(read.shape), read)


@torch.no_grad()
def test_value_vectors_hold_what_an_adapter_adds(model):
    from peft import LoraConfig, get_peft_model

    row = ARCHITECTURES[model.config.model_type]
    name = row.down.rpartition(".")[2]
    fan = {"fan_in_fan_out": row.rows}
    wrapped = get_peft_model(
        tiny(model.config.model_type), LoraConfig(r=2, target_modules=[name], **fan)
    ).eval()
    plain = value_vectors(down_projections(wrapped)[0])
    for parameter_name, parameter in wrapped.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter)
    adapted = value_vectors(down_projections(wrapped)[0])
    assert not torch.allclose(plain, adapted)
    merged = wrapped.merge_and_unload()
    torch.testing.assert_close(value_vectors(down_projections(merged)[0]), adapted)


def test_a_wrapped_model_is_found_under_its_adapters():
    from peft import LoraConfig, get_peft_model

    inner = tiny("llama")
    wrapped = get_peft_model(inner, LoraConfig(r=2, target_modules=["q_proj"]))
    assert causal_model(wrapped) is inner
    assert neuron_shape(wrapped) == neuron_shape(inner)


@pytest.mark.parametrize("kind", ["mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe"])
def test_a_mixture_of_experts_is_refused_in_a_sentence(kind):
    from transformers import AutoConfig

    with pytest.raises(DetoxBenchError, match="mixture of experts"):
        architecture_of_config(AutoConfig.for_model(kind))


def test_other_types_are_refused_in_a_sentence():
    from transformers import AutoConfig

    with pytest.raises(DetoxBenchError, match="encoder-decoder"):
        architecture_of_config(AutoConfig.for_model("t5"))
    with pytest.raises(UnknownName, match="Unknown architecture 'mamba'"):
        architecture_of_config(AutoConfig.for_model("mamba"))
    sliced = AutoConfig.for_model("bloom", pretraining_tp=2, slow_but_exact=True)
    with pytest.raises(DetoxBenchError, match="slow_but_exact"):
        architecture_of_config(sliced)
