"""Intervals of ranked rows drawn small and on one scale, so that the eye finds who lies apart."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from detox_bench.leaderboard.ranking import Row
from detox_bench.leaderboard.submission import Estimate
from detox_bench.reports.svg import Axis, element

_WIDTH, _HEIGHT, _RADIUS = 120.0, 10.0, 3.0


class Strips(NamedTuple):
    """The scale of all strips; None where there are not two intervals to compare."""

    axis: Axis | None

    def draw(self, row: Row) -> Markup | None:
        """Return the interval of what ranks a row beside 0; None for a row without a rank."""
        found = _difference(row)
        if self.axis is None or row.standing is None or found is None:
            return None
        zero, at = self.axis.place(0.0), self.axis.place(found.estimate)
        dot = element("circle", cx=at, cy=_HEIGHT / 2, r=_RADIUS)
        parts = (element("line", x1=zero, x2=zero, y1=0, y2=_HEIGHT), _interval(found, self.axis))
        box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
        return element("svg", *parts, dot, class_="strip", viewBox=box, aria_hidden="true")


def strips_of(ranked: Sequence[Row]) -> Strips:
    """Return what draws the strips of the ranked rows: from 0 to the largest change."""
    found = [each for each in map(_difference, ranked) if each is not None]
    bounds = [x for d in found for x in (d.estimate, d.low, d.high) if x is not None]
    if len(found) < 2 or not any(bounds):
        return Strips(None)
    low, high = min(0.0, *bounds), max(0.0, *bounds)
    return Strips(Axis(low, high, _RADIUS, _WIDTH - _RADIUS))


def _interval(found: Estimate, axis: Axis) -> Markup:
    if found.low is None or found.high is None:
        return Markup()
    low, high, middle = axis.place(found.low), axis.place(found.high), _HEIGHT / 2
    return element("line", x1=low, x2=high, y1=middle, y2=middle, class_="interval")


def _difference(row: Row) -> Estimate | None:
    return row.counted.change if row.counted else None
