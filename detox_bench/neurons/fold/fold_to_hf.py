"""``--to hf``: an ordinary checkpoint with the edit in its weights.

Factors go into the columns of down projections, offsets into their biases. Where there is no bias
but a setting that switches one on, it is switched on, and everything else the setting brings into
being is zero.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModelForCausalLM

from detox_bench.errors import BadData, BadIntervention
from detox_bench.neurons.edit.interventions import Intervention
from detox_bench.neurons.fold.checkpoint import FLOATS, StoredTensor, stored_name
from detox_bench.neurons.fold.folding import (
    LayerEdit,
    dtype_name,
    folded_bias,
    folded_weight,
    has_offsets,
    layer_edits,
)
from detox_bench.neurons.fold.model_files import CONFIG, ModelFiles, read_config
from detox_bench.neurons.fold.shards import Added, Changes, Make, bytes_of, write_checkpoint
from detox_bench.runs import write_json

#: Types an export can be stored in instead of the checkpoint's own, by their names.
DTYPES = {"float32": torch.float32}


def hf_refusal(files: ModelFiles, intervention: Intervention) -> str | None:
    """Return why the edit cannot be in ordinary weights of this architecture, or None."""
    slots = all(files.has_bias(layer) for layer in layer_edits(intervention))
    if slots or not has_offsets(intervention) or files.architecture.bias not in ("always", "never"):
        return None
    return (
        f"an offset needs a bias, and the down projections of {files.shape_only.model_type!r} have "
        "none that a setting would switch on"
    )


def write_hf(
    files: ModelFiles, intervention: Intervention, folder: Path, dtype: torch.dtype | None = None
) -> None:
    """Write the folded checkpoint and its settings; ``dtype`` stores it in a finer type.

    Raises ``BadData`` where a tensor is missing, ``BadIntervention`` for numbers too large for the
    type they are stored in.
    """
    switch = _switch(files, intervention)
    changed: dict[str, Make] = {}
    biases: dict[str, tuple[StoredTensor, LayerEdit]] = {}
    for layer, edit in layer_edits(intervention).items():
        weight = files.stored(layer, "weight")
        if bool(edit.scaled.any()):
            changed[weight.name] = partial(_weight, files, weight, edit, dtype)
        if bool(edit.offsets.any()):
            biases[f"{files.architecture.down_path(layer)}.bias"] = (weight, edit)
            if not switch:
                bias = files.stored(layer, "bias")
                changed[bias.name] = partial(_bias, files, (weight, edit), dtype, bias.read)
    added = tuple(_added(files, switch, biases, dtype)) if switch else ()
    size = bytes_of(files.checkpoint)
    with tqdm(total=size, unit="B", unit_scale=True, desc="folding", disable=None) as bar:
        write_checkpoint(files.checkpoint, folder, Changes(changed, added, dtype), bar.update)
    write_json(folder / CONFIG, _config(files, switch, dtype))


def _switch(files: ModelFiles, intervention: Intervention) -> str:
    """Return the setting that is to be switched on, or nothing."""
    if not has_offsets(intervention) or all(map(files.has_bias, layer_edits(intervention))):
        return ""
    return files.architecture.bias


def _as(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Return a tensor in the type it is stored in: rounding it comes last."""
    return tensor if dtype is None else tensor.to(torch.promote_types(tensor.dtype, dtype))


def _weight(
    files: ModelFiles, weight: StoredTensor, edit: LayerEdit, dtype: torch.dtype | None
) -> Tensor:
    return folded_weight(_as(weight.read(), dtype), edit, files.architecture.rows)


def _bias(
    files: ModelFiles,
    written_by: tuple[StoredTensor, LayerEdit],
    dtype: torch.dtype | None,
    before: Callable[[], Tensor],
) -> Tensor:
    weight, edit = written_by
    return folded_bias(_as(before(), dtype), weight.read(), edit, files.architecture.rows)


def _added(
    files: ModelFiles,
    switch: str,
    biases: dict[str, tuple[StoredTensor, LayerEdit]],
    dtype: torch.dtype | None,
) -> Iterator[Added]:
    """Yield every parameter that the setting brings into being, by its stored name."""
    for path, shape in _brought(files, switch).items():
        module, _, part = path.rpartition(".")
        beside = stored_name(files.checkpoint, f"{module}.weight")
        zeros = partial(torch.zeros, shape, dtype=FLOATS[files.checkpoint.tensors[beside].dtype])
        make: Make = zeros
        if path in biases:
            make = partial(_bias, files, biases[path], dtype, zeros)
        yield Added(f"{beside.rpartition('.')[0]}.{part}", beside, shape, make)


def _brought(files: ModelFiles, switch: str) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the parameters that a model has only with the setting."""
    config = deepcopy(files.skeleton.config)
    setattr(config.get_text_config(), switch, True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    before = dict(files.skeleton.named_parameters())
    after = dict(model.named_parameters())
    new = {name: tuple(after[name].shape) for name in after if name not in before}
    if not (before.keys() <= after.keys() and all(name.endswith(".bias") for name in new)):
        raise BadIntervention(
            f"Switching {switch} on changes more than biases in this version of transformers. "
            "Take --to lora-bias."
        )
    return new


def _config(files: ModelFiles, switch: str, dtype: torch.dtype | None) -> dict[str, Any]:
    content = read_config(files.folder)
    inner = content.get("text_config")
    text = inner if isinstance(inner, dict) else content
    if switch:
        text[switch] = True
    if dtype is not None:
        for part in (content, text):
            for key in {"dtype", "torch_dtype"} & set(part) or {"dtype"}:
                part[key] = dtype_name(dtype)
    return content


def stored_dtypes(files: ModelFiles, intervention: Intervention) -> set[torch.dtype]:
    """Return the types that the edited down projections are stored in."""
    return {FLOATS[files.stored(layer, "weight").dtype] for layer in layer_edits(intervention)}


def checked_dtype(files: ModelFiles, intervention: Intervention, name: str) -> torch.dtype:
    """Return the type of that name; raises ``BadData`` where it is no finer than the model's."""
    dtype = DTYPES[name]
    stored = stored_dtypes(files, intervention)
    if any(torch.finfo(each).bits >= torch.finfo(dtype).bits for each in stored):
        raise BadData(f"{files.name} is stored in {name} or finer already. Leave --dtype away.")
    return dtype
