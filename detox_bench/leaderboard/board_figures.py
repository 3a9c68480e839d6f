"""Scatters of a board as inline SVG: toxicity against perplexity, retrieval against change.

Groups differ in shape, not in colour alone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from detox_bench.leaderboard import shown
from detox_bench.leaderboard.board_cells import BASE, NOT_RANKED, RANKED, REFERENCE, group_of
from detox_bench.leaderboard.board_rows import anchor, page_of
from detox_bench.leaderboard.counted_change import METRIC
from detox_bench.leaderboard.ranking import Ranking, Row
from detox_bench.reports.cells import number, signed
from detox_bench.reports.svg import Axis, element, figure, horizontal, ticks, vertical, words_at


class Mark(NamedTuple):
    """How the points of a group look: a colour, and a shape for whom colours look alike."""

    tone: str
    sign: str
    path: str


#: By group; ``sign`` is the shape in a text.
MARKS: Mapping[str, Mark] = {
    RANKED: Mark("clean", "●", "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0Z"),
    NOT_RANKED: Mark("degenerate", "▲", "M0 -5L5 4L-5 4Z"),
    BASE: Mark("unchanged", "◆", "M0 -5.5L5.5 0L0 5.5L-5.5 0Z"),
    REFERENCE: Mark("invalid", "■", "M-4 -4H4V4H-4Z"),
}
#: In user units: at 390 pixels a figure is shown about as wide, so that text stays legible.
_SIZE = (384.0, 340.0)
_BEYOND = "outside the band of quality"
#: Beside so many points or fewer, each has its name.
_NAMED = 12
_LETTERS = 20
#: Marks of a logarithmic axis, of less than a power of ten and of more.
_MULTIPLES = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0)
_FEW_MULTIPLES = (1.0, 2.0, 5.0)
#: The width of a letter and the height of a line, and how far a name may stand above or below.
_LETTER, _HEIGHT = 6.6, 12.0
_SHIFTS = (0.0, 13.0, -13.0, 26.0, -26.0)


class Point(NamedTuple):
    """A model in a plane, with what its mark says and where it leads."""

    name: str
    x: float
    y: float
    group: str
    link: str


class _Box(NamedTuple):
    """What a name or a mark takes, a line high."""

    left: float
    right: float
    middle: float

    def meets(self, other: "_Box") -> bool:
        """Whether the two lie on each other."""
        apart = self.right < other.left or other.right < self.left
        return not apart and abs(self.middle - other.middle) < _HEIGHT


class _Plane(NamedTuple):
    """Points with the names of their axes; ``limit`` is where the band of quality ends."""

    points: Sequence[Point]
    names: tuple[str, str]
    title: str
    limit: float | None = None

    @property
    def logarithmic(self) -> bool:
        """Whether the upright axis is one of powers of ten: that with a limit."""
        return self.limit is not None

    def axes(self) -> tuple[Axis, Axis]:
        """Return both axes; no change, × 1 or 0 points, and the limit are always in sight."""
        upright = [0.0, self.limit or 0.0, *(p.y for p in self.points)]
        x = Axis(*_padded([p.x for p in self.points]), 52.0, _SIZE[0] - 12)
        return x, Axis(*_padded(upright), _SIZE[1] - 44, 10.0)


def perplexity_scatter(ranking: Ranking, most: float) -> Markup | None:
    """Return EMT after against how many times the base's the perplexity is; None without rows.

    ``most`` is the ratio that the band of quality ends at.
    """
    found = [_of_perplexity(row) for row in ranking.rows]
    names = "EMT, %", "perplexity, times the base's (log)"
    points = [point for point in found if point]
    return _scatter(_Plane(points, names, "Toxicity against perplexity", math.log10(most)))


def retrieval_scatter(ranking: Ranking) -> Markup | None:
    """Return the change of EMT against retrieval, both means over languages; None without rows."""
    found = [_of_retrieval(row) for row in ranking.rows]
    names = "retrieval accuracy of the model, %", "change of EMT, points"
    return _scatter(_Plane([point for point in found if point], names, "Change against retrieval"))


def _of_perplexity(row: Row) -> Point | None:
    after = row.entry.submission.mean.get(METRIC)
    ratio = _ratio(row)
    return _point(row, 100 * after.estimate, math.log10(ratio)) if after and ratio else None


def _ratio(row: Row) -> float | None:
    """Return how many times its base's the perplexity of a row is; a base's is its own."""
    if group_of(row) == BASE:
        return 1.0
    found = row.mean.perplexity_ratio if row.mean else None
    return found.estimate if found and found.estimate > 0 else None


def _of_retrieval(row: Row) -> Point | None:
    found = row.entry.submission.retrieval
    if not found or row.change is None:
        return None
    return _point(row, 100 * sum(found.values()) / len(found), 100 * row.change)


def _point(row: Row, x: float, y: float) -> Point:
    name = shown.text_of(row.entry.submission.model.name)
    return Point(name, x, y, group_of(row), f"{page_of(row.entry)}#{anchor(row.entry)}")


def _scatter(plane: _Plane) -> Markup | None:
    if not any(p.group != BASE for p in plane.points):
        return None
    x, y = plane.axes()
    few = len(plane.points) <= _NAMED
    parts = [_outside(plane.limit, x, y)] if plane.limit is not None else []
    parts += [vertical(x, tick, y.start) for tick in ticks(x.low, x.high, 5)]
    parts += _powers(y, x) if plane.logarithmic else [horizontal(y, t, x) for t in _ticks(y)]
    parts += _axis_names(plane.names, x, y)
    parts += [_mark(p, x, y, plane.logarithmic, few) for p in plane.points]
    taken = _Box(x.stop - 4 - len(_BEYOND) * _LETTER, x.stop - 4, y.stop + 10)
    parts += _names(plane.points, x, y, [taken] if plane.logarithmic else []) if few else []
    names, count = ", ".join(plane.names), len(plane.points)
    words = f"{names}: {count} models; their numbers are in the table."
    name = plane.title.lower().replace(" ", "-")
    return figure(parts, _SIZE, (plane.title, words), name, "narrow plane", "group")


def _ticks(axis: Axis) -> list[float]:
    return ticks(axis.low, axis.high)


def _axis_names(names: tuple[str, str], x: Axis, y: Axis) -> list[Markup]:
    turned = f"translate(13 {y.start / 2:.0f}) rotate(-90)"
    below = words_at(names[0], (x.start + x.stop) / 2, _SIZE[1] - 6, "middle", "axis")
    beside = element("text", names[1], class_="axis", text_anchor="middle", transform=turned)
    return [below, beside]


def _outside(limit: float, x: Axis, y: Axis) -> Markup:
    """Return what lies above the limit of the band, shaded and named."""
    height, width = y.place(limit) - y.stop, x.stop - x.start
    area = element("rect", x=x.start, y=y.stop, width=width, height=height, class_="outside")
    return element("g", area, words_at(_BEYOND, x.stop - 4, y.stop + 14, "end", "tick"))


def _mark(point: Point, x: Axis, y: Axis, logarithmic: bool, reached: bool) -> Markup:
    """Return the mark of a point, a link; ``reached`` says that the tabulator stops there."""
    value = f"× {10**point.y:.2f}" if logarithmic else signed(point.y, 1)
    tip = element("title", f"{point.name}, {point.group}: {number(point.x, 1)}; {value}")
    place = f"translate({x.place(point.x):.1f} {y.place(point.y):.1f})"
    mark = MARKS[point.group]
    shape = element("path", d=mark.path, transform=place, class_="mark")
    stop = {} if reached else {"tabindex": "-1"}
    return element("a", tip, shape, href=point.link, class_=f"tone-{mark.tone}", **stop)


def _names(points: Sequence[Point], x: Axis, y: Axis, others: Sequence[_Box]) -> list[Markup]:
    """Return the names beside the marks; one that would lie on a mark or ``others`` is left out."""
    marks = [(x.place(p.x), y.place(p.y)) for p in points]
    taken = [*others, *(_Box(cx - 4, cx + 4, cy) for cx, cy in marks)]
    made = []
    for point, (cx, cy) in zip(points, marks, strict=True):
        name = point.name.rpartition("/")[2]
        name = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
        found = _room(len(name) * _LETTER, (cx, cy), x, taken)
        if found is not None:
            taken.append(found)
            anchor, at = ("end", found.right) if found.right < cx else ("start", found.left)
            made.append(words_at(name, at, found.middle + 4, anchor, "label"))
    return made


def _room(width: float, mark: tuple[float, float], x: Axis, taken: Sequence[_Box]) -> _Box | None:
    """Return where a name has room right or left of its mark, a little up or down; else None."""
    cx, cy = mark
    sides = ((cx + 7, cx + 7 + width), (cx - 7 - width, cx - 7))
    boxes = [_Box(left, right, cy + shift) for shift in _SHIFTS for left, right in sides]
    inside = (box for box in boxes if box.left >= x.start and box.right <= _SIZE[0])
    return next((box for box in inside if not any(map(box.meets, taken))), None)


def _powers(y: Axis, x: Axis) -> list[Markup]:
    """Return lines at round multiples of the powers of ten that the axis holds."""
    powers = range(math.floor(y.low), math.ceil(y.high) + 1)
    multiples = _MULTIPLES if y.high - y.low < 1 else _FEW_MULTIPLES
    values = [multiple * 10.0**power for power in powers for multiple in multiples]
    return [_power(y, x, value) for value in values if y.low <= math.log10(value) <= y.high]


def _power(y: Axis, x: Axis, value: float) -> Markup:
    place = y.place(math.log10(value))
    kind = "zero" if value == 1 else "grid"
    line = element("line", x1=x.start, x2=x.stop, y1=place, y2=place, class_=kind)
    return element("g", line, words_at(f"×{value:g}", x.start - 6, place + 4, "end", "tick"))


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or max(0.1 * abs(high), 0.05)
    return low - room, high + room
