"""Where the MLP neurons of a causal language model are: one row an architecture.

A neuron is one number of the vector that goes *into* an MLP's down projection; its value vector is
what the projection adds to the output for each unit of it (Geva et al. 2021, arXiv 2012.14913). One
place serves every architecture, gated MLPs too. To support another one, add a row to
``ARCHITECTURES``; ``tests/test_architectures.py`` tries each on a small random model.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from detox_bench.errors import DetoxBenchError, unknown_name

_AT_ONCE = 1024  # unit vectors sent through a projection that shows no plain weight


@dataclass(frozen=True, slots=True)
class Architecture:
    """One ``model_type`` of transformers.

    Args:
        blocks: Path of the list of blocks, from the causal language model.
        down: Path of the down projection, from a block.
        norm: Path of the norm between the last block and the head.
        rows: Whether value vectors are rows of the stored weight (GPT-2's ``Conv1D``), not columns.
        bias: Whether the projection has a bias: ``always``, ``never``, or the name of the setting
            that decides.
        post_norm: Whether the block normalises what the MLP wrote before it is added.
        multiplier: The setting that what the MLP wrote is multiplied by before it is added.
    """

    blocks: str = "model.layers"
    down: str = "mlp.down_proj"
    norm: str = "model.norm"
    rows: bool = False
    bias: str = "never"
    post_norm: bool = False
    multiplier: str = ""

    def down_path(self, layer: int) -> str:
        """Return the path of a layer's down projection, from the causal language model."""
        return f"{self.blocks}.{layer}.{self.down}"


class NeuronShape(NamedTuple):
    """How many ``layers`` a model has, ``neurons`` each of them, and how wide the residual is."""

    layers: int
    neurons: int
    hidden: int


_GPT = Architecture(blocks="transformer.h", norm="transformer.ln_f", bias="always")

ARCHITECTURES: dict[str, Architecture] = {
    "apertus": Architecture(),
    "bloom": replace(_GPT, down="mlp.dense_4h_to_h"),
    "codegen": replace(_GPT, down="mlp.fc_out"),
    "cohere": Architecture(),
    "cohere2": Architecture(),
    "ernie4_5": Architecture(bias="use_bias"),
    "exaone4": Architecture(post_norm=True),
    "falcon": replace(_GPT, down="mlp.dense_4h_to_h", bias="bias"),
    "gemma": Architecture(),
    "gemma2": Architecture(post_norm=True),
    "gemma3": Architecture(
        blocks="model.language_model.layers", norm="model.language_model.norm", post_norm=True
    ),
    "gemma3_text": Architecture(post_norm=True),
    "glm4": Architecture(post_norm=True),
    "gpt2": replace(_GPT, down="mlp.c_proj", rows=True),
    "gpt_bigcode": replace(_GPT, down="mlp.c_proj"),
    "gpt_neo": replace(_GPT, down="mlp.c_proj"),
    "gpt_neox": Architecture(
        blocks="gpt_neox.layers",
        down="mlp.dense_4h_to_h",
        norm="gpt_neox.final_layer_norm",
        bias="always",
    ),
    "gptj": replace(_GPT, down="mlp.fc_out"),
    "granite": Architecture(bias="mlp_bias", multiplier="residual_multiplier"),
    "helium": Architecture(bias="mlp_bias"),
    "llama": Architecture(bias="mlp_bias"),
    "ministral": Architecture(),
    "mistral": Architecture(),
    "mpt": Architecture(
        blocks="transformer.blocks", down="ffn.down_proj", norm="transformer.norm_f"
    ),
    "nemotron": Architecture(bias="mlp_bias"),
    "olmo": Architecture(),
    "olmo2": Architecture(post_norm=True),
    "olmo3": Architecture(post_norm=True),
    "opt": Architecture(
        blocks="model.decoder.layers",
        down="fc2",
        norm="model.decoder.final_layer_norm",
        bias="enable_bias",
    ),
    "phi": Architecture(down="mlp.fc2", norm="model.final_layernorm", bias="always"),
    "phi3": Architecture(),
    "qwen2": Architecture(),
    "qwen3": Architecture(),
    "seed_oss": Architecture(bias="mlp_bias"),
    "smollm3": Architecture(bias="mlp_bias"),
    "stablelm": Architecture(),
    "starcoder2": Architecture(down="mlp.c_proj", bias="use_bias"),
    "xglm": Architecture(down="fc2", norm="model.layer_norm", bias="always"),
}

#: Settings that only mixtures of experts have, and a value of which says that the model is one.
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
#: Settings under which a model multiplies by slices of the weight and calls no module.
_SLICED: dict[str, Callable[[Any], bool]] = {
    "bloom": lambda config: config.pretraining_tp > 1 and config.slow_but_exact,
}


def architecture_of(model: Any) -> Architecture:
    """Return the row of a model, wrapped in adapters or not.

    Raises ``DetoxBenchError`` for mixtures of experts, for models that call no down projection,
    and for types without a row.
    """
    return architecture_of_config(causal_model(model).config)


def architecture_of_config(config: Any) -> Architecture:
    """Return the row of a model's configuration; raises as ``architecture_of``."""
    kind, text = config.model_type, config.get_text_config()
    experts = next((name for name in _EXPERTS if (getattr(text, name, None) or 0) > 0), None)
    if experts:
        raise DetoxBenchError(
            f"{kind!r} is a mixture of experts ({experts}={getattr(text, experts)}): which of its "
            "neurons see a token is chosen anew each time, and neither probe nor edit is defined "
            "here. Take a dense model."
        )
    if config.is_encoder_decoder:
        raise DetoxBenchError(
            f"{kind!r} is an encoder-decoder. Neurons are those of causal language models only."
        )
    if kind not in ARCHITECTURES:
        raise unknown_name("architecture", kind, ARCHITECTURES)
    if kind in _SLICED and _SLICED[kind](config):
        raise DetoxBenchError(
            f"With its present settings a {kind!r} model multiplies slices of its weights, where "
            "no neuron can be reached. Set slow_but_exact to false in its config.json."
        )
    return ARCHITECTURES[kind]


def causal_model(model: Any) -> Any:
    """Return the transformers model under PEFT's wrapper, or ``model`` itself."""
    unwrap = getattr(model, "get_base_model", None)
    return unwrap() if unwrap else model


def blocks(model: Any) -> nn.ModuleList:
    """Return the blocks of a model, in order."""
    found: nn.ModuleList = causal_model(model).get_submodule(architecture_of(model).blocks)
    return found


def trunk(model: Any) -> nn.Module:
    """Return the module that runs the blocks one after the other, with the key-value cache."""
    path = architecture_of(model).blocks.rpartition(".")[0]
    found: nn.Module = causal_model(model).get_submodule(path)
    return found


def down_projections(model: Any) -> list[nn.Module]:
    """Return the down projection of each layer; an adapter's layer where one is wrapped in it."""
    path = architecture_of(model).down
    return [block.get_submodule(path) for block in blocks(model)]


def final_norm(model: Any) -> nn.Module:
    """Return the norm before the head; the identity where a model has none (some OPTs)."""
    path, whole = architecture_of(model).norm, causal_model(model)
    parent, _, name = path.rpartition(".")
    found = getattr(whole.get_submodule(parent), name)
    return nn.Identity() if found is None else found


def neuron_shape(model: Any) -> NeuronShape:
    """Return how many neurons a model has."""
    projections = down_projections(model)
    vectors = _plain_weight(projections[0])
    if vectors is None:
        vectors = value_vectors(projections[0])
    return NeuronShape(len(projections), *vectors.shape)


def value_vectors(projection: nn.Module) -> Tensor:
    """Return the value vectors ``(n_neurons, hidden_size)`` of one down projection.

    Of a plain projection it is a view of the weight, in its type. What adapters add is in it: a
    wrapped or quantised projection is asked for the image of each unit vector.
    """
    weight = _plain_weight(projection)
    return _images(projection) if weight is None else weight


def switched_on(config: Any, architecture: Architecture) -> bool:
    """Return whether down projections have a bias under ``config``."""
    if architecture.bias in ("always", "never"):
        return architecture.bias == "always"
    return bool(getattr(config.get_text_config(), architecture.bias))


def _plain_weight(projection: nn.Module) -> Tensor | None:
    """Return the weight as ``(n_neurons, hidden_size)``; None if it is not all there is to it."""
    weight = getattr(projection, "weight", None)
    adapted = hasattr(projection, "base_layer")
    if adapted or not isinstance(weight, Tensor) or not weight.is_floating_point():
        return None
    if isinstance(projection, Conv1D):
        return weight.detach()
    if isinstance(projection, nn.Linear) and weight.shape[-1] == projection.in_features:
        return weight.detach().T
    return None


@torch.no_grad()
def _images(projection: nn.Module) -> Tensor:
    base: Any = getattr(projection, "base_layer", projection)
    width = int(base.weight.shape[0] if isinstance(base, Conv1D) else base.in_features)
    like = next(each for each in projection.parameters() if each.is_floating_point())
    zero = projection(like.new_zeros(1, width))
    parts = []
    for start in range(0, width, _AT_ONCE):
        unit = like.new_zeros(min(_AT_ONCE, width - start), width)
        unit[:, start:].fill_diagonal_(1)
        parts.append(projection(unit) - zero)
    return torch.cat(parts)
