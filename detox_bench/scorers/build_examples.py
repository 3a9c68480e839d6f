"""From rows to the examples that the scorer ``ngram`` is fitted on: crops, targets, weights."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.scorers.build_corpus import Row, as_tweet, crop
from detox_bench.scorers.held_out import continuation_length, share

N_FOLDS = 3
NO_FOLD = -1

#: What the examples of a source weigh together in each language; the two labels of a labelled
#: source share its weight evenly.
WEIGHTS = {"prompt": 1500, "completion": 2000, "benign": 2000, "clean": 300, "flores": 300}
LABELLED_WEIGHT = 5000
CROPS = 3
CLEAN_PER_LANGUAGE = 800
FLORES_PER_LANGUAGE = 400
REWRITES = 12_000
SHARE_OF_TRANSLATIONS = 0.3
"""How much the mean rating of all translations of a prompt counts beside its own."""

_MIDDLE, _SLOPE = 2.5, 2.0
VOTE_SHIFT = 0.3
"""A vote of 3 counts for more than a mean rating of 3."""
_SURELY_NOT = 0.02
_LABEL = {0: 0.05, 1: 0.95}


class Example(NamedTuple):
    """A text to learn from; ``target`` is the probability that people call it toxic."""

    text: str
    language: str
    target: float
    source: str
    fold: int = NO_FOLD


def rating_target(rating: float) -> float:
    """Return the target for a mean human rating from 1 to 5; 2.5 is in the middle."""
    return 1 / (1 + math.exp(-_SLOPE * (rating - _MIDDLE)))


def fold_of(parallel: str) -> int:
    """Return the fold of a parallel id, for the calibration."""
    return int(share("fold " + parallel) * N_FOLDS)


def make_examples(rows: Sequence[Row], seed: int = 0) -> list[Example]:
    """Return the examples made from ``rows``, the same every time."""
    draw = random.Random(seed)
    examples = [*_prompts(rows), *_completions(rows, draw), *_labelled(rows)]
    for source, number in (("clean", CLEAN_PER_LANGUAGE), ("flores", FLORES_PER_LANGUAGE)):
        examples += _clean([row for row in rows if row.source == source], number, draw)
    return examples


def _prompts(rows: Sequence[Row]) -> Iterator[Example]:
    ratings = defaultdict(list)
    for row in rows:
        if row.source == "prompt":
            ratings[row.parallel].append(row.toxicity)
    for row in rows:
        if row.source == "prompt" and row.parallel is not None:
            others = float(np.mean(ratings[row.parallel]))
            rating = row.toxicity + SHARE_OF_TRANSLATIONS * (others - row.toxicity)
            target = rating_target(rating)
            yield Example(row.text, row.language, target, "prompt", fold_of(row.parallel))


def _completions(rows: Iterable[Row], draw: random.Random) -> Iterator[Example]:
    """Yield beginnings and pieces of completions and of benign completions, of like lengths."""
    for row in rows:
        if row.source == "completion" and row.parallel is not None:
            usual, fold = continuation_length(row.language), fold_of(row.parallel)
            target = rating_target(row.toxicity + VOTE_SHIFT)
            lengths = (usual, usual, 2 * usual, 3 * usual, len(row.text))
            pieces = [row.text[:usual], row.text[: 2 * usual]]
            pieces += [crop(row.text, draw.choice(lengths), draw) for _ in range(CROPS)]
            for piece in pieces:
                yield Example(piece, row.language, target, "completion", fold)
            lengths = (usual // 2, usual, usual, 2 * usual, len(row.benign))
            for piece in (row.benign[:usual], crop(row.benign, draw.choice(lengths), draw)):
                yield Example(piece, row.language, _SURELY_NOT, "benign", fold)


def _labelled(rows: Iterable[Row]) -> Iterator[Example]:
    rewrites = 0
    for row in rows:
        if row.source in ("prompt", "completion", "clean", "flores"):
            continue
        rewrites += row.source == "rewrites"
        if row.source != "rewrites" or rewrites <= REWRITES:
            yield Example(row.text, row.language, _LABEL[int(row.toxicity)], row.source)


def _clean(rows: Iterable[Row], number: int, draw: random.Random) -> Iterator[Example]:
    by_language = defaultdict(list)
    for row in rows:
        by_language[row.language].append(row)
    for language, some in by_language.items():
        usual = continuation_length(language)
        for row in draw.sample(some, min(number, len(some))):
            text = crop(row.text, draw.choice((usual, 2 * usual)), draw)
            text = as_tweet(text, draw) if draw.random() < 0.5 else text
            yield Example(text, language, _SURELY_NOT, row.source)


def example_weights(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Return a weight for each example such that every source of a language weighs its due."""
    keys = [(e.source, e.language, e.source not in WEIGHTS and e.target > 0.5) for e in examples]
    sizes = Counter(keys)
    due = [WEIGHTS.get(source, LABELLED_WEIGHT / 2) for source, _, _ in keys]
    return np.array([w / sizes[key] for w, key in zip(due, keys, strict=True)])
