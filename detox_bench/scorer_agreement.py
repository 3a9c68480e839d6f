"""How far two scorers agree on the same texts: ranks, toxic or not, and where they differ most.

Arrays hold numbers for single texts in [0, 1], with the prompt of each; a bootstrap draws prompts,
whose texts stay together. What only one scorer scored is left out and counted.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.statistics import Interval, percentile_bounds

#: Kendall's tau compares every text with every other; of more texts the first of each prompt count.
MOST_TEXTS = 10_000
_RESAMPLES = 1000

Array = NDArray[np.float64]


class RankAgreement(NamedTuple):
    """Rank correlations of ``n`` items, with 95 % intervals over prompts; NaN without variation."""

    n: int
    spearman: Interval
    kendall: Interval


class Labels(NamedTuple):
    """Agreement on toxic or not: the shares that each calls toxic, of all, and Cohen's kappa."""

    toxic: tuple[float, float]
    same: float
    kappa: Interval


class Agreement(NamedTuple):
    """Two scorers in one language.

    ``mean`` and ``maximum`` rank prompts by those of their scores, ``texts`` ranks texts;
    ``n_unscored`` texts have no score of one of the scorers.
    """

    n_prompts: int
    n_texts: int
    n_unscored: int
    mean: RankAgreement
    maximum: RankAgreement
    texts: RankAgreement
    labels: Labels


class Disagreement(NamedTuple):
    """A text by its ``place`` in the arrays, both scores, and its ranks as shares from 0 to 1."""

    place: int
    scores: tuple[float, float]
    ranks: tuple[float, float]


class Scored(NamedTuple):
    """The scores of two scorers on the same texts.

    ``one`` and ``other`` are ``(n_texts,)``, NaN where unscored; ``prompts`` numbers the prompt of
    each text from 0; texts of one prompt need not stand together, and several runs may have it.
    """

    one: Array
    other: Array
    prompts: NDArray[np.int64]

    def known(self) -> "Scored":
        """Return the texts that both scored, their prompts numbered anew."""
        both = ~(np.isnan(self.one) | np.isnan(self.other))
        _, prompts = np.unique(self.prompts[both], return_inverse=True)
        return Scored(self.one[both], self.other[both], prompts)


def agreement(scored: Scored, thresholds: tuple[float, float], seed: int = 0) -> Agreement | None:
    """Return how far two scorers agree; None where no text is scored by both.

    Args:
        scored: The scores.
        thresholds: The score from which on a text is toxic, of each scorer.
        seed: Of the bootstrap draws.
    """
    known = scored.known()
    if not len(known.one):
        return None
    n_prompts = int(known.prompts.max()) + 1
    weights = _draws(n_prompts, seed)
    return Agreement(
        n_prompts,
        len(known.one),
        len(scored.one) - len(known.one),
        rank_agreement(_by_prompt(known, "mean"), weights),
        rank_agreement(_by_prompt(known, "maximum"), weights),
        rank_agreement(_thinned(known), weights),
        _labels(known, thresholds, weights),
    )


def rank_agreement(scored: Scored, weights: Array) -> RankAgreement:
    """Return the rank correlations of scores that are all known.

    ``weights`` is ``(n_draws, n_prompts)``: how often each prompt is in a draw. Spearman's rho is
    Pearson's of mean ranks; Kendall's is tau-b, corrected for ties (Kendall 1945).
    """
    n = weights.shape[1]
    whole = np.ones((1, n))
    both = [_spearman(scored, w) for w in (whole, weights)], _kendall(scored, whole, weights)
    intervals = [_interval(float(estimate[0]), draws, n) for estimate, draws in both]
    return RankAgreement(len(scored.one), *intervals)


def disagreements(scored: Scored, most: int) -> list[Disagreement]:
    """Return the texts whose ranks are furthest apart, at most ``most``, furthest first."""
    both = np.flatnonzero(~(np.isnan(scored.one) | np.isnan(scored.other)))
    ranks = [_rank_shares(side[both]) for side in (scored.one, scored.other)]
    order = np.argsort(-np.abs(ranks[0] - ranks[1]), kind="stable")[:most]
    return [
        Disagreement(
            int(both[n]),
            (float(scored.one[both[n]]), float(scored.other[both[n]])),
            (float(ranks[0][n]), float(ranks[1][n])),
        )
        for n in order
    ]


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Kendall's tau-b of ``(n,)`` pairs; NaN where one side does not vary."""
    sides = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    whole = np.ones((1, len(sides[0])))
    (found,), _ = _kendall(Scored(*sides, np.arange(len(sides[0]))), whole, whole[:0])
    return float(found)


