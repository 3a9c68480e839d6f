"""The features of the scorer ``ngram``: hashed n-grams of normalised characters and words.

Fitting and scoring share this module, so a text has the same features in both. A whole batch is one
array of code points: every n-gram order is one multiplication and one addition over that array.
To support another kind of feature, add a row to ``BLOCKS`` and its hashes to ``_hashes``; then fit
again with ``python -m detox_bench.scorers.build_ngram``.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]

MAX_CHARACTERS = 10_000
"""Only the first so many characters of a text are read."""


class Block(NamedTuple):
    """One kind of feature: its table has ``2 ** bits`` buckets; ``gain`` multiplies its values."""

    name: str
    bits: int
    gain: float


BLOCKS = (
    Block("char2", 16, 1.0),
    Block("char3", 18, 1.0),
    Block("char4", 19, 1.0),
    Block("char5", 19, 1.0),
    Block("prefix", 19, 1.0),
    Block("word", 18, 1.5),
    Block("pair", 18, 1.0),
)
CHARACTER_ORDERS = (2, 3, 4, 5)
PREFIX_LENGTHS = (3, 10)

_SEPARATOR = "\0"
_SPACE = 32
_URL = re.compile(r"(?:https?://|www\.)[^\s\0]+|@url\b", re.IGNORECASE)
_MENTION = re.compile(r"@[\w.\-]+")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD6E8FEB86659FD93)
_STEP_INVERSE = np.uint64(pow(0xD6E8FEB86659FD93, -1, 2**64))
_SALTS = {"prefix": 0xA24BAED4963EE407, "word": 0x9FB21C651E98DF25}

_GAP, _WORD, _SYMBOL, _DELETED = range(4)
_DELETED_RANGES = (
    (0x300, 0x370),  # combining accents of Latin and Cyrillic
    (0x591, 0x5C8),  # Hebrew points
    (0x610, 0x61B),  # Arabic marks
    (0x64B, 0x660),  # Arabic vowel marks
    (0x670, 0x671),
    (0x640, 0x641),  # tatweel
    (0x93C, 0x93D),  # nukta
    (0xFE00, 0xFE10),  # variation selectors
    (0x1F3FB, 0x1F400),  # skin tones
)
_DELETED_CHARACTERS = "'’`´ʼ"
_SAME_LETTER = str.maketrans("ىةؤئکیıłđøæœёґ", "يهويكيildoeeег")
_LEET = dict(zip("@$0134578!", "asoieastbi", strict=True))


@cache
def _character_classes() -> NDArray[np.uint8]:
    """Return the class of every code point: gap, word character, symbol or deleted."""
    by_category = {"L": _WORD, "N": _WORD, "M": _WORD}
    exact = {"So": _SYMBOL, "Sk": _SYMBOL, "Cf": _DELETED, "Cs": _DELETED}
    classes = np.zeros(0x110000, np.uint8)
    for point in range(0x30000):
        category = unicodedata.category(chr(point))
        classes[point] = exact.get(category, by_category.get(category[0], _GAP))
    for start, stop in _DELETED_RANGES:
        classes[start:stop] = _DELETED
    classes[[ord(c) for c in _DELETED_CHARACTERS]] = _DELETED
    classes[ord("*")] = _WORD
    return classes


@cache
def _letter_map() -> Codes:
    """Return the code point that each code point is read as."""
    letters = np.arange(0x110000, dtype=np.uint32)
    for source, target in _SAME_LETTER.items():
        letters[source] = target
    return letters


@cache
def _leet_map() -> Codes:
    """Return the letter that an ASCII digit or sign stands for inside a word, or 0."""
    table = np.zeros(0x110000, np.uint32)
    for sign, letter in _LEET.items():
        table[ord(sign)] = ord(letter)
    return table


def normalised_codes(texts: Sequence[str]) -> Codes:
    """Return the code points of ``texts``, normalised and joined with 0 between them.

    NFKD and case folding, accents and vowel marks removed, look-alike letters unified, links and
    mentions masked, digits inside words read as letters, numbers as one digit, punctuation as one
    space, runs of a character cut to two.
    """
    joined = _SEPARATOR.join(t[:MAX_CHARACTERS].replace(_SEPARATOR, " ") for t in texts)
    joined = _MENTION.sub("@", _URL.sub(" ⌁ ", joined))
    folded = unicodedata.normalize("NFKD", joined).casefold()
    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = _letter_map()[codes]
    codes, classes = _unmask_letters(codes, _character_classes()[codes])
    keep = (classes != _DELETED) | (codes == 0)
    codes, classes = codes[keep], classes[keep]
    codes = np.where((classes == _GAP) & (codes != 0), np.uint32(_SPACE), codes)
    return codes[~_repeated(codes, classes)]


def _unmask_letters(
    codes: Codes, classes: NDArray[np.uint8]
) -> tuple[Codes, NDArray[np.uint8]]:
    """Read digits and signs between two ASCII letters as letters, and all other digits as 0."""
    digit = (codes >= ord("0")) & (codes <= ord("9"))
    letter = (classes == _WORD) & ~digit & (codes < 128) & (codes != ord("*"))
    between = np.zeros(len(codes), bool)
    between[1:-1] = letter[:-2] & letter[2:]
    meant = _leet_map()[codes]
    between &= meant > 0
    codes = np.where(digit, np.uint32(ord("0")), codes)
    return np.where(between, meant, codes), np.where(between, np.uint8(_WORD), classes)


def _repeated(codes: Codes, classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark what repeats: from the third of a letter, from the second of anything else."""
    second = np.zeros(len(codes), bool)
    second[1:] = codes[1:] == codes[:-1]
    third = second.copy()
    third[1:] &= second[:-1]
    lettered = (classes == _WORD) & (codes != ord("0")) & (codes != ord("*"))
    marked: NDArray[np.bool_] = np.where(lettered, third, second) & (codes != 0)
    return marked


