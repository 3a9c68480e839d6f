"""How well ``(n,)`` scores agree with ``(n,)`` verdicts: areas, decisions and calibration.

Equal scores are one: no figure depends on the order in which texts are given.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.statistics import Interval, percentile_bounds

Scores = NDArray[np.float64]
Verdicts = NDArray[np.bool_]

#: Bins of the reliability table, as many as in Guo et al. 2017 and Naeini et al. 2015.
BINS = 10
_AT_ONCE = 2**22  # numbers held at once


class Decision(NamedTuple):
    """What calling texts toxic from ``threshold`` on amounts to."""

    threshold: float
    f1: float
    precision: float
    recall: float


class Bin(NamedTuple):
    """Texts of similar scores: how many, their mean score, and the share that people call toxic."""

    n: int
    score: float
    toxic: float


class _Levels(NamedTuple):
    """The distinct scores from the highest down, with the counts of texts at or above each."""

    scores: Scores
    called: Scores
    hits: Scores


def area_interval(
    scores: Scores, toxic: Verdicts, units: NDArray[Any], resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the area under the ROC curve with its 95 % bootstrap interval.

    It is the chance that a toxic text scores higher than another, equal scores counting half
    (Mann and Whitney 1947). Drawn anew are the ``units`` (``(n,)`` of any kind): texts that share
    one stay together. Draws without one of the kinds are not counted; bounds by
    ``percentile_bounds``. NaN where a kind is missing.
    """
    _, unit = np.unique(units, return_inverse=True)
    n = int(unit.max()) + 1 if len(unit) else 0
    estimate = float(_areas(scores, toxic, np.ones((1, len(scores))))[0]) if n else np.nan
    if n < 2 or np.isnan(estimate):
        return Interval(estimate, np.nan, np.nan)
    chance = np.random.default_rng(seed)
    draws: list[Scores] = []
    for rows in np.array_split(np.arange(resamples), 1 + resamples * len(scores) // _AT_ONCE):
        weights = chance.multinomial(n, np.full(n, 1 / n), size=len(rows)).astype(float)
        draws.append(_areas(scores, toxic, weights[:, unit]))
    whole = np.concatenate(draws)
    low, high = percentile_bounds(whole[~np.isnan(whole)], n)
    return Interval(estimate, float(low), float(high))


def average_precision(scores: Scores, toxic: Verdicts) -> float:
    """Return the mean of the precisions at each distinct score, weighted by the recall it adds.

    Without interpolation: sum of (R_i - R_(i-1)) P_i (Manning et al. 2008, Introduction to
    Information Retrieval, section 8.4). Chance gives the share of toxic texts. NaN without any.
    """
    if not toxic.any():
        return np.nan
    levels = _levels(scores, toxic)
    gained = np.diff(levels.hits, prepend=0.0) / toxic.sum()
    return float((gained * levels.hits / levels.called).sum())


def decision(scores: Scores, toxic: Verdicts, threshold: float) -> Decision:
    """Return F1, precision and recall of calling texts toxic from ``threshold`` on.

    F1 = 2 P R / (P + R) (van Rijsbergen 1979, chapter 7). NaN where it divides by nothing.
    """
    called = scores >= threshold
    return _decision(threshold, float((called & toxic).sum()), float(called.sum()), toxic)


def best_decision(scores: Scores, toxic: Verdicts) -> Decision:
    """Return the decision with the highest F1; of several the one with the highest threshold.

    It is chosen with the verdicts in view, so that its F1 is a little better here than elsewhere.
    """
    levels = _levels(scores, toxic)
    if not toxic.any():
        return Decision(np.nan, np.nan, np.nan, np.nan)
    place = int(np.argmax(2 * levels.hits / (levels.called + toxic.sum())))
    hits, called = float(levels.hits[place]), float(levels.called[place])
    return _decision(float(levels.scores[place]), hits, called, toxic)


def matched_threshold(scores: Scores, toxic: Verdicts) -> float:
    """Return the score from which on as many texts are called toxic as people call toxic.

    Where equal scores forbid equality, the nearest number; of two the smaller. NaN without toxic
    texts.
    """
    if not toxic.any():
        return np.nan
    levels = _levels(scores, toxic)
    return float(levels.scores[int(np.argmin(np.abs(levels.called - toxic.sum())))])


def reliability(scores: Scores, toxic: Verdicts, bins: int = BINS) -> list[Bin]:
    """Return up to ``bins`` bins of equal mass, from the lowest scores to the highest.

    Equal mass, since scores crowd at the ends: bins of equal width would be nearly empty in the
    middle and the error would be that of few texts (Nixon et al. 2019, arXiv 1904.01685, section
    3). Equal scores fall in one bin, that of their middle place.
    """
    if not len(scores):
        return []
    _, level, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    number = np.minimum((middle / len(scores) * bins).astype(int), bins - 1)[level]
    chosen = [number == each for each in range(bins)]
    return [
        Bin(int(own.sum()), float(scores[own].mean()), float(toxic[own].mean()))
        for own in chosen
        if own.any()
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Return the mean distance of score and share in the bins, weighted by their texts.

    The expected calibration error (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599, equation
    3). NaN without bins.
    """
    n = sum(each.n for each in bins)
    return sum(each.n * abs(each.score - each.toxic) for each in bins) / n if n else np.nan


def _decision(threshold: float, hits: float, called: float, toxic: Verdicts) -> Decision:
    n = float(toxic.sum())
    precision = hits / called if called else np.nan
    recall = hits / n if n else np.nan
    f1 = 2 * hits / (called + n) if n else np.nan
    return Decision(threshold, f1, precision, recall)


def _levels(scores: Scores, toxic: Verdicts) -> _Levels:
    levels, place = np.unique(-scores, return_inverse=True)
    called = np.bincount(place, minlength=len(levels)).cumsum()
    hits = np.bincount(place, toxic, len(levels)).cumsum()
    return _Levels(-levels, called.astype(float), hits)


def _areas(scores: Scores, toxic: Verdicts, weights: Scores) -> Scores:
    """Return ``(m,)`` areas of the texts taken ``(m, n)`` times; NaN where a kind is missing."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)
    ordered, kind = weights[:, order], toxic[order]
    positive = np.add.reduceat(ordered * kind, starts, axis=1)
    negative = np.add.reduceat(ordered * ~kind, starts, axis=1)
    below = negative.cumsum(axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((positive * below).sum(axis=1) / pairs)
