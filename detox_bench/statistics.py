"""Intervals over prompts, of one run or of two on the same prompts, and paired tests.

Prompts are the unit that is drawn anew, since the samples of a prompt are not independent. All
intervals are expanded percentile intervals (``percentile_bounds``); ``docs/statistics.md`` has how
often they hold a known effect.
"""

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.student_t import t_quantile

#: Up to so many prompts every one of the 2^n ways to flip signs is looked at.
_EXACT = 14
_AT_ONCE = 2**22  # numbers held at once
_COUNTS_AT_ONCE = 2**20  # the same of counts, which are gone through several times


class Interval(NamedTuple):
    """An estimate with the bounds of its confidence interval; NaN where there is nothing."""

    estimate: float
    low: float
    high: float


def mean_interval(
    values: Sequence[float], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean of ``(n_prompts,)`` values with a bootstrap interval over prompts.

    Bootstrap (Efron 1979) over prompts, the unit that is drawn anew: the k samples of a prompt stay
    together; bounds by ``percentile_bounds``. With fewer than two values they are NaN.
    """
    known = np.asarray(values, dtype=float)
    if len(known) < 2:
        return Interval(float(known.mean()) if len(known) else np.nan, np.nan, np.nan)
    means = bootstrap_means(known, resamples, seed)
    low, high = percentile_bounds(means, len(known), level)
    return Interval(float(known.mean()), float(low), float(high))


def percentile_bounds(
    draws: NDArray[np.float64], n: int, level: float = 0.95, freedom: int | None = None
) -> NDArray[np.float64]:
    """Return the expanded percentile interval of ``(resamples, ...)`` draws of ``n`` prompts.

    Plain percentiles are too narrow for few prompts: draws spread like a variance divided by n, not
    n - 1, and normal, not t. So they are taken further out, at Phi(-sqrt(n / (n - 1)) t), with t
    the quantile of n - 1 degrees of freedom (Hesterberg 2015, The American Statistician 69:371,
    "expanded percentile interval"). 200 prompts: at 2.4 %, not 2.5 %; 24: at 1.7 %. ``n`` is at
    least 2; ``freedom`` is not n - 1 where groups of n are drawn apart. Returns ``(2, ...)``.
    """
    outside = NormalDist().cdf(-((n / (n - 1)) ** 0.5) * t_quantile(freedom or n - 1, level))
    return quantiles(draws, [outside, 1 - outside])


def quantiles(
    values: NDArray[np.float64] | Sequence[float], shares: Sequence[float]
) -> NDArray[np.float64]:
    """Return ``(n_shares, ...)`` quantiles over the first axis of ``(n, ...)`` values.

    They are interpolated where all values are finite; else the next higher value, since there is
    nothing between a number and infinity.
    """
    known = np.asarray(values, dtype=float)
    if np.isfinite(known).all():
        return np.asarray(np.quantile(known, shares, axis=0))
    return np.asarray(np.quantile(known, shares, axis=0, method="higher"))


def bootstrap_means(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return ``(resamples,)`` means of ``(n,)`` values drawn anew with replacement."""
    return np.asarray(_draws(len(values), resamples, seed) @ values / len(values))


def paired_interval(
    before: Sequence[float], after: Sequence[float], resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean of ``after - before`` with its 95 % bootstrap interval.

    Both are ``(n_prompts,)`` on the same prompts in the same order; a draw takes a prompt's two
    values together.
    """
    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    return mean_interval(differences.tolist(), resamples=resamples, seed=seed)


def mean_of_groups(
    groups: Sequence[tuple[Sequence[str], NDArray[np.float64]]],
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Interval, float]:
    """Return the unweighted mean of the means of groups, its 95 % interval, and its sign-flip p.

    Each group (a language) is the items of its ``(n,)`` values, and these values, differences of
    two runs. An item that several groups have is one cluster: a bootstrap draw takes it in all of
    them or in none, and a sign pattern turns it in all of them. Draws in which a group has nothing
    are not counted. The bounds are NaN with fewer than two items.
    """
    different = dict.fromkeys(item for items, _ in groups for item in items)
    column = {item: n for n, item in enumerate(different)}
    sums, counts = (np.zeros((len(groups), len(column))) for _ in range(2))
    for row, (items, values) in enumerate(groups):
        places = [column[item] for item in items]
        np.add.at(sums[row], places, values)
        np.add.at(counts[row], places, 1.0)
    means = np.array([values.mean() for _, values in groups])
    weights = _draws(len(column), resamples, seed)
    draws = _ratio(weights @ sums.T, weights @ counts.T).mean(-1)
    found = _interval(float(means.mean()), draws[~np.isnan(draws)], len(column))
    # What an item adds to the mean: turning its sign turns this.
    shares = (sums / counts.sum(-1, keepdims=True)).sum(0)
    return found, sign_flip_p(np.zeros(len(column)).tolist(), shares.tolist(), seed=seed)


def median_ratio_interval(
    before: Sequence[Sequence[float]],
    after: Sequence[Sequence[float]],
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the ratio of the medians of two sets of samples, after to before, with its interval.

    Each is ``(n_prompts, k)``, where k may differ from prompt to prompt and from run to run. The
    medians are over all samples; a draw takes both runs' samples of a prompt together.
    """
    n = len(before)
    if not sum(map(len, before)) or not sum(map(len, after)):
        return Interval(np.nan, np.nan, np.nan)
    medians = [_weighted_medians(v, _draws(n, resamples, seed)) for v in (before, after)]
    whole = np.ones((1, n), dtype=np.int32)
    one, other = (_weighted_medians(values, whole)[0] for values in (before, after))
    draws = _ratio(medians[1], medians[0])
    return _interval(float(_ratio(other, one)), draws[~np.isnan(draws)], n)


def sign_flip_p(
    before: Sequence[float], after: Sequence[float], resamples: int = 10_000, seed: int = 0
) -> float:
    """Return the two-sided p of a paired permutation test on ``(n_prompts,)`` values.

    If the two runs do not differ, each prompt's difference might as well have the other sign: p is
    the share of sign patterns whose mean difference is at least as far from 0 (Fisher 1935). With
    at most 14 differences that are not 0, all patterns are looked at; else ``resamples`` random
    ones and the one observed. 1 where nothing differs, NaN without prompts.
    """
    if not len(before):
        return np.nan
    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    differences = differences[differences != 0]
    n, exact = len(differences), len(differences) <= _EXACT
    # Sums in another order differ by rounding.
    least = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()
    if exact:
        patterns = np.arange(2**n, dtype="<u2")[:, None].view(np.uint8)
        return float((np.abs(_signed_sums(differences, patterns)) >= least).mean())
    count, width, random = 0, -(-n // 8), np.random.default_rng(seed)
    for start in range(0, resamples, step := max(1, _AT_ONCE // width)):
        size = (min(step, resamples - start), width)
        patterns = random.integers(0, 256, size, dtype=np.uint8)
        count += int((np.abs(_signed_sums(differences, patterns)) >= least).sum())
    return (count + 1) / (resamples + 1)


def auroc(positive: NDArray[Any], negative: NDArray[Any]) -> NDArray[np.float64]:
    """Return the area under the ROC curve of each of m detectors, ``(m,)``.

    ``positive`` is ``(n_positive, m)``, ``negative`` ``(n_negative, m)``: what the detectors say of
    the texts of either kind. It is the chance that a positive one scores higher than a negative
    one, equal scores counting half (Mann and Whitney 1947). NaN where there are none of a kind.
    """
    if not len(positive) or not len(negative):
        return np.full(positive.shape[-1], np.nan)
    below = np.zeros(positive.shape[-1])
    for column, (high, low) in enumerate(zip(positive.T, np.sort(negative, axis=0).T, strict=True)):
        below[column] = sum(np.searchsorted(low, high, side).sum() for side in ("left", "right"))
    return below / (2 * len(positive) * len(negative))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for being several (Holm 1979), in the order given; NaN stays NaN.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none falls below one that
    was smaller, none exceeds 1.
    """
    values = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    values[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return [float(value) for value in values]


def _interval(estimate: float, draws: NDArray[np.float64], n: int) -> Interval:
    if n < 2 or not len(draws):
        return Interval(estimate, np.nan, np.nan)
    low, high = percentile_bounds(draws, n)
    return Interval(estimate, float(low), float(high))


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quotient, NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, np.nan, np.divide(above, below))


@lru_cache(maxsize=20)  # the metrics of one language, and of 17, are drawn alike
def _draws(n: int, resamples: int, seed: int) -> NDArray[np.int32]:
    """Return ``(resamples, n)``: how often each of n prompts is in a draw with replacement."""
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return draws.astype(np.int32)


def _signed_sums(
    differences: NDArray[np.float64], patterns: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return ``(m,)`` sums of the differences, the sign turned where a bit of the pattern is set.

    ``patterns`` is ``(m, n_bytes)``, eight differences a byte, whose 256 sums are looked up.
    """
    padded = np.zeros((patterns.shape[1], 8))
    padded.flat[: len(differences)] = differences
    signs = 1.0 - 2.0 * (np.arange(256)[:, None] >> np.arange(8) & 1)
    sums = padded @ signs.T
    return np.asarray(sums[np.arange(len(padded)), patterns].sum(-1))


def _weighted_medians(
    samples: Sequence[Sequence[float]], weights: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return ``(draws,)`` medians of all samples, each prompt's taken ``weights`` times.

    ``weights`` is ``(draws, n_prompts)``. NaN for a draw without samples.
    """
    prompts = np.repeat(np.arange(len(samples)), [len(each) for each in samples])
    values = np.concatenate([np.asarray(each, dtype=float) for each in samples])
    order = np.argsort(values, kind="stable")
    values, prompts = values[order], prompts[order]
    parts = np.array_split(weights, max(1, len(weights) * len(values) // _COUNTS_AT_ONCE))
    return np.concatenate([_medians(values, part.take(prompts, axis=1)) for part in parts])


def _medians(values: NDArray[np.float64], counts: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return ``(draws,)`` medians of ``(n,)`` sorted values, taken ``(draws, n)`` times."""
    reached = counts.cumsum(-1, dtype=np.int32)
    total = reached[:, -1].copy()
    # All draws are searched at once: each begins above the end of the one before.
    starts = np.arange(len(counts), dtype=np.int32) * (total.max(initial=0) + 1)
    reached += starts[:, None]
    flat = reached.ravel()
    before = np.arange(len(counts)) * len(values)
    places = [
        np.searchsorted(flat, starts + middle, side="right") - before
        for middle in ((total - 1) // 2, total // 2)
    ]
    low, high = (values[place.clip(0, len(values) - 1)] for place in places)
    return np.where(total > 0, (low + high) / 2, np.nan)
