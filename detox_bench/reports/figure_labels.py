"""Where the labels of points go, so that as few as possible lie on each other."""

from collections.abc import Sequence
from typing import NamedTuple

_NEAR, _FAR = 3.0, 9.0  # points between a label and what it names


class Box(NamedTuple):
    """A rectangle, in points."""

    left: float
    bottom: float
    right: float
    top: float


def place_labels(
    points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the offset of the centre of each label from its point.

    ``points`` are ``(n, 2)`` places, ``sizes`` are ``(n, 2)`` widths and heights of the labels, all
    in points. Each label takes the first of 16 places around its point that covers least of the
    points and of the labels before it.
    """
    taken = [Box(x - 2, y - 2, x + 2, y + 2) for x, y in points]
    offsets = []
    for point, size in zip(points, sizes, strict=True):
        around = _around(size)
        costs = [sum(_overlap(_box(point, each, size), box) for box in taken) for each in around]
        best = around[costs.index(min(costs))]
        offsets.append(best)
        taken.append(_box(point, best, size))
    return offsets


def _around(size: tuple[float, float]) -> list[tuple[float, float]]:
    """Return offsets to the right, left, below, above and between these, near ones first."""
    found = []
    for gap in (_NEAR, _FAR):
        across, up = size[0] / 2 + gap, size[1] / 2 + gap
        found += [(across, 0.0), (-across, 0.0), (0.0, -up), (0.0, up)]
        found += [(side * across, height * up) for side in (1, -1) for height in (-1, 1)]
    return found


def _box(point: tuple[float, float], offset: tuple[float, float], size: tuple[float, float]) -> Box:
    x, y, width, height = point[0] + offset[0], point[1] + offset[1], size[0] / 2, size[1] / 2
    return Box(x - width, y - height, x + width, y + height)


def _overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.top, other.top) - max(one.bottom, other.bottom)
    return max(width, 0.0) * max(height, 0.0)
