"""``--to steered`` and ``--to control-vector``: what the offsets write, as vectors for other tools.

lm-eval's model ``steered`` adds a vector to what a module returns: to a down projection, exactly
what the offsets add. llama.cpp and repeng add one to what a whole block returns, which is the same
where nothing but a sum lies between the two.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detox_bench.errors import BadData, DetoxBenchError, missing_extra
from detox_bench.modeling.architectures import (
    blocks,
    causal_model,
    down_projections,
    neuron_shape,
)
from detox_bench.neurons.edit.interventions import Intervention
from detox_bench.neurons.fold.folding import has_factors, layer_edits, stored_as, written
from detox_bench.neurons.fold.model_files import ModelFiles

STEERED = "steering.pt"
CONTROL_VECTOR = "control-vector.gguf"
_ARCHITECTURE = "controlvector"


def steered_refusal(_: ModelFiles, intervention: Intervention) -> str | None:
    """Return why a vector added to a module's output cannot be the edit, or None."""
    return "a steering vector only adds" if has_factors(intervention) else None


def write_steered(
    files: ModelFiles, intervention: Intervention, folder: Path, _: torch.dtype | None = None
) -> None:
    """Write the file that ``lm_eval --model steered`` takes as ``steer_path``.

    It is a dictionary of plain values and tensors, so that ``weights_only=True`` loads it too. Its
    hook points are names under ``model.base_model``.
    """
    names = {id(module): name for name, module in files.skeleton.base_model.named_modules()}
    points = {
        names[id(down_projections(files.skeleton)[layer])]: {
            "steering_vector": vector,
            "steering_coefficient": 1.0,
            "action": "add",
            "bias": None,
            "head_index": None,
        }
        for layer, vector in _vectors(files, intervention).items()
    }
    torch.save(points, folder / STEERED)


def control_vector_refusal(files: ModelFiles, intervention: Intervention) -> str | None:
    """Return why a vector added to a block's output cannot be the edit, or None."""
    if has_factors(intervention):
        return "a control vector only adds"
    if _normalises_after(files):
        kind = files.shape_only.model_type
        return f"{kind!r} normalises what the MLP wrote before the block returns it"
    if 0 in layer_edits(intervention):
        return "llama.cpp reads no direction for layer 0, and the edit is in it"
    return None


def _normalises_after(files: ModelFiles) -> bool:
    """Return whether a norm lies behind the MLP in a block; in OPT a setting decides."""
    settings = files.skeleton.config.get_text_config()
    return files.architecture.post_norm or not getattr(settings, "do_layer_norm_before", True)


def write_control_vector(
    files: ModelFiles, intervention: Intervention, folder: Path, _: torch.dtype | None = None
) -> None:
    """Write a GGUF file as llama.cpp (``--control-vector``) and repeng read it.

    ``direction.<n>`` is added to what block n, from 0, returns. Raises ``MissingExtra`` without the
    package gguf.
    """
    try:
        import gguf
    except ImportError as error:
        raise missing_extra("--to control-vector", "gguf") from error
    multiplier = files.architecture.multiplier
    settings = files.skeleton.config.get_text_config()
    times = float(getattr(settings, multiplier)) if multiplier else 1.0
    vectors = _vectors(files, intervention, times)
    writer = gguf.GGUFWriter(folder / CONTROL_VECTOR, _ARCHITECTURE)
    writer.add_string(f"{_ARCHITECTURE}.model_hint", files.shape_only.model_type)
    writer.add_uint32(f"{_ARCHITECTURE}.layer_count", len(vectors))
    for layer, vector in vectors.items():
        writer.add_tensor(f"direction.{layer}", vector.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def applied(model: Any, file: Path) -> Iterator[Any]:
    """Run ``model`` with the vectors of a file added, as those who read such files do it.

    Raises ``BadData`` where the file, called as in ``READERS``, holds none for this model.
    """
    width = neuron_shape(model).hidden
    try:
        found = READERS[file.name](model, file)
        vectors = {module: vector.reshape(width) for module, vector in found.items()}
    except DetoxBenchError:
        raise
    except Exception as error:  # readers have no one error for what is not of their kind
        what = (str(error).splitlines() or [""])[0].split(". ")[0]
        raise BadData(
            f"{file} holds no vectors for this model ({type(error).__name__}: {what}). "
            "Export it again, for this model."
        ) from error
    with _adding(vectors):
        yield model


def _steering(model: Any, file: Path) -> dict[nn.Module, Tensor]:
    """Return what a file of lm-eval's ``steered`` adds to what modules return."""
    points = torch.load(file, map_location="cpu", weights_only=True)
    modules = dict(causal_model(model).base_model.named_modules())
    return {
        modules[name]: point["steering_vector"] * point["steering_coefficient"]
        for name, point in points.items()
    }


def _directions(model: Any, file: Path) -> dict[nn.Module, Tensor]:
    """Return what a control vector adds to what blocks return."""
    try:
        import gguf
    except ImportError as error:
        raise missing_extra("Reading a control vector", "gguf") from error
    places = blocks(model)
    return {
        places[int(tensor.name.removeprefix("direction."))]: torch.from_numpy(tensor.data.copy())
        for tensor in gguf.GGUFReader(file).tensors
    }


#: What lies in the folder of an export that is applied to a model while it runs.
READERS: dict[str, Callable[[Any, Path], dict[nn.Module, Tensor]]] = {
    STEERED: _steering,
    CONTROL_VECTOR: _directions,
}


def _vectors(
    files: ModelFiles, intervention: Intervention, times: float = 1.0
) -> dict[int, Tensor]:
    """Return what the offsets write in each layer, ``(hidden_size,)`` in float32."""
    rows = files.architecture.rows
    return {
        layer: stored_as(written(files.weight(layer), edit, rows) * times, torch.float32)
        for layer, edit in layer_edits(intervention).items()
    }


@contextmanager
def _adding(vectors: Mapping[nn.Module, Tensor]) -> Iterator[None]:
    """Add a vector to what each module returns, the first part of it where it is a tuple."""
    with ExitStack() as hooks:
        for module, vector in vectors.items():
            hooks.callback(module.register_forward_hook(_add(vector)).remove)
        yield


def _add(vector: Tensor) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (output[0] + vector.to(output[0]), *output[1:])
        return output + vector.to(output)

    return hook
