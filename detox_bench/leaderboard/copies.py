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
#: Tells the first of equal texts from the second: an odd number, 2^64 over the golden ratio.
_ODD = np.uint64(0x9E3779B97F4A7C15)


class Sketch(NamedTuple):
    """The texts of chosen prompts: the ``(n,)`` keys of these, each once, and two of ``(n, k)``.

    ``codes`` are numbers of prompt, text, and how often the text stood there before; ``own`` says
    whether a text stands for one prompt alone.
    """

    keys: NDArray[np.uint64]
    codes: NDArray[np.uint64]
    own: NDArray[np.bool_]


class Overlap(NamedTuple):
    """How many of another submission's own texts one has too, as a share of those ``compared``.

    A text is a submission's own if it stands for one prompt alone: the empty one, and the short and
    common ones that any two models share, do not count. The samples of a prompt are compared
    without their order, and a text that stands twice must be there twice.
    """

    same: float
    compared: int


def sketch_of(lines: Iterable[SampleLine]) -> Sketch:
    """Return the sketch of samples, wherever the lines stand."""
    chosen = (line for line in lines if in_sketch(line.prompt_id))
    return _sketch((line.prompt_id, _numbers("".join(line.texts))) for line in chosen)


def overlap(one: Sketch, other: Sketch) -> Overlap:
    """Look for the own texts of ``other`` in ``one``, at the prompts that both have."""
    counted = other.own & np.isin(other.keys, one.keys)[:, None]
    if not counted.any():
        return Overlap(0.0, 0)
    found = np.isin(other.codes[counted], one.codes)
    return Overlap(float(found.mean()), found.size)


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
    whole = {key: texts for key, texts in found.items() if len(texts) == k}
    keys = np.array(list(whole), dtype=np.uint64)
    texts = np.sort(np.array(list(whole.values()), dtype=np.uint64).reshape(len(whole), k))
    new = np.ones(texts.shape, dtype=bool)
    new[:, 1:] = texts[:, 1:] != texts[:, :-1]
    prompts_of, times = np.unique(texts[new], return_counts=True)
    before = _before(new)
    return Sketch(
        keys,
        (texts ^ keys[:, None]) + before * _ODD,
        ~np.isin(texts, prompts_of[times > 1]),
    )


def _before(new: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return how many places before it, in its row, each text's first equal stands."""
    places = np.arange(new.shape[1])
    return (places - np.maximum.accumulate(np.where(new, places, 0), axis=1)).astype(np.uint64)
