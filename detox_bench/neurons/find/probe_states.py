"""The hidden states a probe is fitted to, kept in a file that an interrupted run goes on with.

A record a text: its number, and its mean state in float32. Records are only ever added, in whatever
order texts are run. A process that dies, by ``kill -9`` too, leaves at most a half-written last
record, which is cut off; what was not yet run is run by the next. The file's name stands for the
weights, the tokenizer, the texts and what was asked of them, so that no other states are taken.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tqdm import tqdm

from detox_bench.errors import BadRunFolder
from detox_bench.modeling.architectures import neuron_shape
from detox_bench.modeling.hidden_states import StateBatch, StateSettings, state_batches
from detox_bench.modeling.loading import LoadedModel
from detox_bench.runs import digest

logger = logging.getLogger(__name__)

_PIECE = 4096  # rows looked at at once
_TOLD = 200  # texts whose tokens stand for the tokenizer


class StoredStates(NamedTuple):
    """The rows of a file ``(n_records, hidden_size)``, and the row of each text that has a state.

    ``texts`` ``(n,)`` are the numbers of these texts, ascending, and ``places`` ``(n,)`` their
    rows.
    """

    rows: NDArray[np.float32]
    texts: NDArray[np.int64]
    places: NDArray[np.int64]


def stored_states(
    folder: Path,
    loaded: LoadedModel,
    fingerprint: str | None,
    texts: Sequence[str],
    settings: StateSettings,
) -> StoredStates:
    """Return the mean states of ``texts``, running those that ``folder`` does not hold yet.

    ``fingerprint`` is of the model's weights. Raises ``BadRunFolder`` where the folder cannot be
    written or another process writes to it, and as ``state_batches``.
    """
    width = neuron_shape(loaded.model).hidden
    record = np.dtype([("text", "<i4"), ("state", "<f4", (width,))])
    file = folder / f"states-{_key(loaded, fingerprint, texts, settings)}.bin"
    with _held(folder):
        _mend(file, record.itemsize)
        done = frozenset(_records(file, record)["text"].tolist())
        if done:
            logger.info("%d of %d hidden states are taken from %s.", len(done), len(texts), file)
        batches = state_batches(loaded.model, loaded.tokenizer, texts, settings, done)
        if len(done) < len(texts):
            _add(file, record, batches, len(texts))
    return _in_order(_records(file, record))


def _key(
    loaded: LoadedModel, fingerprint: str | None, texts: Sequence[str], settings: StateSettings
) -> str:
    tokens = loaded.tokenizer(list(texts[:_TOLD]), verbose=False)["input_ids"]
    dtype, after_norm = str(loaded.model.dtype), settings.after_norm
    return digest([fingerprint, dtype, after_norm, digest(tokens), digest(list(texts))])


def _records(file: Path, record: np.dtype[Any]) -> NDArray[Any]:
    if not file.exists() or not file.stat().st_size:
        return np.zeros(0, dtype=record)
    return np.memmap(file, dtype=record, mode="r")


def _mend(file: Path, size: int) -> None:
    """Cut off what a killed process left behind the last whole record."""
    if file.exists() and (extra := file.stat().st_size % size):
        os.truncate(file, file.stat().st_size - extra)


def _add(file: Path, record: np.dtype[Any], batches: Iterator[StateBatch], total: int) -> None:
    """Write each batch as it comes, unbuffered."""
    done = file.stat().st_size // record.itemsize if file.exists() else 0
    with (
        _sentence_for_os_errors(file),
        file.open("ab", buffering=0) as stream,
        tqdm(total=total, initial=done, desc="Hidden states", unit=" texts", disable=None) as bar,
    ):
        for batch in batches:
            records = np.empty(len(batch.texts), dtype=record)
            records["text"], records["state"] = batch.texts, batch.states
            left = memoryview(records.tobytes())
            while left:
                left = left[stream.write(left) :]
            bar.update(len(batch.texts))


def _in_order(records: NDArray[Any]) -> StoredStates:
    """Leave out the texts without a token, whose state is NaN, and sort the others."""
    rows, numbers = records["state"], records["text"].astype(np.int64)
    pieces = range(0, len(rows), _PIECE)
    known = [~np.isnan(rows[start : start + _PIECE, 0]) for start in pieces]
    order = np.argsort(numbers, kind="stable")
    order = order[np.concatenate([*known, np.zeros(0, dtype=bool)])[order]]
    return StoredStates(rows, numbers[order], order)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other processes from writing states into ``folder``."""
    lock = FileLock(folder / ".lock-states")
    with _sentence_for_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BadRunFolder(
                f"Another process is writing to {folder}. Wait for it, or name another folder."
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _sentence_for_os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Timeout:
        raise
    except OSError as error:
        raise BadRunFolder(
            f"Cannot write {path}: {error.strerror or error}. What was written before is kept; "
            "free the disk or name another folder."
        ) from error
