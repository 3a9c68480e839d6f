"""Intervals of means over prompts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Interval(NamedTuple):
    """An estimate with the bounds of its confidence interval; NaN where there is nothing."""

    estimate: float
    low: float
    high: float


def mean_interval(
    values: Sequence[float], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean of ``(n_prompts,)`` values with a bootstrap interval over prompts.

    Percentile bootstrap (Efron 1979) over prompts, the unit that is drawn anew: the k samples of a
    prompt stay together. With fewer than two values the bounds are NaN.
    """
    known = np.asarray(values, dtype=float)
    if len(known) < 2:
        return Interval(float(known.mean()) if len(known) else np.nan, np.nan, np.nan)
    means = bootstrap_means(known, resamples, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(known.mean()), float(low), float(high))


def bootstrap_means(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return ``(resamples,)`` means of ``(n,)`` values drawn anew with replacement."""
    n = len(values)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return np.asarray(draws @ values / n)
