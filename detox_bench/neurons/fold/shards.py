"""The writing of a checkpoint's shards: changed tensors are made one at a time, others are copied.

The bytes of what does not change pass from file to file in pieces, so that memory holds one tensor
however large a shard is. Files, their order and what they say of themselves stay as they are.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from detox_bench.errors import BadData
from detox_bench.neurons.fold.checkpoint import FLOATS, INDEX, Checkpoint, StoredTensor
from detox_bench.neurons.fold.folding import stored_as
from detox_bench.runs import write_json

_PIECE = 2**24  # bytes copied at once
_NAMES = {dtype: name for name, dtype in FLOATS.items()}
#: Bytes of one number; types not named have one, or less.
_SIZES = {"64": 8, "32": 4, "16": 2}

#: Makes one tensor when its turn has come.
Make = Callable[[], Tensor]


class Added(NamedTuple):
    """A tensor that is not in the checkpoint yet; it gets the type and the shard of another."""

    name: str
    beside: str
    shape: tuple[int, ...]
    make: Make


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be other than in the checkpoint.

    Args:
        changed: How tensors are made anew, by their stored names; their shapes stay.
        added: New tensors.
        dtype: The type of floating-point tensors that are coarser; their own if None.
    """

    changed: Mapping[str, Make]
    added: tuple[Added, ...] = ()
    dtype: torch.dtype | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    """One tensor to write: made, or copied from where it is stored."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: Make | StoredTensor
    size: int


def bytes_of(checkpoint: Checkpoint) -> int:
    """Return how many bytes the tensors of a checkpoint take."""
    return sum(each.end - each.begin for each in checkpoint.tensors.values())


def write_checkpoint(
    checkpoint: Checkpoint, folder: Path, changes: Changes, wrote: Callable[[int], Any]
) -> None:
    """Write the checkpoint with ``changes`` to another folder, shard by shard.

    ``wrote`` is told the bytes of each piece. Raises ``BadIntervention`` for numbers too large for
    their type, ``BadData`` for a file that cannot be read.
    """
    pieces = {shard: list(_pieces(checkpoint, shard, changes)) for shard in checkpoint.shards}
    for shard, content in pieces.items():
        # Wide types first, as safetensors writes them: every tensor then begins where it may.
        content.sort(key=lambda piece: -_itemsize(piece.dtype))
        _write_shard(folder / shard, content, checkpoint.metadata[shard], wrote)
    if checkpoint.index is not None:
        write_json(folder / INDEX, _index(checkpoint.index, pieces))


def _pieces(checkpoint: Checkpoint, shard: str, changes: Changes) -> Iterator[_Piece]:
    beside: dict[str, list[Added]] = {}
    for each in changes.added:
        beside.setdefault(each.beside, []).append(each)
    for name, stored in checkpoint.tensors.items():
        if stored.file.name != shard:
            continue
        dtype = _new_dtype(stored.dtype, changes.dtype)
        kept = stored if dtype == stored.dtype else stored.read
        source: Make | StoredTensor = changes.changed.get(name, kept)
        yield _piece(name, dtype, stored.shape, source)
        for new in beside.get(name, ()):
            yield _piece(new.name, dtype, new.shape, new.make)


def _piece(name: str, dtype: str, shape: tuple[int, ...], source: Make | StoredTensor) -> _Piece:
    if isinstance(source, StoredTensor):
        return _Piece(name, dtype, shape, source, source.end - source.begin)
    count = int(torch.Size(shape).numel())
    return _Piece(name, dtype, shape, source, count * _itemsize(dtype))


def _new_dtype(stored: str, dtype: torch.dtype | None) -> str:
    """Return the type to write: never a coarser one than the tensor has."""
    if dtype is None or stored not in FLOATS:
        return stored
    return max(stored, _NAMES[dtype], key=_itemsize)


def _itemsize(dtype: str) -> int:
    return _SIZES.get(dtype[-2:], 1)


def _write_shard(
    file: Path, pieces: Iterable[_Piece], metadata: Mapping[str, str], wrote: Callable[[int], Any]
) -> None:
    with file.open("wb") as target:
        target.write(_header(pieces, metadata))
        for piece in pieces:
            for part in _bytes(piece):
                target.write(part)
                wrote(len(part))


def _header(pieces: Iterable[_Piece], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begin = 0
    for each in pieces:
        offsets = [begin, begin + each.size]
        header[each.name] = {"dtype": each.dtype, "shape": each.shape, "data_offsets": offsets}
        begin += each.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _bytes(piece: _Piece) -> Iterator[bytes | memoryview]:
    if isinstance(piece.source, StoredTensor):
        with piece.source.file.open("rb") as stored:
            yield from _copied(stored, piece.source.begin, piece.size)
        return
    made = stored_as(piece.source(), FLOATS[piece.dtype]).contiguous()
    assert tuple(made.shape) == piece.shape, f"{piece.name} changed its shape"
    for part in made.view(-1).view(torch.uint8).split(_PIECE):
        yield memoryview(part.numpy())


def _copied(stored: BinaryIO, begin: int, size: int) -> Iterator[bytes]:
    stored.seek(begin)
    while size > 0:
        part = stored.read(min(_PIECE, size))
        if not part:
            raise BadData(f"{stored.name} was cut off while it was read. Fetch the model again.")
        size -= len(part)
        yield part


def _index(old: Mapping[str, Any], pieces: Mapping[str, list[_Piece]]) -> dict[str, Any]:
    """Return the index with the new tensors in it, in the order it had."""
    places = {piece.name: shard for shard, content in pieces.items() for piece in content}
    names = [*old["weight_map"], *sorted(set(places) - set(old["weight_map"]))]
    every = [piece for content in pieces.values() for piece in content]
    metadata = dict(old.get("metadata") or {})
    metadata["total_size"] = sum(piece.size for piece in every)
    if "total_parameters" in metadata:
        new = set(places) - set(old["weight_map"])
        counts = [int(torch.Size(piece.shape).numel()) for piece in every if piece.name in new]
        metadata["total_parameters"] += sum(counts)
    return {**old, "metadata": metadata, "weight_map": {name: places[name] for name in names}}
