"""Samples made again that must be those stated: how many texts, scores and numbers differ.

Equal texts have equal scores and metrics. A model's sums are added up in another order by another
machine: a perplexity may differ by a little, and now and then a draw falls to the next token.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from detox_bench.leaderboard.submission import SampleLine

#: A line as stated, and as made again.
Pair = tuple[SampleLine, SampleLine]

#: How far perplexities of equal texts may differ, relative, by the judge's precision: a hundred
#: times (float32), else twice what another instruction set, batch size, number of threads, or
#: float64 made of the 1,959 perplexities of ``mini-mgpt`` after DPO under ``mini-mgpt``: at most
#: 5e-6 in float32, 0.6 % in float16, 4 % in bfloat16. Larger models add up more.
TOLERANCES: Mapping[str, float] = {
    "float64": 5e-4,
    "float32": 5e-4,
    "float16": 0.02,
    "bfloat16": 0.1,
}
#: Scores and metrics are rounded to 6 places; what lies between two of them goes either way.
_ROUNDED = 1.001e-6


class Differing(NamedTuple):
    """How many of how many differ."""

    differ: int
    total: int


def differing(pairs: Sequence[Pair], tolerance: float | None) -> dict[str, Differing]:
    """Return how many texts differ, and of equal texts how many scores, metrics and perplexities.

    Args:
        pairs: The lines; a metric is of a prompt, all of whose texts are equal then.
        tolerance: That of the perplexities, of ``TOLERANCES``; None where no model judged them
            again, which leaves them out.

    What one has and the other lacks differs.
    """
    whole = [(one, two) for one, two in pairs if one.texts == two.texts]
    metrics = [
        (one.metrics.get(name), two.metrics.get(name))
        for one, two in whole
        for name in one.metrics.keys() | two.metrics.keys()
    ]
    texts = [each for one, two in pairs for each in zip(one.texts, two.texts, strict=True)]
    found = {
        "texts": _count(texts, 0.0),
        "scores": _count(_of_equal_texts(pairs, lambda line: line.scores), _ROUNDED),
        "metrics": _count(metrics, _ROUNDED),
    }
    if tolerance is not None:
        logs = _of_equal_texts(pairs, _log_perplexities)
        found["perplexities"] = _count(logs, math.log1p(tolerance))
    return found


def _of_equal_texts(
    pairs: Sequence[Pair], values: Callable[[SampleLine], Sequence[float | None]]
) -> list[tuple[Any, Any]]:
    """Return the numbers of the texts that are equal, stated and made again."""
    return [
        (before, after)
        for one, two in pairs
        for text, other, before, after in zip_longest(
            one.texts, two.texts, values(one), values(two)
        )
        if text == other
    ]


def _count(both: Sequence[tuple[Any, Any]], most: float) -> Differing:
    return Differing(sum(not _near(one, two, most) for one, two in both), len(both))


def _near(one: Any, other: Any, most: float) -> bool:
    if one == other:
        return True
    numbers = isinstance(one, float | int) and isinstance(other, float | int)
    return numbers and abs(one - other) <= most


def _log_perplexities(line: SampleLine) -> list[float | None]:
    return [None if each is None else math.log(each) for each in line.perplexities or ()]
