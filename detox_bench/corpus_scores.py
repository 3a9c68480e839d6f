"""Scores of a whole corpus, as chrF++ and BLEU, of two models on the same documents.

Such a score is no mean over documents, but a function of counts that add up over them. Two models
are compared by drawing documents anew (paired bootstrap, Koehn 2004) and by exchanging their
outputs at random (approximate randomization, Riezler and Maxwell 2005), as sacrebleu does.

To support another score, add a row to ``SCORES``.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.statistics import Interval, bootstrap_means, percentile_bounds

#: From the sums of the counts, ``(d,)``, to the score of the corpus.
Score = Callable[[NDArray[np.float64]], float]
#: For the interval and for the test each.
_RESAMPLES = 2000


class PairedCounts(NamedTuple):
    """The ``(n,)`` items of a task and the ``(n, d)`` counts of each, before and after."""

    items: Sequence[str]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def mean_change(groups: Sequence[PairedCounts], score: Score, seed: int = 0) -> Interval:
    """Return the unweighted mean over groups of the change in score, with its 95 % interval.

    An item that several groups have is one cluster: a draw takes it in all of them or in none. The
    bounds are NaN with fewer than two items.
    """
    counts = _by_item(groups)
    estimate, n = _difference(counts.sum(0), score), len(counts)
    if n < 2:
        return Interval(estimate, np.nan, np.nan)
    drawn = np.rint(bootstrap_means(counts.reshape(n, -1), _RESAMPLES, seed) * n)
    draws = [_difference(each.reshape(counts.shape[1:]), score) for each in drawn]
    low, high = percentile_bounds(np.asarray(draws), n)
    return Interval(estimate, float(low), float(high))


def exchange_p(groups: Sequence[PairedCounts], score: Score, seed: int = 0) -> float:
    """Return the two-sided p of approximate randomization for what ``mean_change`` estimates.

    If the models do not differ, the outputs for an item might as well be exchanged: p is the share
    of 2,000 random exchanges, and the one observed, that change the score at least as far.
    """
    counts = _by_item(groups)
    whole, random = counts.sum(0), np.random.default_rng(seed)
    least = abs(_difference(whole, score)) - 1e-9  # sums in another order differ by rounding
    gap = (counts[:, ::-1] - counts).reshape(len(counts), -1)
    reached = 0
    for _ in range(_RESAMPLES):
        exchanged = random.integers(0, 2, len(counts)) @ gap
        reached += abs(_difference(whole + exchanged.reshape(whole.shape), score)) >= least
    return (reached + 1) / (_RESAMPLES + 1)


def _by_item(groups: Sequence[PairedCounts]) -> NDArray[np.float64]:
    """Return ``(n_items, 2, n_groups, d)`` counts, before and after, 0 where a group has none."""
    row = {item: n for n, item in enumerate(dict.fromkeys(i for g in groups for i in g.items))}
    counts = np.zeros((len(row), 2, len(groups), groups[0].before.shape[1]))
    for number, group in enumerate(groups):
        places = [row[item] for item in group.items]
        for side, values in enumerate((group.before, group.after)):
            np.add.at(counts, (places, side, number), values)
    return counts


def _difference(sums: NDArray[np.float64], score: Score) -> float:
    """Return the mean change over groups, from ``(2, n_groups, d)`` sums of counts."""
    before, after = ([score(each) for each in side] for side in sums)
    return float(np.mean(after) - np.mean(before))


@cache
def _sacrebleu(name: str) -> Score:
    """Return what turns sums into a score in [0, 100]; how texts were cut is in the counts."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    metric = BLEU() if name == "bleu" else CHRF(word_order=2)
    # Not by numpy's numbers: some of sacrebleu's scores are then no floats.
    return lambda sums: float(metric._compute_score_from_stats(sums.tolist()).score)


#: Metric name, as the translation tasks have it, to its score.
SCORES: dict[str, Score] = {
    name: lambda sums, name=name: _sacrebleu(name)(sums)  # type: ignore[misc]
    for name in ("chrf_plus_plus", "bleu")
}
