"""The files of a probe, and vectors that others made, read without running anything in them.

::

    probe.safetensors   one tensor ``weight``, float32, ``(hidden_size,)``; the schema in its header
    probe.json          {"schema": 1, "base_model": {...}, "after_norm": true,
                         "weight_sha256": "...", and what was asked and found}

A bare vector is taken from any file of a kind in ``READERS``. To support another kind, add a row.
"""

import hashlib
import json
import math
import os
import pickletools
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.runs import write_json

_SCHEMA = 1
_WEIGHT, RECORD = "probe.safetensors", "probe.json"
_HEADER = ("schema", "base_model", "after_norm", "weight_sha256")
_LARGEST = 2**26  # bytes of a vector; one of a million numbers has 2**22
#: What the readers raise for a damaged or foreign file; a zip of another kind is a RuntimeError.
_FAILURES: tuple[type[Exception], ...] = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, OverflowError),
    *(SafetensorError, BadZipFile, zlib.error, struct.error),
)
_INTEGERS = ("BININT", "BININT1", "BININT2", "LONG1", "LONG4")


@dataclass(frozen=True, slots=True)
class Probe:
    """A direction of the residual stream that tells toxic from other texts.

    Args:
        vector: ``(hidden_size,)``; toxic texts have the higher product with it.
        after_norm: Whether it was fitted to states behind the final norm.
        base_model: The model it was fitted to; None where that is not known.
        about: What was asked and found, as JSON.
    """

    vector: NDArray[np.float32]
    after_norm: bool = True
    base_model: BaseModel | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


def write_probe(folder: Path, probe: Probe) -> None:
    """Write the two files of a probe into ``folder``, the record last."""
    _check(probe.vector, folder)
    folder.mkdir(parents=True, exist_ok=True)
    # One entry only: safetensors writes several in an order that changes from run to run.
    metadata = {"detox_bench_probe": f"schema {_SCHEMA}"}
    temporary = folder / f".{_WEIGHT}.{os.getpid()}"
    try:
        temporary.write_bytes(save({"weight": probe.vector}, metadata))
        temporary.replace(folder / _WEIGHT)
    except OSError as error:
        raise DetoxBenchError(f"Cannot write {folder / _WEIGHT}: {error.strerror}.") from error
    model = asdict(probe.base_model) if probe.base_model else None
    header = (_SCHEMA, model, probe.after_norm, _sha256(probe.vector))
    write_json(folder / RECORD, dict(zip(_HEADER, header, strict=True)) | dict(probe.about))


def read_probe(path: Path) -> Probe:
    """Read the folder of a probe, one of its files, or a bare vector.

    A bare vector is one tensor ``(hidden_size,)`` or ``(1, hidden_size)``, alone in its file: such
    a probe has no base model, and is taken to be fitted behind the final norm, as the paper's is
    (arXiv 2406.16235). Nothing is unpickled. Raises ``BadData`` for anything else.
    """
    folder = path if path.is_dir() else path.parent
    of_probe = path.is_dir() or path.name in (_WEIGHT, RECORD)
    if of_probe and ((folder / RECORD).exists() or path.is_dir()):
        return _read_folder(folder)
    return Probe(_read_vector(path), about={"imported_from": path.name})


def check_width(probe: Probe, hidden: int) -> None:
    """Raise ``BadData`` if the probe is not as wide as a model's residual stream."""
    width = len(probe.vector)
    if width != hidden:
        made = f" It was fitted to {probe.base_model.name}." if probe.base_model else ""
        raise BadData(
            f"The probe has {width} numbers, and the model's hidden size is {hidden}.{made} "
            "Fit one to this model: `detox-bench neurons probe`."
        )


def _read_folder(folder: Path) -> Probe:
    record = folder / RECORD
    vector = _read_vector(folder / _WEIGHT)
    try:
        found = json.loads(record.read_text("utf-8"))
        if found["schema"] != _SCHEMA:
            raise ValueError(f"schema {found['schema']!r}, and this version reads {_SCHEMA}")
        model = BaseModel(**found["base_model"]) if found["base_model"] else None
        after_norm, sha256 = bool(found["after_norm"]), found["weight_sha256"]
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BadData(
            f"{record} is not the record of a probe ({type(error).__name__}: {error}). "
            "`detox-bench neurons probe` writes one."
        ) from error
    if sha256 != _sha256(vector):
        raise BadData(
            f"{record} was written with another {_WEIGHT} than the one beside it. "
            "Run `detox-bench neurons probe` again."
        )
    about = {key: value for key, value in found.items() if key not in _HEADER}
    return Probe(vector, after_norm, model, about)