def _spearman(scored: Scored, weights: Array) -> Array:
    """Return ``(n_draws,)`` rank correlations, each text counting as often as its prompt.

    A text's rank in a draw is the number of texts below it, and half of those equal to it.
    """
    groups = [np.unique(side, return_inverse=True)[1] for side in (scored.one, scored.other)]
    found = np.empty(len(weights))
    for number, draw in enumerate(weights):
        weight = draw[scored.prompts]
        sides = []
        for group in groups:
            size = np.bincount(group, weight)
            sides.append((np.cumsum(size) - size / 2)[group])
        found[number] = _weighted_pearson(sides[0], sides[1], weight)
    return found


def _weighted_pearson(one: Array, other: Array, weight: Array) -> float:
    one, other = (side - np.average(side, weights=weight) for side in (one, other))
    below = ((weight * one * one).sum() * (weight * other * other).sum()) ** 0.5
    return float((weight * one * other).sum() / below) if below > 0 else np.nan


def _kendall(scored: Scored, *draws: Array) -> tuple[Array, ...]:
    """Return the tau-b of each of several sets of draws.

    Summed by pairs of prompts first, concordant less discordant pairs of texts and pairs untied on
    either side; a draw then weighs these sums. Copies of a prompt in a draw are ties.
    """
    order = np.argsort(scored.prompts, kind="stable")
    one, other, prompts = (side[order] for side in scored)
    starts = np.flatnonzero(np.diff(prompts, prepend=-1))
    ends = [*starts[1:].tolist(), len(prompts)]
    sums = np.zeros((3, len(starts), len(starts)))
    for row, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
        signs = [np.sign(side[start:end, None] - side) for side in (one, other)]
        for number, each in enumerate((signs[0] * signs[1], abs(signs[0]), abs(signs[1]))):
            sums[number, row] = np.add.reduceat(each.sum(0), starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = []
        for weights in draws:
            above, *below = (((weights @ each) * weights).sum(-1) for each in sums)
            found.append(above / np.sqrt(below[0] * below[1]))
    return tuple(found)


def _labels(scored: Scored, thresholds: tuple[float, float], weights: Array) -> Labels:
    """Return the agreement on toxic or not; kappa is Cohen's (1960)."""
    toxic = scored.one >= thresholds[0], scored.other >= thresholds[1]
    cells = [a & b for a in (toxic[0], ~toxic[0]) for b in (toxic[1], ~toxic[1])]
    counts = np.array([np.bincount(scored.prompts, cell, weights.shape[1]) for cell in cells])
    estimate = _kappa(counts.sum(-1, keepdims=True))[0]
    shares = float(toxic[0].mean()), float(toxic[1].mean())
    interval = _interval(float(estimate), _kappa(counts @ weights.T), weights.shape[1])
    return Labels(shares, float((toxic[0] == toxic[1]).mean()), interval)


def _kappa(counts: Array) -> Array:
    """Return Cohen's kappa of ``(4, m)`` counts: both toxic, first, second, neither."""
    both, first, second, neither = counts / counts.sum(0)
    expected = (both + first) * (both + second) + (neither + first) * (neither + second)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected < 1, (both + neither - expected) / (1 - expected), np.nan)


def _by_prompt(scored: Scored, how: str) -> Scored:
    """Return a prompt's mean or maximum score in place of its texts'."""
    n = int(scored.prompts.max()) + 1
    sides = []
    for side in (scored.one, scored.other):
        values = np.bincount(scored.prompts, side, n) / np.bincount(scored.prompts, minlength=n)
        if how == "maximum":
            values = np.zeros(n)
            np.maximum.at(values, scored.prompts, side)
        sides.append(values)
    return Scored(sides[0], sides[1], np.arange(n))


def _thinned(scored: Scored) -> Scored:
    """Return at most ``MOST_TEXTS`` texts, the same number of each prompt; its first ones."""
    n_prompts = int(scored.prompts.max()) + 1
    if len(scored.one) <= MOST_TEXTS:
        return scored
    order = np.argsort(scored.prompts, kind="stable")
    sizes = np.bincount(scored.prompts)
    inside = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = np.sort(order[inside < max(1, MOST_TEXTS // n_prompts)])
    return Scored(scored.one[kept], scored.other[kept], scored.prompts[kept])


def _rank_shares(values: Array) -> Array:
    """Return mean ranks as shares: 0 below all others, 1 above all."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(middle[group] / max(1, len(values) - 1))


def _draws(n: int, seed: int) -> Array:
    """Return ``(n_draws, n)``: how often each of n prompts is drawn with replacement."""
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    return counts.astype(float)


def _interval(estimate: float, draws: Array, n: int) -> Interval:
    """Return the interval over prompts; draws without variation are not counted."""
    known = draws[~np.isnan(draws)]
    if n < 2 or not len(known) or np.isnan(estimate):
        return Interval(estimate, np.nan, np.nan)
    low, high = percentile_bounds(known, n)
    return Interval(estimate, float(low), float(high))
