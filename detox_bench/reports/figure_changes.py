"""Toxicity before and after as figures: its change, its levels, and against perplexity."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from detox_bench.comparison import FEWEST, Change
from detox_bench.reports.content import Compared, PerplexityChange
from detox_bench.reports.figure_labels import place_labels
from detox_bench.reports.figure_panels import (
    BEFORE,
    HIGHER,
    LOWER,
    NEUTRAL,
    Sheet,
    changes_of,
    columns,
    dress,
    entitle,
    line_panels,
    panels,
)
from detox_bench.verdicts import INVALID, MOST_PERPLEXITY

#: Inches across and up of a panel of arrows, and how many are beside each other.
ARROWS_SIZE, ARROWS_ACROSS = (3.6, 2.7), 2
_BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
_TIP = {"mutation_scale": 6, "shrinkA": 1.5, "shrinkB": 0}

#: What draws a line of a panel: the axis, how far down, the change, a marker, whether it is valid.
DrawLine = Callable[[Any, float, Change, str, bool], None]


def draw_changes(sheet: Sheet, page: Sequence[Compared]) -> Any:
    """Return a forest plot: the change of the metric with its 95 % interval, a panel a run."""
    figure, axes = line_panels(sheet, page, f"change of {sheet.heading}")
    for axis, compared in zip(axes, page, strict=True):
        axis.axvline(0, color="black", linewidth=0.8)
        _draw_lines(axis, sheet, compared, _draw_change)
    axes[0].set_xlim(*_change_limits(sheet))
    caption = (
        "After minus before, with the paired 95 % bootstrap interval over prompts; left of 0 is "
        "less toxic. Filled: the interval excludes 0. Hollow: it does not, or too few scores. "
        f"Diamonds: means over languages. Ticks: seeds. No interval under {FEWEST} prompts."
    )
    entitle(figure, f"Change of {sheet.heading} in each language", caption, sheet)
    return figure


def draw_levels(sheet: Sheet, page: Sequence[Compared]) -> Any:
    """Return a dumbbell plot: the metric before and after in each language, a panel a run."""
    figure, axes = line_panels(sheet, page, sheet.heading)
    for axis, compared in zip(axes, page, strict=True):
        _draw_lines(axis, sheet, compared, _draw_level)
    axes[0].set_xlim(-0.03 * _highest(sheet), 1.06 * _highest(sheet))
    caption = (
        "Hollow: before. Filled: after, blue where it is lower, orange where it is not. Diamonds: "
        "means over languages. Grey: too few scores to judge."
    )
    entitle(figure, f"{sheet.heading} before and after", caption, sheet)
    return figure


def draw_perplexity(sheet: Sheet, page: Sequence[Compared]) -> Any:
    """Return toxicity over perplexity: an arrow a language from before to after, a panel a run."""
    across = columns(len(page), ARROWS_ACROSS)
    figure, axes = panels(len(page), ARROWS_SIZE, across, "median perplexity")
    _limit_perplexity(axes[0], sheet)
    for axis, compared in zip(axes, page, strict=True):
        dress(axis, compared, sheet.fonts)
        _draw_arrows(axis, compared, sheet)
    for axis in axes[::across]:
        axis.set_ylabel(sheet.heading)
    caption = (
        "An arrow a language from before to after: down is less toxic, right is more surprising to "
        f"{sheet.report.perplexity_model or 'the judging model'}. Orange and dashed: more than "
        f"{MOST_PERPLEXITY:g} times the median before. A cross: nothing after has a perplexity."
    )
    entitle(figure, f"{sheet.heading} against perplexity", caption, sheet)
    return figure


def _draw_lines(axis: Any, sheet: Sheet, compared: Compared, draw: DrawLine) -> None:
    """Draw the lines of a panel, or say what a line lacks."""
    changes = changes_of(compared, sheet.metric)
    for line, place in sheet.places.items():
        mean = line in sheet.means
        found = compared.verdicts.get(line)
        if line in changes:
            invalid = found is not None and found.verdict == INVALID
            draw(axis, place, changes[line], "D" if mean else "o", not invalid)
        else:
            lack = "not in all languages" if mean else "no score"
            style = {"color": NEUTRAL, "fontsize": 6, "va": "center", "bbox": _BLANK}
            axis.text(0.02, place, lack, transform=axis.get_yaxis_transform(), **style)


def _draw_change(axis: Any, place: float, change: Change, marker: str, valid: bool) -> None:
    estimate, low, high = change.difference
    enough = change.n_prompts >= FEWEST and not math.isnan(low)
    sure = valid and enough and (high < 0 or low > 0)
    colour = (LOWER if estimate < 0 else HIGHER) if sure else NEUTRAL
    if enough:
        axis.plot([low, high], [place] * 2, color=colour, linewidth=1.3, solid_capstyle="butt")
    if len(change.by_run) > 1:
        axis.plot(change.by_run, [place] * len(change.by_run), "|", color=NEUTRAL, markersize=5)
    axis.plot(estimate, place, marker, color=colour, mfc=colour if sure else "white", markersize=4)


def _draw_level(axis: Any, place: float, change: Change, marker: str, valid: bool) -> None:
    colour = (LOWER if change.other < change.base else HIGHER) if valid else NEUTRAL
    axis.plot([change.base, change.other], [place] * 2, color=colour, linewidth=1.3, alpha=0.5)
    axis.plot(change.base, place, marker, color=BEFORE, mfc="white", markersize=4)
    axis.plot(change.other, place, marker, color=colour, markersize=4)


def _draw_arrows(axis: Any, compared: Compared, sheet: Sheet) -> None:
    """Draw the languages whose perplexity before is known, and their codes where there is room."""
    changes = changes_of(compared, sheet.metric)
    known = [code for code in sheet.languages if code in changes and code in compared.perplexity]
    ends = {}
    for code in known:
        perplexity = compared.perplexity[code]
        if perplexity.base is not None:
            ends[code] = _draw_arrow(axis, perplexity.base[1], perplexity, changes[code])
    _name_ends(axis, ends)


def _draw_arrow(
    axis: Any, base: float, perplexity: PerplexityChange, change: Change
) -> tuple[float, float]:
    """Draw one language, and return where its arrow ends."""
    before = (base, change.base)
    end = (perplexity.other[1] if perplexity.other else base, change.other)
    many = perplexity.other is None or perplexity.ratio.estimate > MOST_PERPLEXITY
    colour, style = (HIGHER, "--") if many else (LOWER, "-")
    axis.plot(*before, "o", color=BEFORE, mfc="white", markersize=2.5, markeredgewidth=0.7)
    if perplexity.other is None:
        axis.plot(*end, "x", color=colour, markersize=4)
    arrow = {"arrowstyle": "-|>", "color": colour, "linestyle": style, "linewidth": 0.8}
    axis.annotate("", end, before, arrowprops=arrow | _TIP)
    return end


def _name_ends(axis: Any, ends: Mapping[str, tuple[float, float]]) -> None:
    """Write the code of each language beside the end of its arrow."""
    from matplotlib.patheffects import withStroke

    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    width, height = (72 * 0.85 * inches for inches in ARROWS_SIZE)
    points = [
        (math.log(x / left) / math.log(right / left) * width, (y - low) / (high - low) * height)
        for x, y in ends.values()
    ]
    offsets = place_labels(points, [(3.7 * len(code), 6.5) for code in ends])
    style = {"textcoords": "offset points", "fontsize": 6, "ha": "center", "va": "center"}
    halo = [withStroke(linewidth=1.5, foreground="white")]
    for (code, end), offset in zip(ends.items(), offsets, strict=True):
        axis.annotate(code, end, offset, path_effects=halo, zorder=5, **style)


def _change_limits(sheet: Sheet) -> tuple[float, float]:
    """Return limits that hold zero and every interval of the report, with a little room."""
    bounds = [bound for change in _all(sheet) for bound in change.difference]
    known = [0.0, *(bound for bound in bounds if math.isfinite(bound))]
    room = 0.06 * (max(known) - min(known)) or 0.05
    return min(known) - room, max(known) + room


def _highest(sheet: Sheet) -> float:
    return max([0.01, *(max(change.base, change.other) for change in _all(sheet))])


def _limit_perplexity(axis: Any, sheet: Sheet) -> None:
    """Set limits that hold every median of the report; equal steps of perplexity are ratios."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    every = [each for compared in sheet.report.compared for each in compared.perplexity.values()]
    medians = [side[1] for each in every for side in (each.base, each.other) if side]
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_xlim(min(medians) / 1.2, max(medians) * 1.2)
    axis.set_ylim(0, 1.08 * _highest(sheet))


def _all(sheet: Sheet) -> Iterable[Change]:
    for compared in sheet.report.compared:
        yield from changes_of(compared, sheet.metric).values()
