"""The safetensors files of a checkpoint: what is in them, read one tensor at a time.

A checkpoint is ``model.safetensors``, or the shards that ``model.safetensors.index.json`` names.
The names in them need not be those of the modules: a base model saved by itself has no prefix, and
older versions had others.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from detox_bench.errors import BadData

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

#: How safetensors calls the types that weights can be edited in.
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file: its type as safetensors calls it, and where its bytes begin and end."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    def read(self) -> Tensor:
        """Return the tensor, in its own type; raises ``BadData`` for one that is cut off."""
        try:
            with safe_open(self.file, framework="pt") as content:
                found: Tensor = content.get_tensor(self.name)
                return found
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(self.file, error) from error


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights of a model on disk.

    Args:
        folder: Where the files are.
        shards: Their names, in order.
        index: The content of the index, where there is one.
        tensors: Every tensor by its stored name, shard by shard, in the order of the bytes.
        metadata: What a file says of itself, by its name.
    """

    folder: Path
    shards: tuple[str, ...]
    index: Mapping[str, Any] | None
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, Mapping[str, str]]


def has_safetensors(folder: Path) -> bool:
    """Return whether a folder holds a checkpoint of this kind."""
    return (folder / WHOLE).is_file() or (folder / INDEX).is_file()


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return what the files of a checkpoint hold, from their headers only.

    As transformers does, one whole file is taken before an index. Raises ``BadData`` for a file
    that is missing, cut off or otherwise no safetensors, and for an index that says otherwise.
    """
    index = None if (folder / WHOLE).is_file() else _read_index(folder / INDEX)
    shards = (WHOLE,) if index is None else tuple(sorted(set(index["weight_map"].values())))
    tensors: dict[str, StoredTensor] = {}
    metadata = {}
    for shard in shards:
        found, metadata[shard] = _read_header(folder / shard)
        tensors |= {each.name: each for each in found}
    if index is not None:
        wanted = index["weight_map"].items()
        lost = next((n for n, s in wanted if n not in tensors or tensors[n].file.name != s), None)
        if lost is not None:
            raise BadData(
                f"{folder / INDEX} says that {lost} is in {index['weight_map'][lost]}, and it is "
                "not. Fetch the model again."
            )
    return Checkpoint(folder, shards, index, tensors, metadata)


def stored_name(checkpoint: Checkpoint, path: str) -> str:
    """Return the name a parameter is stored by: the one that shares the longest tail with its path.

    The tail must hold the parameter's place in its block, and the block's number. Raises
    ``BadData`` where no name or more than one does.
    """
    if path in checkpoint.tensors:
        return path
    parts = path.split(".")
    number = next((n for n in reversed(range(len(parts))) if parts[n].isdecimal()), len(parts) - 2)
    tails = {name: _common_tail(name.split("."), parts) for name in checkpoint.tensors}
    longest = max(tails.values(), default=0)
    found = sorted(name for name, tail in tails.items() if tail == longest)
    if longest < len(parts) - number:
        raise BadData(f"No tensor of {checkpoint.folder} is {path}. Is the checkpoint complete?")
    if len(found) > 1:
        raise BadData(
            f"{len(found)} tensors of {checkpoint.folder} could be {path}: {', '.join(found[:3])}. "
            "Save the model once with transformers' save_pretrained, and take that."
        )
    return found[0]


def _common_tail(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _read_index(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        shards = set(found["weight_map"].values())
        inside = all(isinstance(each, str) and Path(each).name == each for each in shards)
        if not shards or not inside:
            raise ValueError("it names files that are not in the folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(
            f"{file} is no index of a checkpoint ({type(error).__name__}: {error}). "
            "Fetch the model again."
        ) from error
    return found


def _read_header(file: Path) -> tuple[list[StoredTensor], dict[str, str]]:
    """Return the tensors of a file in the order of their bytes, and its metadata."""
    try:
        with safe_open(file, framework="pt"):  # checks the header, and the length of the file
            pass
        with file.open("rb") as content:
            (length,) = struct.unpack("<Q", content.read(8))
            header = json.loads(content.read(length))
    except (SafetensorError, OSError, ValueError, struct.error) as error:
        raise _damaged(file, error) from error
    metadata = header.pop("__metadata__", {})
    start = 8 + length
    found = [
        StoredTensor(
            name,
            file,
            about["dtype"],
            tuple(about["shape"]),
            start + about["data_offsets"][0],
            start + about["data_offsets"][1],
        )
        for name, about in header.items()
    ]
    return sorted(found, key=lambda each: (each.begin, each.end)), metadata


def _damaged(file: Path, error: Exception) -> BadData:
    first = (str(error).splitlines() or [""])[0]
    return BadData(
        f"{file} cannot be read as safetensors ({first}): it is missing, cut off or altered. "
        "Fetch the model again."
    )
