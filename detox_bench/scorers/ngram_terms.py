"""Terms for the scorer ``ngram``: lists of rude words, kept as hashes, found in a batch of texts.

A term is a whole word, the beginning of words (written with a star: ``stupid*``), two words in a
row, or, in languages written without spaces, any piece of text. Each has a tier; what a tier
weighs is fitted. ``read_terms`` makes hashes from lists, see ``build_terms``; no list is stored.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.scorers.ngram_features import (
    Hashes,
    Numbers,
    Stream,
    pair_hashes,
    read_stream,
    span_hashes,
)

KINDS = ("prefix", "word", "pair", "piece")
N_TIERS = 4
"""Tiers: 1 hostile or charged, 2 insult, 3 profanity or slur, 4 from an outside list."""

COLUMNS_PER_TIER = 4
N_COLUMNS = N_TIERS * COLUMNS_PER_TIER


class Terms(NamedTuple):
    """The terms of one language, one array each, sorted by kind, then by hash.

    ``lengths`` is in normalised characters; it matters for the kind "piece".
    """

    hashes: Hashes
    kinds: NDArray[np.uint8]
    tiers: NDArray[np.uint8]
    lengths: NDArray[np.uint8]


def select_terms(terms: Terms, chosen: NDArray[np.bool_] | Numbers) -> Terms:
    """Return some of ``terms``, chosen by a mask or by number."""
    return Terms(
        hashes=terms.hashes[chosen],
        kinds=terms.kinds[chosen],
        tiers=terms.tiers[chosen],
        lengths=terms.lengths[chosen],
    )


class Hits(NamedTuple):
    """Where terms were found: the text, the place, and the number of the term."""

    rows: Numbers
    places: Numbers
    terms: Numbers


def read_terms(tiers: Mapping[str, int], spaced: bool) -> Terms:
    """Return the terms written as the keys of ``tiers``; a term of no letters is left out.

    In a language that is not ``spaced`` a term found anywhere counts, unless it is ASCII.
    """
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for written, tier in tiers.items():
        term = _read_term(written, spaced or written.isascii())
        if term:
            kind, value, length = term
            found[kind, value] = (max(tier, found.get((kind, value), (0, 0))[0]), length)
    ordered = sorted(found)
    return Terms(
        hashes=np.array([value for _, value in ordered], np.uint64),
        kinds=np.array([kind for kind, _ in ordered], np.uint8),
        tiers=np.array([found[key][0] for key in ordered], np.uint8),
        lengths=np.array([found[key][1] for key in ordered], np.uint8),
    )


def _read_term(written: str, words_only: bool) -> tuple[int, int, int] | None:
    """Return kind, hash and length of a term, None if nothing is left of it."""
    star = len(written) > 1 and written.endswith("*")
    stream = read_stream([written[:-1] if star else written])
    words = stream.so_far[stream.end]
    length = int(stream.inside.sum())
    if not len(words) or length > np.iinfo(np.uint8).max:
        return None
    if not words_only:
        places = np.flatnonzero(stream.inside)
        value = span_hashes(stream.total, places[:1], places[-1:])
        return KINDS.index("piece"), int(value[0]), int(places[-1] - places[0] + 1)
    if len(words) > 1:
        return KINDS.index("pair"), int(pair_hashes(words[-2:-1], words[-1:])[0]), length
    return KINDS.index("prefix" if star else "word"), int(words[0]), length


def find_terms(stream: Stream, terms: Terms) -> Hits:
    """Return all places where ``terms`` occur in ``stream``."""
    end = np.flatnonzero(stream.end)
    follows = stream.rows[end[1:]] == stream.rows[end[:-1]]
    words = stream.so_far[end]
    inside = np.flatnonzero(stream.inside)
    searched = [
        (0, inside, stream.so_far[inside]),
        (1, end, words),
        (2, end[1:][follows], pair_hashes(words[:-1], words[1:])[follows]),
    ]
    piece = terms.kinds == KINDS.index("piece")
    for length in np.unique(terms.lengths[piece]).tolist():
        stop = np.arange(length - 1, len(stream.codes))
        searched.append((3, stop, span_hashes(stream.total, stop - (length - 1), stop)))
    places, numbers = [], []
    for kind, where, hashes in searched:
        hit, number = _look_up(terms, kind, hashes)
        places.append(where[hit])
        numbers.append(number)
    place = np.concatenate(places)
    return Hits(stream.rows[place], place, np.concatenate(numbers))


def _look_up(terms: Terms, kind: int, hashes: Hashes) -> tuple[Numbers, Numbers]:
    """Return which of ``hashes`` are terms of ``kind``, and which terms those are."""
    first, last = np.searchsorted(terms.kinds, [kind, kind + 1])
    if first == last:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    number = first + np.searchsorted(terms.hashes[first : last - 1], hashes)
    hit = np.flatnonzero(terms.hashes[number] == hashes)
    return hit, number[hit]


def term_columns(stream: Stream, terms: Terms, n_texts: int) -> Iterator[NDArray[np.float64]]:
    """Yield ``N_COLUMNS`` features of each text: for each tier three steps and a density.

    The steps say whether one, two, three terms or more were found, the density is their number
    over the root of the length in words (of five characters). A word counts once in each tier.
    """
    hits = find_terms(stream, terms)
    pieces = bool((terms.kinds == KINDS.index("piece")).any())
    places = hits.places if pieces else stream.start[hits.places]
    words = np.bincount(stream.rows, stream.inside, n_texts) / 5
    for tier in range(1, N_TIERS + 1):
        own = np.unique(places[terms.tiers[hits.terms] == tier])
        count = np.bincount(stream.rows[own], minlength=n_texts)
        yield from (np.float64(1) * (count >= step) for step in (1, 2, 3))
        yield np.minimum(count / np.sqrt(np.maximum(words, 2)), 2)
