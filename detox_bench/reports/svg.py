"""Figures of a page as inline SVG: a forest of intervals, and arrows in a plane.

Colours are classes that the page's style sheet gives meaning to; text is that of the page. Every
figure is an image (of links, a group) with a title and a description, every mark has a tooltip.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from detox_bench.statistics import Interval

#: Widths in user units: at 390 pixels a figure is shown about as wide, so 12 units of text stay
#: above 11 pixels.
_WIDTH, _LINE, _TEXT = 360.0, 19.0, 12.0
_LABELS, _MARGIN = 92.0, 12.0
_PLANE = (560.0, 400.0)
_HEAD = 7.0


class Bar(NamedTuple):
    """A line of a forest: an estimate with its interval, and the class of its colour."""

    label: str
    interval: Interval
    tone: str


class Arrow(NamedTuple):
    """From a point before to one after, ``(x, y)`` each, and the class of its colour."""

    label: str
    start: tuple[float, float]
    end: tuple[float, float]
    tone: str


class Axis(NamedTuple):
    """Numbers from ``low`` to ``high`` on the pixels from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float

    def place(self, value: float) -> float:
        """Return where a number lies, in user units."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element; children and attributes are escaped unless they are markup.

    ``class_`` is ``class``, ``text_anchor`` ``text-anchor``; numbers are rounded to 0.1.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_rounded(value))}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{''.join(map(escape, children))}</{name}>")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def forest(rows: Sequence[Bar], foot: Sequence[Bar], title: str, name: str) -> Markup:
    """Return a line a row with its interval about 0, those of ``foot`` as diamonds below a rule.

    ``name`` is an id that no other figure of the page has.
    """
    bounds = [bound for row in (*rows, *foot) for bound in row.interval if math.isfinite(bound)]
    low, high = _padded(min([0.0, *bounds]), max([0.0, *bounds]))
    axis = Axis(low, high, _LABELS, _WIDTH - _MARGIN)
    bottom = _LINE * (len(rows) + len(foot) + (0.5 if foot else 0)) + 6
    parts = [vertical(axis, tick, bottom) for tick in ticks(low, high, 4)]
    parts.append(
        element("line", class_="zero", x1=axis.place(0), x2=axis.place(0), y1=0, y2=bottom)
    )
    for place, row in enumerate(rows):
        parts.append(_forest_line(row, axis, _LINE * (place + 0.5) + 2, diamond=False))
    for place, row in enumerate(foot, len(rows)):
        parts.append(_forest_line(row, axis, _LINE * (place + 1) + 2, diamond=True))
    if foot:
        y = _LINE * (len(rows) + 0.25) + 2
        parts.append(element("line", class_="rule", x1=0, x2=_WIDTH, y1=y, y2=y))
    words = "Estimate and 95 % interval: " + "; ".join(map(_in_words, (*rows, *foot))) + "."
    return figure(parts, (_WIDTH, bottom + 20), (title, words), name)


def arrows(points: Sequence[Arrow], axes: tuple[str, str], title: str, name: str) -> Markup:
    """Return arrows from before to after in a plane, both axes from 0; ``axes`` are their names."""
    width, height = _PLANE
    right = max((xy[0] for each in points for xy in (each.start, each.end)), default=1.0)
    top = max((xy[1] for each in points for xy in (each.start, each.end)), default=1.0)
    x = Axis(0.0, (right or 1.0) * 1.08, 52.0, width - 30)
    y = Axis(0.0, (top or 1.0) * 1.08, height - 44, 10.0)
    parts = [vertical(x, tick, y.start) for tick in ticks(x.low, x.high, 6)]
    parts += [horizontal(y, tick, x) for tick in ticks(y.low, y.high, 6)]
    parts.append(words_at(axes[0], (x.start + x.stop) / 2, height - 6, "middle", "axis"))
    turned = f"translate(13 {y.start / 2:.0f}) rotate(-90)"
    parts.append(element("text", axes[1], class_="axis", text_anchor="middle", transform=turned))
    parts += [_arrow(each, x, y) for each in points]
    parts += _arrow_labels(points, x, y)
    words = "; ".join(f"{p.label} {_pair(p.start)} to {_pair(p.end)}" for p in points)
    return figure(parts, _PLANE, (title, f"{axes[0]}, {axes[1]}: {words}."), name, "wide")


def figure(
    parts: Sequence[Markup],
    size: tuple[float, float],
    words: tuple[str, str],
    name: str,
    kind: str = "narrow",
    role: str = "img",
) -> Markup:
    """Return an image of its ``parts``; ``words`` are its title and description.

    ``name`` is an id that no other figure of the page has, ``kind`` a class of the style sheet;
    ``role`` is "group" where parts are links, as nothing within an image is read out.
    """
    title = element("title", words[0], id=f"{name}-title")
    about = element("desc", words[1], id=f"{name}-about")
    return element(
        "svg",
        title,
        about,
        *parts,
        class_=f"figure {kind}",
        role=role,
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-about",
        viewBox=f"0 0 {size[0]:.0f} {size[1]:.0f}",
    )


def _forest_line(row: Bar, axis: Axis, y: float, diamond: bool) -> Markup:
    label = words_at(row.label, _LABELS - 8, y + 4, "end", "label")
    if not math.isfinite(row.interval.estimate):
        return element("g", label, words_at("no number", axis.start + 4, y + 4, "start", "tick"))
    x = axis.place(row.interval.estimate)
    low, high = (
        axis.place(b if math.isfinite(b) else row.interval.estimate) for b in row.interval[1:]
    )
    if diamond:
        path = f"M{low:.1f} {y:.1f}L{x:.1f} {y - 5:.1f}L{high:.1f} {y:.1f}L{x:.1f} {y + 5:.1f}Z"
        marks = [element("path", d=path, class_="mark")]
    else:
        line = element("line", x1=low, x2=high, y1=y, y2=y, class_="interval")
        marks = [line, element("circle", cx=x, cy=y, r=3.5, class_="mark")]
    target = element("rect", x=0, y=y - _LINE / 2, width=_WIDTH, height=_LINE, class_="target")
    tip = element("title", _in_words(row))
    return element("g", tip, target, label, *marks, class_=f"tone-{row.tone}")


def _arrow(each: Arrow, x: Axis, y: Axis) -> Markup:
    one = x.place(each.start[0]), y.place(each.start[1])
    two = x.place(each.end[0]), y.place(each.end[1])
    angle = math.atan2(two[1] - one[1], two[0] - one[0])
    wings = [
        (two[0] - _HEAD * math.cos(angle + turn), two[1] - _HEAD * math.sin(angle + turn))
        for turn in (0.45, -0.45)
    ]
    head = " ".join(f"{a:.1f},{b:.1f}" for a, b in (two, *wings))
    return element(
        "g",
        element("title", f"{each.label}: {_pair(each.start)} → {_pair(each.end)}"),
        element("circle", cx=one[0], cy=one[1], r=2.5, class_="interval"),
        element("line", x1=one[0], y1=one[1], x2=two[0], y2=two[1], class_="interval"),
        element("polygon", points=head, class_="mark"),
        class_=f"tone-{each.tone}",
    )


def _arrow_labels(points: Sequence[Arrow], x: Axis, y: Axis) -> list[Markup]:
    """Return the labels beside the heads, above all arrows, none on another if there is room."""
    taken: list[tuple[float, float]] = []
    made = []
    for each in points:
        right = each.end[0] >= each.start[0]
        head = x.place(each.end[0]), y.place(each.end[1])
        spot = _free((head[0] + (6 if right else -6), head[1] + 4), taken)
        made.append(words_at(each.label, *spot, "start" if right else "end", "label"))
    return made


def _free(spot: tuple[float, float], taken: list[tuple[float, float]]) -> tuple[float, float]:
    """Return a spot near ``spot`` that no label is at, and take it: up and down in turn."""
    steps = sorted(range(-8, 9), key=abs)
    tried = [(spot[0], spot[1] + 6.5 * step) for step in steps]
    free = (s for s in tried if all(abs(s[0] - t[0]) > 26 or abs(s[1] - t[1]) > 12 for t in taken))
    taken.append(found := next(free, spot))
    return found


def vertical(axis: Axis, tick: float, bottom: float) -> Markup:
    """Return a line at a tick of a horizontal axis, with its number below."""
    x = axis.place(tick)
    line = element("line", x1=x, x2=x, y1=0, y2=bottom, class_="grid")
    return element("g", line, words_at(_tick(tick), x, bottom + 15, "middle", "tick"))


def horizontal(axis: Axis, tick: float, x: Axis) -> Markup:
    """Return a line at a tick of a vertical axis, with its number to the left."""
    y = axis.place(tick)
    line = element("line", x1=x.start, x2=x.stop, y1=y, y2=y, class_="grid")
    return element("g", line, words_at(_tick(tick), x.start - 6, y + 4, "end", "tick"))


def words_at(text: str, x: float, y: float, anchor: str, kind: str) -> Markup:
    """Return a text that begins, ends or has its middle at a point."""
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=kind, font_size=_TEXT)


def _in_words(row: Bar) -> str:
    estimate, low, high = row.interval
    if not math.isfinite(estimate):
        return f"{row.label}: no number"
    bounds = f" ({low:+.3f} to {high:+.3f})" if math.isfinite(low) else ""
    return f"{row.label}: {estimate:+.3f}{bounds}".replace("-", "−")


def _pair(point: tuple[float, float]) -> str:
    return f"({point[0]:.3g}, {point[1]:.3g})"


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("-", "−") if abs(value) > 1e-12 else "0"


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.06 * (high - low) or 0.1
    return low - room, high + room


def _rounded(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
