"""Correlation over few items (languages): Pearson and Spearman, exact p, bootstrap intervals."""

import math
from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detox_bench.statistics import Interval
from detox_bench.student_t import t_p

#: Up to so many items all n! orders are looked at.
EXACT = 9
_RANDOM = 100_000  # orders drawn for more items

Array = NDArray[np.float64]


class Correlation(NamedTuple):
    """A coefficient with its 95 % interval over items, and its two-sided p.

    ``p_permutation`` is the share of orders of one side with a coefficient at least as far from 0;
    ``p`` is of Student's t for Pearson and ``p_permutation`` for Spearman.
    """

    n: int
    coefficient: Interval
    p: float
    p_permutation: float


def pearson(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Return Pearson's correlation of ``(n,)`` values; NaN where one side does not vary."""
    one, other = _pair(x, y)
    found = float(_coefficients(one, other))
    interval = _interval(found, _coefficients(*_drawn(one, other)))
    return Correlation(
        len(one), interval, pearson_p(found, len(one)), _permutation_p(found, one, other)
    )


def spearman(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Return Spearman's rank correlation of ``(n,)`` values; equal ones share their mean rank."""
    one, other = _pair(x, y)
    ranked = _ranks(one), _ranks(other)
    found = float(_coefficients(*ranked))
    draws = [_ranks(side) for side in _drawn(one, other)]
    p_value = _permutation_p(found, *ranked)
    return Correlation(len(one), _interval(found, _coefficients(*draws)), p_value, p_value)


def pearson_p(r: float, n: int) -> float:
    """Return the two-sided p of a Pearson correlation of n pairs, by Student's t (1908)."""
    if n < 3 or math.isnan(r):
        return math.nan
    left = 1 - r * r
    return t_p(abs(r) * math.sqrt((n - 2) / left), n - 2) if left > 0 else 0.0


def orders_tried(n: int) -> str:
    """Return in words how many orders of n items the permutation tests look at."""
    return f"all {math.factorial(n):,} orders" if n <= EXACT else f"{_RANDOM:,} random orders"


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    return np.asarray(x, dtype=float), np.asarray(y, dtype=float)


def _coefficients(x: Array, y: Array) -> Array:
    """Return Pearson's coefficients over the last axis; NaN where a side does not vary."""
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    lengths = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    # What is left of equal numbers after taking their mean out is rounding.
    flat = lengths <= 1e-12 * np.abs(x).max(initial=0) * np.abs(y).max(initial=0)
    found = np.clip((x * y).sum(-1) / np.where(flat, 1, lengths), -1, 1)
    return np.asarray(np.where(flat, np.nan, found))


def _ranks(values: Array) -> Array:
    """Return ranks from 1 over the last axis, the mean rank for equal values."""
    row, column = values[..., :, None], values[..., None, :]
    return np.asarray((column < row).sum(-1) + ((column == row).sum(-1) + 1) / 2)


def _drawn(x: Array, y: Array, resamples: int = 2000, seed: int = 0) -> tuple[Array, Array]:
    """Return both sides of ``(resamples, n)`` pairs drawn anew with replacement."""
    places = np.random.default_rng(seed).integers(0, len(x), (resamples, len(x)))
    return x[places], y[places]


def _interval(estimate: float, draws: Array) -> Interval:
    """Return the percentile interval; draws without variation are not counted."""
    known = draws[~np.isnan(draws)]
    if math.isnan(estimate) or not len(known):
        return Interval(estimate, math.nan, math.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(estimate, float(low), float(high))


def _permutation_p(found: float, x: Array, y: Array) -> float:
    """Return the share of orders of ``y`` whose coefficient is at least as far from 0."""
    if len(x) < 3 or math.isnan(found):
        return math.nan
    orders = _orders(len(x))
    centred = (x - x.mean()) / np.linalg.norm(x - x.mean())
    apart = (y - y.mean()) / np.linalg.norm(y - y.mean())
    count = int((np.abs(apart[orders] @ centred) >= abs(found) - 1e-12).sum())
    return count / len(orders) if len(x) <= EXACT else (count + 1) / (len(orders) + 1)


@lru_cache(maxsize=4)
def _orders(n: int) -> NDArray[np.int8]:
    """Return all orders of n items, ``(n!, n)``, or as many random ones as are tried."""
    if n <= EXACT:
        return np.array(list(permutations(range(n))), dtype=np.int8)
    rows = np.tile(np.arange(n, dtype=np.int8), (_RANDOM, 1))
    return np.random.default_rng(0).permuted(rows, axis=1)
