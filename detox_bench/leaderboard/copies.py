"""Copies: whether two submissions hold the same texts, told from a few of their hashes.

A sketch is the hashes of the texts of the prompts that ``content.in_sketch`` chooses: the same
prompts in every submission. Their lines are the first of a file (``content.in_order``), so that a
sketch costs the beginning of it.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.errors import BadData
from detox_bench.leaderboard.content import in_sketch, key_of
from detox_bench.leaderboard.folders import Board, Spot
from detox_bench.leaderboard.json_of_strangers import open_regular
from detox_bench.leaderboard.reading import MOST_SAMPLES_FILE, unpacked_lines
from detox_bench.leaderboard.submission import SAMPLES, SampleLine

#: Bytes of a line.
_LONGEST = 100_000
#: The fields that a sketch needs, as ``content.pack_lines`` writes them.
_PROMPT = re.compile(rb'"prompt_id":"([^"\\]{1,200})"')
_TEXTS = re.compile(rb'"texts":\["([0-9a-f",]*)"\]')


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
    """Return the sketch of samples, wherever the lines stand."""
    chosen = (line for line in lines if in_sketch(line.prompt_id))
    return _sketch((line.prompt_id, _numbers("".join(line.texts))) for line in chosen)


def overlap(one: Sketch, other: Sketch) -> Overlap:
    """Compare two sketches on the prompts that both have; none if they differ in k."""
    _, left, right = np.intersect1d(one.keys, other.keys, True, return_indices=True)
    if not len(left) or one.texts.shape[1] != other.texts.shape[1]:
        return Overlap(0.0, 0.0, 0)
    first, second = one.texts[left], other.texts[right]
    same, chance = first == second, first == np.roll(second, 1, axis=1)
    return Overlap(float(same.mean()), float(chance.mean()), same.size)


def sketches(board: Board, spots: Iterable[Spot]) -> Iterator[tuple[Spot, Sketch]]:
    """Yield the sketch of each spot, from the first lines of its samples."""
    for spot in spots:
        yield spot, _sketch_of_file(board.folder(spot) / SAMPLES)


def _sketch_of_file(file: Path) -> Sketch:
    """Return the sketch of a file without parsing it; of one that is not ours, an empty one."""
    try:
        with open_regular(file, MOST_SAMPLES_FILE) as content:
            rows = map(_fields, unpacked_lines(content, file.name, _LONGEST))
            return _sketch(takewhile(lambda row: in_sketch(row[0]), rows))
    except BadData:
        return _sketch([])


def _fields(line: bytes) -> tuple[str, NDArray[np.uint64]]:
    prompt, texts = _PROMPT.search(line), _TEXTS.search(line)
    if not (prompt and texts):
        raise BadData("This is no line of samples.")
    hashes = texts.group(1).replace(b'","', b"").decode()
    return prompt.group(1).decode("utf-8", "replace"), _numbers(hashes)


def _numbers(hashes: str) -> NDArray[np.uint64]:
    """Return hashes of 16 hex digits, one after the other, as numbers."""
    try:
        return np.frombuffer(bytes.fromhex(hashes), dtype=">u8").astype(np.uint64)
    except ValueError as error:
        raise BadData("These are no hashes of 16 hex digits.") from error


def _sketch(prompts: Iterable[tuple[str, NDArray[np.uint64]]]) -> Sketch:
    """Return the sketch of ids of prompts with hashes of texts; k is that of the first."""
    found = {key_of(prompt): texts for prompt, texts in prompts}
    k = len(next(iter(found.values()), ()))
    whole = {key: found[key] for key in sorted(found) if len(found[key]) == k}
    hashes = np.array(list(whole.values()), dtype=np.uint64).reshape(len(whole), k)
    return Sketch(np.array(list(whole), dtype=np.uint64), hashes)