def _read_vector(path: Path) -> NDArray[np.float32]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise BadData(f"{path} is no probe. A folder, or a file: {', '.join(READERS)}.")
    if not path.is_file():
        raise BadData(f"{path} is not there. `detox-bench neurons probe` writes a probe.")
    try:
        found = reader(path)
    except _FAILURES as error:
        raise BadData(f"{path} holds no vector that can be read: {error}.") from error
    return _check(found, path)


def _check(found: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Return one vector in float32."""
    if found.ndim == 2 and len(found) == 1:
        found = found[0]
    if found.ndim != 1 or not found.size:
        raise BadData(f"{path} has a tensor of shape {found.shape}, and a probe has one dimension.")
    if found.dtype.kind not in "fiu":
        raise BadData(f"{path} holds {found.dtype}, and a probe is of real numbers.")
    with np.errstate(over="ignore"):
        vector = np.ascontiguousarray(found, dtype=np.float32)
    if not np.isfinite(vector).all():
        count = int((~np.isfinite(vector)).sum())
        raise BadData(f"{count} of the {vector.size} numbers of {path} are not finite.")
    if not vector.any():
        raise BadData(f"All {vector.size} numbers of {path} are 0: it has no direction.")
    return vector


def _from_safetensors(path: Path) -> NDArray[Any]:
    with safe_open(path, framework="pt") as tensors:
        names = sorted(tensors.keys())
        if len(names) != 1:
            raise ValueError(f"{len(names)} tensors ({', '.join(names[:5])}), not one")
        found: torch.Tensor = tensors.get_tensor(names[0])
    # numpy has no bfloat16.
    return (found.float() if found.is_floating_point() else found).numpy()


def _from_numpy(path: Path) -> NDArray[Any]:
    found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.ndarray):
        raise ValueError("several arrays, not one")
    return found


def _from_json(path: Path) -> NDArray[Any]:
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, list):
        raise ValueError("no list of numbers")
    return np.asarray(found)


def _from_torch(path: Path) -> NDArray[Any]:
    """Return the one tensor of a file by ``torch.save``, which must be the whole of its storage.

    Such a file is a zip of raw storages and a pickle that puts them together. The pickle's
    operations are listed to see the type of the storage and the shape, and never run.
    """
    with ZipFile(path) as archive:
        storages = [each for each in archive.infolist() if re.search(r"/data/\d+$", each.filename)]
        if len(storages) != 1:
            raise ValueError(f"{len(storages)} storages, not one")
        if storages[0].file_size > _LARGEST:
            raise ValueError(f"a storage of {storages[0].file_size} bytes, too long for a vector")
        prefix = storages[0].filename.rpartition("/data/")[0]
        shape = _check_storage(archive, prefix)
        content = archive.read(storages[0])
    if len(content) % 4:
        raise ValueError(f"a storage of {len(content)} bytes, which are no float32 numbers")
    numbers = np.frombuffer(content, dtype="<f4")
    if numbers.size != math.prod(shape):
        raise ValueError(f"a tensor of shape {shape} in a storage of {numbers.size} numbers")
    return numbers.reshape(shape)


def _check_storage(archive: ZipFile, prefix: str) -> tuple[int, ...]:
    """Return the shape; raise ``ValueError`` unless of float32 numbers, lowest byte first."""
    pickle = f"{prefix}/data.pkl"
    if pickle not in archive.namelist() or archive.getinfo(pickle).file_size > _LARGEST:
        raise ValueError("not a file of torch.save")
    steps = [(step.name, given) for step, given, _ in pickletools.genops(archive.read(pickle))]
    words = " ".join(each for _, each in steps if isinstance(each, str)).split()
    kinds = {word for word in words if word.endswith("Storage")}
    if kinds != {"FloatStorage"}:
        raise ValueError(f"a storage of type {', '.join(sorted(kinds)) or 'unknown'}, not float32")
    order = f"{prefix}/byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise ValueError("a storage whose highest byte comes first")
    return _shape(steps)


def _shape(steps: Iterable[tuple[str, Any]]) -> tuple[int, ...]:
    """Return the shape: the first tuple behind the storage and the place where it begins there."""
    behind = dropwhile(lambda step: step[0] != "BINPERSID", steps)
    given = takewhile(lambda step: "TUPLE" not in step[0], behind)
    numbers = [number for name, number in given if name in _INTEGERS]
    if not numbers:
        raise ValueError("a tensor without a shape")
    return tuple(numbers[1:])


READERS: dict[str, Callable[[Path], NDArray[Any]]] = {
    ".safetensors": _from_safetensors,
    ".npy": _from_numpy,
    ".json": _from_json,
    ".pt": _from_torch,
    ".pth": _from_torch,
    ".bin": _from_torch,
}


def _sha256(vector: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").tobytes()).hexdigest()[:16]
