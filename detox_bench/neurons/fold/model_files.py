"""The folder of a model whose edit is exported: its checkpoint, its settings, its other files."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from detox_bench.errors import BadData, BadIntervention, DetoxBenchError
from detox_bench.modeling.architectures import (
    Architecture,
    architecture_of_config,
    blocks,
    down_projections,
    neuron_shape,
)
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.neurons.fold.checkpoint import (
    FLOATS,
    Checkpoint,
    StoredTensor,
    has_safetensors,
    read_checkpoint,
    stored_name,
)

logger = logging.getLogger(__name__)

CONFIG = "config.json"
#: Weights in other formats: they would be those of the model before the edit.
_WEIGHTS = (
    *("*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json", "*.pt", "*.pth"),
    *("*.h5", "*.msgpack", "*.ot", "*.gguf", "*.onnx", "*.onnx_data", "*.mlmodel", "*.tflite"),
)
#: The files of a tokenizer, whatever its kind.
TOKENIZER = (
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json"),
    *("*.model", "chat_template*"),
)
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on disk, and its modules without their weights.

    Args:
        name: What it was asked for by.
        folder: Where its settings and its tokenizer are.
        architecture: The row of its type.
        skeleton: The model on the meta device: modules, names and shapes.
        checkpoint: Its weights.
    """

    name: str
    folder: Path
    architecture: Architecture
    skeleton: Any
    checkpoint: Checkpoint

    @property
    def known_as(self) -> str:
        """What exports call it: its name on the Hub, or of its folder, never the path to it."""
        folder = Path(self.name)
        return folder.resolve().name if folder.is_dir() else self.name

    @property
    def shape_only(self) -> BaseModel:
        """What an intervention says of the model, but for the weights."""
        shape = neuron_shape(self.skeleton)
        kind = self.skeleton.config.model_type
        return BaseModel(self.name, kind, shape.layers, shape.neurons)

    def has_bias(self, layer: int) -> bool:
        """Return whether a down projection has a bias."""
        return down_projections(self.skeleton)[layer].bias is not None

    def stored(self, layer: int, part: str) -> StoredTensor:
        """Return the ``weight`` or ``bias`` of a down projection as it is stored.

        Raises ``BadData`` where it is missing or of another shape, ``BadIntervention`` where it is
        no plain floating-point tensor.
        """
        path = f"{self.architecture.down_path(layer)}.{part}"
        found = self.checkpoint.tensors[stored_name(self.checkpoint, path)]
        wanted = tuple(getattr(down_projections(self.skeleton)[layer], part).shape)
        if found.dtype not in FLOATS:
            raise BadIntervention(
                f"{found.name} is stored as {found.dtype}: a quantised model cannot be edited. "
                "Take the model that it was made from."
            )
        if found.shape != wanted:
            raise BadData(
                f"{found.name} has the shape {found.shape}, and by {CONFIG} {wanted}. "
                "Fetch the model again."
            )
        return found

    def weight(self, layer: int) -> Tensor:
        """Return the stored weight of a down projection, in its own type and orientation."""
        return self.stored(layer, "weight").read()


@contextmanager
def model_files(name: str, scratch: Path) -> Iterator[ModelFiles]:
    """Find a model's files: a folder, or a name on the Hub, whose files are fetched.

    A checkpoint of pickled files is first written as safetensors to a folder under ``scratch``,
    which is removed at the end; for that, and that only, the model is loaded as a whole. Raises
    ``DetoxBenchError`` for what is no model, an adapter, or quantised.
    """
    folder = model_folder(name)
    skeleton = _skeleton(name, folder)
    with TemporaryDirectory(prefix="converted-", dir=scratch) as temporary:
        weights = folder
        if not has_safetensors(folder):
            weights = _converted(folder, Path(temporary))
        architecture = architecture_of_config(skeleton.config)
        yield ModelFiles(name, folder, architecture, skeleton, read_checkpoint(weights))


def model_folder(name: str) -> Path:
    """Return the folder of a model; one on the Hub is fetched, without weights in other formats."""
    if Path(name).is_dir():
        return Path(name)
    others = [pattern for pattern in _WEIGHTS if not pattern.startswith("*.safetensors")]
    try:
        folder = Path(snapshot_download(name, ignore_patterns=[*others, "consolidated*"]))
        if not has_safetensors(folder):
            folder = Path(snapshot_download(name, allow_patterns=["pytorch_model*", "*.json"]))
    except (OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise DetoxBenchError(
            f"{name} is no folder, and cannot be fetched from the Hub: {first} "
            "Give a model's folder or its name on the Hub."
        ) from error
    return folder


def copy_other_files(folder: Path, target: Path, only: Sequence[str] = ("*",)) -> list[str]:
    """Copy what is no weight: tokenizer, settings, licence; return the weights left out.

    ``only`` are patterns of names. ``config.json`` is written by who writes the weights.
    """
    left_out = []
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        place = file.relative_to(folder)
        if any(part.startswith(".") for part in place.parts) or place == Path(CONFIG):
            continue
        if any(place.match(pattern) for pattern in _WEIGHTS):
            left_out.append(str(place))
            continue
        if not any(place.match(pattern) for pattern in only):
            continue
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / place)
    return left_out


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of a model's ``config.json``; raises ``BadData``."""
    try:
        found = json.loads((folder / CONFIG).read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError) as error:
        raise BadData(
            f"{folder / CONFIG} cannot be read: {error}. Give the folder of a whole model."
        ) from error
    return found


def _skeleton(name: str, folder: Path) -> Any:
    """Return a model that can be edited on disk, without its weights."""
    if (folder / "adapter_config.json").is_file():
        raise BadIntervention(
            f"{name} is an adapter, not a model. Merge it first (PEFT's merge_and_unload, then "
            "save_pretrained), and make the intervention for the merged model."
        )
    content = read_config(folder)
    quantised = content.get("quantization_config")
    if quantised is not None:
        method = quantised.get("quant_method", "?") if isinstance(quantised, dict) else "?"
        raise BadIntervention(
            f"{name} is quantised ({method}), and an edit cannot be folded into packed numbers. "
            "Take the model that it was made from, export, and quantise the export."
        )
    return _built(folder)


def _built(folder: Path) -> Any:
    """Return the model that a configuration describes, on the meta device; raises ``BadData``."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        architecture_of_config(config)
        with torch.device("meta"):
            skeleton = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        if not blocks(skeleton):
            raise ValueError("it has no layers")
        return skeleton
    except DetoxBenchError:
        raise
    except Exception as error:  # transformers has no one error for a setting of the wrong type
        what = " ".join(str(error).split())
        raise BadData(f"{folder / CONFIG} is no configuration of a model: {what}") from error


def _converted(folder: Path, target: Path) -> Path:
    """Write the pickled checkpoint of ``folder`` as safetensors, in its own type."""
    if not any((folder / name).is_file() for name in _PICKLED):
        raise BadData(
            f"{folder} holds no weights: neither safetensors nor {_PICKLED[0]}. "
            "Give the folder of a whole model."
        )
    logger.warning("%s is pickled: it is loaded as a whole and written as safetensors.", folder)
    try:
        # transformers reads pickles with weights_only=True: no code in them is run.
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", trust_remote_code=False, weights_only=True
        )
    except (OSError, ValueError, RuntimeError, UnpicklingError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise BadData(f"The pickled weights of {folder} cannot be loaded: {first}") from error
    model.save_pretrained(target)
    return target
