"""Copies: whether two submissions hold the same texts, told from a few of their hashes.

A sketch keeps the hashes of the texts of about one prompt in sixteen, chosen by the hash of its id,
so that two sketches speak of the same prompts. Sketches of what is on the board are kept in the
user's data folder, never beside the board: a pull request could bring a false one.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.errors import BadData
from detox_bench.leaderboard.folders import Board, Spot
from detox_bench.leaderboard.json_of_strangers import open_regular
from detox_bench.leaderboard.reading import MOST_SAMPLES_FILE, unpacked_lines
from detox_bench.leaderboard.submission import SAMPLES, SampleLine
from detox_bench.locations import data_folder
from detox_bench.runs import digest

logger = logging.getLogger(__name__)

#: One prompt in so many is kept.
_ONE_IN = 16
#: Bytes of a line.
_LONGEST = 100_000
#: The fields that a sketch needs, as ``content.pack_lines`` writes them.
_PROMPT = re.compile(rb'"prompt_id":"([^"\\]{1,200})"')
_TEXTS = re.compile(rb'"texts":\[([^\]]*)\]')
_HASH = re.compile(rb"[0-9a-f]{16}")


class Sketch(NamedTuple):
    """The ``(n,)`` keys of chosen prompts, each once, and the ``(n, k)`` hashes of their texts."""

    keys: NDArray[np.uint64]
    texts: NDArray[np.uint64]


class Overlap(NamedTuple):
    """How many texts two submissions share, as a share of those that both sketches have.

    ``same`` is of texts with the same prompt and sample number, ``chance`` of those of the same
    prompt with the next sample number: what two models that write short or common texts share.
    """

    same: float
    chance: float
    compared: int

    @property
    def excess(self) -> float:
        """How far above chance the texts agree, 1 for a copy, as Cohen's kappa has it."""
        return (self.same - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0


def sketch_of(lines: Iterable[SampleLine]) -> Sketch:
    """Return the sketch of samples."""
    return _sketch((line.prompt_id.encode(), line.texts) for line in lines)


def overlap(one: Sketch, other: Sketch) -> Overlap:
    """Compare two sketches on the prompts that both have; none if they differ in k."""
    _, left, right = np.intersect1d(one.keys, other.keys, True, return_indices=True)
    if not len(left) or one.texts.shape[1] != other.texts.shape[1]:
        return Overlap(0.0, 0.0, 0)
    first, second = one.texts[left], other.texts[right]
    same, chance = first == second, first == np.roll(second, 1, axis=1)
    return Overlap(float(same.mean()), float(chance.mean()), same.size)


def sketches(board: Board, spots: Iterable[Spot]) -> Iterator[tuple[Spot, Sketch]]:
    """Yield the sketch of each spot, from the store of sketches or made now and kept there."""
    folder = data_folder() / "leaderboard-sketches"
    for spot in spots:
        file = board.folder(spot) / SAMPLES
        kept = folder / f"{digest([*spot, _size(file)])}.bin"
        found = _load(kept)
        if found is None:
            found = _make(file)
            _store(kept, found)
        yield spot, found


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        return 0


def _make(file: Path) -> Sketch:
    """Return the sketch of a file without parsing it; of one that is not ours, an empty one."""
    try:
        with open_regular(file, MOST_SAMPLES_FILE) as content:
            return _sketch(filter(None, map(_fields, unpacked_lines(content, file.name, _LONGEST))))
    except BadData:
        return _sketch([])


def _fields(line: bytes) -> tuple[bytes, list[str]] | None:
    prompt, texts = _PROMPT.search(line), _TEXTS.search(line)
    if not (prompt and texts):
        return None
    return prompt.group(1), [each.decode() for each in _HASH.findall(texts.group(1))]


def _sketch(prompts: Iterable[tuple[bytes, Sequence[str]]]) -> Sketch:
    """Return the sketch of ids of prompts with hashes of texts; k is that of the first."""
    found: dict[int, Sequence[str]] = {}
    for prompt_id, texts in prompts:
        key = int.from_bytes(hashlib.blake2b(prompt_id, digest_size=8).digest(), "big")
        if key % _ONE_IN == 0:
            found[key] = texts
    k = len(next(iter(found.values()), ()))
    chosen = {key: [int(text, 16) for text in found[key]] for key in sorted(found)}
    whole = {key: texts for key, texts in chosen.items() if len(texts) == k}
    hashes = np.array(list(whole.values()), dtype=np.uint64).reshape(len(whole), k)
    return Sketch(np.array(list(whole), dtype=np.uint64), hashes)


def _store(file: Path, sketch: Sketch) -> None:
    """Write a sketch: n, k, the keys, the hashes, in 8 bytes each."""
    parts = [np.array(sketch.texts.shape, dtype="<u8"), sketch.keys, sketch.texts.ravel()]
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(np.concatenate(parts).astype("<u8").tobytes())
        temporary.replace(file)
    except OSError:  # a full or read-only disk costs time, not the check
        logger.warning("%s cannot be written; it is made again the next time.", file)


def _load(file: Path) -> Sketch | None:
    try:
        numbers = np.frombuffer(file.read_bytes(), dtype="<u8")
        n, k = map(int, numbers[:2])
        return Sketch(numbers[2 : n + 2], numbers[n + 2 :].reshape(n, k))
    except (OSError, ValueError):
        return None
