"""Isotonic regression: the rising function nearest to points, by pooling adjacent violators."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Isotonic(NamedTuple):
    """A function that never falls: straight between ``(n_knots,)`` points, level beyond them."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, values: Sequence[float]) -> list[float]:
        """Return the function at each of ``values``."""
        return [float(value) for value in np.interp(values, self.x, self.y)]


def fit_isotonic(x: Sequence[float], y: Sequence[float]) -> Isotonic:
    """Return the rising function with the least squared error over ``(n,)`` points, n >= 1.

    Points are sorted by ``x``, those of equal ``x`` are one with their mean and their number for
    weight, and neighbours whose means fall are pooled until none does (Ayer et al. 1955; Barlow
    et al. 1972, section 1.2). Each pool is kept by the knots at its ends.
    """
    places, which, counts = np.unique(
        np.asarray(x, dtype=float), return_inverse=True, return_counts=True
    )
    means = np.bincount(which, np.asarray(y, dtype=float)) / counts
    starts, levels = _pooled(means, counts.astype(float))
    ends = [*(start - 1 for start in starts[1:]), len(places) - 1]
    knots: dict[int, float] = {}
    for start, end, level in zip(starts, ends, levels, strict=True):
        knots |= {start: level, end: level}
    return Isotonic(tuple(places[list(knots)].tolist()), tuple(knots.values()))


def _pooled(
    means: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[list[int], list[float]]:
    """Return where each pool begins, and its weighted mean."""
    starts: list[int] = []
    levels: list[float] = []
    masses: list[float] = []
    for place, (level, mass) in enumerate(zip(means.tolist(), weights.tolist(), strict=True)):
        start = place
        while levels and levels[-1] >= level:
            below = masses.pop()
            level = (levels.pop() * below + level * mass) / (below + mass)
            mass, start = mass + below, starts.pop()
        starts.append(start)
        levels.append(level)
        masses.append(mass)
    return starts, levels
