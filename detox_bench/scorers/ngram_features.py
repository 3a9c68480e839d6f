"""The features of the scorer ``ngram``: hashed n-grams of normalised characters and words.

Fitting and scoring share this module, so a text has the same features in both. A whole batch is one
array of code points: every n-gram order is one multiplication and one addition over that array.
To support another kind of feature, add a row to ``BLOCKS`` and its hashes to ``_hashes``; then fit
again with ``python -m detox_bench.scorers.build_ngram``.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.scorers.ngram_text import SPACE, Codes, normalised_codes

Flags = NDArray[np.bool_]
Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]


class Block(NamedTuple):
    """One kind of feature: hashes of the kind ``of``, in a table of ``2 ** bits`` buckets.

    ``gain`` multiplies the values; ``apart`` gives each language features of its own.
    """

    name: str
    of: str
    bits: int
    gain: float = 1.0
    apart: bool = False


BLOCKS = (
    Block("char2", "char2", 16),
    Block("char3", "char3", 18),
    Block("char4", "char4", 19),
    Block("char5", "char5", 19),
    Block("prefix", "prefix", 19),
    Block("word", "word", 18, gain=1.5),
    Block("pair", "pair", 18),
    Block("prefix_apart", "prefix", 18, apart=True),
    Block("word_apart", "word", 18, apart=True),
)
CHARACTER_ORDERS = (2, 3, 4, 5)
PREFIX_LENGTHS = (3, 10)

_MODULUS = 2**64
_STEP = 0xD6E8FEB86659FD93
_MIX = 0x9E3779B97F4A7C15
_PREFIX_SALT = np.uint64(0xA24BAED4963EE407)
_WORD_SALT = np.uint64(0x9FB21C651E98DF25)
_PAIR_STEP = np.uint64(31)


class Stream(NamedTuple):
    """A batch of texts, each between spaces, 0 between two texts; all arrays have one length.

    ``rows`` is the text, ``first`` the first place of that text; ``inside``, ``begin`` and ``end``
    mark words; ``so_far`` is the hash of a word up to here and ``total`` a running sum from which
    ``span_hashes`` gives the hash of any span.
    """

    codes: Codes
    rows: Numbers
    first: Numbers
    inside: Flags
    begin: Flags
    end: Flags
    start: Numbers
    letters: Hashes
    so_far: Hashes
    total: Hashes


def read_stream(texts: Sequence[str]) -> Stream:
    """Return ``texts`` normalised, in the form that features and terms are read from."""
    codes = _padded(normalised_codes(texts), len(texts))
    place = np.arange(len(codes))
    separator = codes == 0
    inside = (codes != SPACE) & ~separator
    begin, end = inside.copy(), inside.copy()
    begin[1:] &= ~inside[:-1]
    end[:-1] &= ~inside[1:]
    start = np.maximum.accumulate(np.where(begin, place, 0))
    letters = letter_hashes(codes)
    total = np.cumsum(letters * _powers(_room(len(codes)))[0][: len(codes)])
    return Stream(
        codes=codes,
        rows=np.cumsum(separator),
        first=np.maximum.accumulate(np.where(separator, place + 1, 0)),
        inside=inside,
        begin=begin,
        end=end,
        start=start,
        letters=letters,
        so_far=span_hashes(total, start, place),
        total=total,
    )


def _padded(codes: Codes, n_texts: int) -> Codes:
    """Put a space before and after each text and cut runs of spaces to one."""
    separator = codes == 0
    rows = np.cumsum(separator)
    padded = np.full(len(codes) + 2 * n_texts, SPACE, np.uint32)
    padded[np.arange(len(codes)) + 1 + 2 * rows - separator] = codes
    keep = np.ones(len(padded), bool)
    keep[1:] = (padded[1:] != SPACE) | (padded[:-1] != SPACE)
    return padded[keep]


def letter_hashes(codes: Codes) -> Hashes:
    """Return a 64-bit hash of each code point."""
    mixed = (codes.astype(np.uint64) + np.uint64(1)) * np.uint64(_MIX)
    return mixed ^ (mixed >> np.uint64(29))


def span_hashes(total: Hashes, start: Numbers, stop: Numbers) -> Hashes:
    """Return the hash of each span from ``start`` to ``stop``, both included."""
    before = np.where(start > 0, total[np.maximum(start - 1, 0)], np.uint64(0))
    return (total[stop] - before) * _powers(_room(len(total)))[1][start]


def pair_hashes(first: Hashes, second: Hashes) -> Hashes:
    """Return the hash of two words in a row, given the hash of each."""
    return (first * _PAIR_STEP) ^ (second * np.uint64(_STEP))


def _hashes(stream: Stream) -> Iterator[tuple[str, Numbers, Hashes]]:
    """Yield name, text number and hash of the features of each block."""
    place = np.arange(len(stream.codes)) - stream.first
    gram = stream.letters
    for order in range(2, max(CHARACTER_ORDERS) + 1):
        longer = stream.letters.copy()
        longer[1:] += gram[:-1] * np.uint64(_STEP)
        gram = longer
        if order in CHARACTER_ORDERS:
            whole = (place >= order - 1) & (stream.codes != 0)
            yield f"char{order}", stream.rows[whole], gram[whole] * np.uint64(2 * order + 1)
    yield from _word_hashes(stream)


def _word_hashes(stream: Stream) -> Iterator[tuple[str, Numbers, Hashes]]:
    """Yield the hashes of word beginnings, of words and of pairs of words."""
    length = np.arange(len(stream.codes)) - stream.start + 1
    short = stream.inside & (length >= PREFIX_LENGTHS[0]) & (length <= PREFIX_LENGTHS[1])
    yield "prefix", stream.rows[short], stream.so_far[short] * _PREFIX_SALT
    rows, words = stream.rows[stream.end], stream.so_far[stream.end]
    yield "word", rows, words * _WORD_SALT
    same = rows[1:] == rows[:-1]
    yield "pair", rows[1:][same], pair_hashes(words[:-1], words[1:])[same]


def _room(length: int) -> int:
    return int(max(1 << 16, 1 << (length - 1).bit_length()))


@cache
def _powers(length: int) -> tuple[Hashes, Hashes]:
    """Return the powers of the hash step and of its inverse modulo 2 ** 64."""
    power = np.full(length, _STEP, np.uint64)
    inverse = np.full(length, pow(_STEP, -1, _MODULUS), np.uint64)
    power[0] = inverse[0] = 1
    return np.cumprod(power), np.cumprod(inverse)


def _bucket(hashes: Hashes, bits: int) -> Numbers:
    mixed = (hashes ^ (hashes >> np.uint64(32))) * np.uint64(_STEP)
    return (mixed >> np.uint64(64 - bits)).astype(np.int64)


def buckets(stream: Stream, language: str) -> Iterator[tuple[int, Numbers, Numbers]]:
    """Yield for each block its number in BLOCKS, and text and bucket of each of its features."""
    salt = np.uint64(int.from_bytes(language.encode()[:8], "big") * _MIX % _MODULUS)
    for kind, rows, hashes in _hashes(stream):
        for number, block in enumerate(BLOCKS):
            if block.of == kind:
                salted = hashes ^ salt if block.apart else hashes
                yield number, rows, _bucket(salted, block.bits)
