"""Scatters of a board as inline SVG: toxicity against perplexity, retrieval against change."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from detox_bench.leaderboard import shown
from detox_bench.leaderboard.board_rows import anchor, page_of
from detox_bench.leaderboard.ranking import METRIC, Ranking, Row
from detox_bench.reports.cells import number
from detox_bench.reports.svg import Axis, element, figure, horizontal, ticks, vertical, words_at

_SIZE = (560.0, 400.0)
#: Beside so many points or fewer, each has its name.
_NAMED = 12
_LETTERS = 26
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
    tone: str
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


def perplexity_scatter(ranking: Ranking) -> Markup | None:
    """Return EMT after against how many times the base's the perplexity is; None without rows."""
    found = [_of_perplexity(row) for row in ranking.rows]
    names = "EMT, %", "perplexity, times the base's (log)"
    return _scatter([p for p in found if p], names, "Toxicity against perplexity", logarithmic=True)


def retrieval_scatter(ranking: Ranking) -> Markup | None:
    """Return the change of EMT against retrieval, both means over languages; None without rows."""
    found = [_of_retrieval(row) for row in ranking.rows]
    names = "retrieval accuracy of the model, %", "change of EMT, points"
    return _scatter([p for p in found if p], names, "Change against retrieval", logarithmic=False)


def _of_perplexity(row: Row) -> Point | None:
    after = row.entry.submission.mean.get(METRIC)
    ratio = row.mean.perplexity_ratio if row.mean else None
    if after is None or ratio is None or ratio.estimate <= 0:
        return None
    return _point(row, 100 * after.estimate, math.log10(ratio.estimate))


def _of_retrieval(row: Row) -> Point | None:
    found = row.entry.submission.retrieval
    if not found or row.change is None:
        return None
    return _point(row, 100 * sum(found.values()) / len(found), 100 * row.change)


def _point(row: Row, x: float, y: float) -> Point:
    tone = "invalid" if row.entry.reference else "degenerate" if row.reason else "clean"
    name = shown.text_of(row.entry.submission.model.name)
    return Point(name, x, y, tone, f"{page_of(row.entry)}#{anchor(row.entry)}")


def _scatter(
    points: Sequence[Point], names: tuple[str, str], title: str, logarithmic: bool
) -> Markup | None:
    if not points:
        return None
    width, height = _SIZE
    x = Axis(*_padded([p.x for p in points]), 60.0, width - 24)
    # No change is always in sight: × 1, or 0 points.
    y = Axis(*_padded([0.0, *(p.y for p in points)]), height - 44, 10.0)
    parts = [vertical(x, tick, y.start) for tick in ticks(x.low, x.high, 6)]
    parts += _powers(y, x) if logarithmic else [horizontal(y, t, x) for t in ticks(y.low, y.high)]
    parts.append(words_at(names[0], (x.start + x.stop) / 2, height - 6, "middle", "axis"))
    turned = f"translate(13 {y.start / 2:.0f}) rotate(-90)"
    parts.append(element("text", names[1], class_="axis", text_anchor="middle", transform=turned))
    parts += [_mark(p, x, y, logarithmic) for p in points]
    parts += _names(points, x, y) if len(points) <= _NAMED else []
    words = f"{names[0]}, {names[1]}: {len(points)} models; their numbers are in the table."
    name = title.lower().replace(" ", "-")
    return figure(parts, _SIZE, (title, words), name, "wide")


def _mark(point: Point, x: Axis, y: Axis, logarithmic: bool) -> Markup:
    value = f"× {10**point.y:.2f}" if logarithmic else number(point.y, 1)
    tip = element("title", f"{point.name}: {number(point.x, 1)}; {value}")
    dot = element("circle", cx=x.place(point.x), cy=y.place(point.y), r=4.0, class_="mark")
    return element("a", tip, dot, href=point.link, class_=f"tone-{point.tone}")


def _names(points: Sequence[Point], x: Axis, y: Axis) -> list[Markup]:
    """Return the names beside the marks; one that would lie on another or a mark is left out."""
    marks = [(x.place(p.x), y.place(p.y)) for p in points]
    taken = [_Box(cx - 4, cx + 4, cy) for cx, cy in marks]
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