class _Stream(NamedTuple):
    """A batch, each text between spaces: codes, the text each belongs to, and its first place."""

    codes: Codes
    rows: Rows
    first: Rows
    gap: NDArray[np.bool_]


def _stream(texts: Sequence[str]) -> _Stream:
    codes = normalised_codes(texts)
    separator = codes == 0
    rows = np.cumsum(separator)
    padded = np.full(len(codes) + 2 * len(texts), _SPACE, np.uint32)
    padded[np.arange(len(codes)) + 1 + 2 * rows - separator] = codes
    gap = (padded == _SPACE) | (padded == 0)
    keep = np.ones(len(padded), bool)
    keep[1:] = ~((padded[1:] == _SPACE) & (padded[:-1] == _SPACE))
    padded, gap = padded[keep], gap[keep]
    separator = padded == 0
    place = np.arange(len(padded))
    first = np.maximum.accumulate(np.where(separator, place + 1, 0))
    return _Stream(padded, np.cumsum(separator), first, gap)


def _hashes(texts: Sequence[str]) -> Iterator[tuple[str, Rows, Hashes]]:
    """Yield name, text number and hash of the features of each block, in the order of BLOCKS."""
    stream = _stream(texts)
    place = np.arange(len(stream.codes))
    letters = (stream.codes.astype(np.uint64) + np.uint64(1)) * _MIX
    letters ^= letters >> np.uint64(29)
    gram = letters
    for order in range(2, max(CHARACTER_ORDERS) + 1):
        longer = letters.copy()
        longer[1:] += gram[:-1] * _STEP
        gram = longer
        if order in CHARACTER_ORDERS:
            whole = (place - stream.first >= order - 1) & (stream.codes != 0)
            yield f"char{order}", stream.rows[whole], gram[whole] * np.uint64(2 * order + 1)
    yield from _word_hashes(stream, place, letters)


def _word_hashes(
    stream: _Stream, place: Rows, letters: Hashes
) -> Iterator[tuple[str, Rows, Hashes]]:
    """Yield the hashes of word beginnings, of words and of pairs of words."""
    inside = ~stream.gap
    end = inside.copy()
    end[:-1] &= ~inside[1:]
    begin = inside.copy()
    begin[1:] &= ~inside[:-1]
    start = np.maximum.accumulate(np.where(begin, place, 0))
    power, inverse = _powers(_power_size(len(place)))
    total = np.cumsum(letters * power[: len(place)])
    before = np.where(start > 0, total[start - 1], np.uint64(0))
    so_far = (total - before) * inverse[start]
    length = place - start + 1
    short = inside & (length >= PREFIX_LENGTHS[0]) & (length <= PREFIX_LENGTHS[1])
    yield "prefix", stream.rows[short], so_far[short] * np.uint64(_SALTS["prefix"])
    rows, words = stream.rows[end], so_far[end]
    yield "word", rows, words * np.uint64(_SALTS["word"])
    same = rows[1:] == rows[:-1]
    pairs = (words[:-1] * np.uint64(31)) ^ (words[1:] * _STEP)
    yield "pair", rows[1:][same], pairs[same]


def _power_size(length: int) -> int:
    return max(1 << 16, 1 << (length - 1).bit_length())


@cache
def _powers(length: int) -> tuple[Hashes, Hashes]:
    """Return the powers of the hash step and of its inverse modulo 2 ** 64."""
    power = np.full(length, _STEP, np.uint64)
    inverse = np.full(length, _STEP_INVERSE, np.uint64)
    power[0] = inverse[0] = 1
    return np.cumprod(power), np.cumprod(inverse)


def _bucket(hashes: Hashes, bits: int) -> NDArray[np.int64]:
    mixed = (hashes ^ (hashes >> np.uint64(32))) * _STEP
    return (mixed >> np.uint64(64 - bits)).astype(np.int64)


def buckets(texts: Sequence[str]) -> Iterator[tuple[int, Rows, NDArray[np.int64]]]:
    """Yield for each block its number, the text of each feature, and the bucket of each feature."""
    numbers = {block.name: number for number, block in enumerate(BLOCKS)}
    for name, rows, hashes in _hashes(texts):
        number = numbers[name]
        yield number, rows, _bucket(hashes, BLOCKS[number].bits)
