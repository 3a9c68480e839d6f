"""``--to ia3`` and ``--to lora-bias``: adapters of PEFT that do to a model what the edit does.

(IA)³ multiplies what goes into a down projection (Liu et al. 2022, arXiv 2205.05638), which is the
edit itself as long as nothing is added. LoRA with a bias is exact for every operator: with e_i the
unit vectors of the edited neurons, B A = sum_i (m_i - 1) v_i e_i^T, and the bias is sum_i c_i v_i.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from detox_bench.neurons.edit.interventions import Intervention
from detox_bench.neurons.fold.folding import (
    LayerEdit,
    edited_value_vectors,
    has_offsets,
    layer_edits,
    stored_as,
    written,
)
from detox_bench.neurons.fold.model_files import ModelFiles

#: Adapters are stored in float32 whatever the model is: they are small, and exact so.
ADAPTER_DTYPE = torch.float32
_WEIGHTS = "adapter_model.safetensors"


def ia3_refusal(_: ModelFiles, intervention: Intervention) -> str | None:
    """Return why (IA)³ cannot do what the edit does, or None."""
    return "(IA)³ multiplies only" if has_offsets(intervention) else None


def write_ia3(
    files: ModelFiles, intervention: Intervention, folder: Path, _: torch.dtype | None = None
) -> None:
    """Write an (IA)³ adapter of the edited down projections."""
    from peft import IA3Config

    edits = layer_edits(intervention)
    paths = [files.architecture.down_path(layer) for layer in edits]
    config = IA3Config(feedforward_modules=paths, **_common(files, paths))
    tensors = {}
    for path, (layer, edit) in zip(paths, edits.items(), strict=True):
        factors = torch.ones(_n_neurons(files, layer), dtype=torch.float64)
        factors[edit.neurons] = edit.factors
        tensors[f"{path}.ia3_l"] = factors[None]
    _save(config, tensors, folder)


def lora_bias_refusal(_: ModelFiles, __: Intervention) -> str | None:
    """Return None: LoRA with a bias does what any affine edit does."""
    return None


def write_lora_bias(
    files: ModelFiles, intervention: Intervention, folder: Path, _: torch.dtype | None = None
) -> None:
    """Write a LoRA adapter with a bias of the edited down projections."""
    from peft import LoraConfig

    edits = layer_edits(intervention)
    paths = [files.architecture.down_path(layer) for layer in edits]
    rank = max(1, *(int(edit.scaled.sum()) for edit in edits.values()))
    common = _common(files, paths)
    # With alpha = rank nothing is scaled.
    config = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, lora_bias=True, **common)
    tensors = {}
    for path, (layer, edit) in zip(paths, edits.items(), strict=True):
        for name, tensor in _lora(files, layer, edit, rank).items():
            tensors[f"{path}.{name}"] = tensor
    _save(config, tensors, folder)


def _lora(files: ModelFiles, layer: int, edit: LayerEdit, rank: int) -> dict[str, Tensor]:
    """Return A ``(rank, neurons)``, B ``(hidden, rank)`` and the bias ``(hidden,)`` of a layer."""
    weight, rows = files.weight(layer), files.architecture.rows
    scaled = edit.neurons[edit.scaled]
    vectors = edited_value_vectors(weight, scaled, rows) * (edit.factors[edit.scaled, None] - 1)
    down = torch.zeros(rank, _n_neurons(files, layer), dtype=torch.float64)
    down[torch.arange(len(scaled)), scaled] = 1
    up = torch.zeros(vectors.shape[1], rank, dtype=torch.float64)
    up[:, : len(scaled)] = vectors.T
    return {
        "lora_A.weight": down,
        "lora_B.weight": up,
        "lora_B.bias": written(weight, edit, rows),
    }


def _n_neurons(files: ModelFiles, layer: int) -> int:
    return files.stored(layer, "weight").shape[0 if files.architecture.rows else 1]


def _common(files: ModelFiles, paths: list[str]) -> dict[str, Any]:
    return {
        # PEFT loads the base model from here, so that it is the path or name as it was given.
        "base_model_name_or_path": files.name,
        "task_type": "CAUSAL_LM",
        "target_modules": paths,
        "fan_in_fan_out": files.architecture.rows,
        "inference_mode": True,
    }


def _save(config: Any, tensors: dict[str, Tensor], folder: Path) -> None:
    config.save_pretrained(folder)
    named = {
        f"base_model.model.{name}": stored_as(each, ADAPTER_DTYPE).contiguous()
        for name, each in tensors.items()
    }
    save_file(named, folder / _WEIGHTS, metadata={"format": "pt"})
