"""Reference log-probabilities kept between runs: the reference never changes, so why ask it again.

One safetensors file for each (weights of the reference, ids of the pairs, precision); the ids
stand for data, tokenizer, lengths and ends of text.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from detox_bench.runs import digest

logger = logging.getLogger(__name__)


class ReferenceLogProbabilities(NamedTuple):
    """Summed natural log-probabilities ``(n_pairs,)`` of the continuations, float32."""

    chosen: NDArray[np.float32]
    rejected: NDArray[np.float32]


class ReferenceCache:
    """The folder of the files. A file that cannot be read is made again, with a warning."""

    def __init__(self, folder: Path | None) -> None:
        """Keep files in ``folder``; None keeps nothing."""
        self._folder = folder

    def get(self, key: Mapping[str, object], count: int) -> ReferenceLogProbabilities | None:
        """Return what is stored for ``key`` and has ``count`` pairs, or None."""
        if self._folder is None or not self._file(key).is_file():
            return None
        try:
            found = load_file(self._file(key))
            values = ReferenceLogProbabilities(found["chosen"], found["rejected"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            logger.warning("%s cannot be read (%s) and is made again.", self._file(key), error)
            return None
        whole = all(v.shape == (count,) and np.isfinite(v).all() for v in values)
        return values if whole else None

    def put(self, key: Mapping[str, object], values: ReferenceLogProbabilities) -> None:
        """Store ``values``; a disk that is full costs a warning, not the run."""
        if self._folder is None:
            return
        file = self._file(key)
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file(values._asdict(), temporary)
            temporary.replace(file)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                temporary.unlink()
            logger.warning("The reference log-probabilities are not kept: %s.", error)

    def _file(self, key: Mapping[str, object]) -> Path:
        assert self._folder is not None, "a cache without a folder has no files"
        return self._folder / f"{digest(dict(key))}.safetensors"
