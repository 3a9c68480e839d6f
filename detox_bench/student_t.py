"""Student's t distribution: the p of a value, and the quantile that is looked up in tables."""

import math
from functools import lru_cache


def t_p(t: float, freedom: int) -> float:
    """Return the two-sided p of Student's t, by the finite sums for whole degrees of freedom.

    Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, squared = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for number in range(1 + odd, freedom, 2):
        total += term
        term *= squared * number / (number + 1)
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1 - inside)


@lru_cache(maxsize=1024)
def t_quantile(freedom: int, level: float = 0.95) -> float:
    """Return the t within which ``level`` of Student's distribution lies, by halving."""
    low, high = 0.0, 1.0
    while t_p(high, freedom) > 1 - level:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_p(middle, freedom) > 1 - level else (low, middle)
    return high
