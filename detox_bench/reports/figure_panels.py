"""What the figures of a report share: pages of panels, labels of languages, title and caption."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from detox_bench.comparison import MEAN_ROWS, OTHERS, Change, ComparisonRow
from detox_bench.figures import figure_class
from detox_bench.reports.content import Compared, Report
from detox_bench.reports.fonts import ALWAYS, Fonts
from detox_bench.summary import COLUMNS, MEAN

#: Blue and vermilion of Okabe and Ito (2008): apart for the colour-blind, and in grey by lightness.
LOWER, HIGHER = "#0072B2", "#D55E00"
#: What neither rose nor fell for sure, what was before, and lines that guide the eye.
NEUTRAL, BEFORE, GRID = "#555555", "#333333", "#e3e3e3"

#: The figures are read at this size: two columns of a printed page.
STYLE: Any = {
    "font.family": [ALWAYS],
    "font.size": 7.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "text.parse_math": False,  # a $ in the name of a run is a $
    "text.usetex": False,
    "svg.fonttype": "path",  # the same everywhere, whatever fonts the reader has
}
_SMALL = 6.5
_PER_INCH = 19  # characters of the small size in an inch
_LABELS = 1.5  # inches for the names of the languages
_HEADINGS = 1.3  # inches for title, headings, axis and caption
_HIGHEST = 9.5  # inches on a printed page
#: Panels beside each other, where each has a line a language.
MOST_ACROSS = 4
#: Inches across a panel, by how many are beside each other.
_WIDTHS = {1: 4.2, 2: 2.8, 3: 2.0, 4: 1.55}
_MEANS = {MEAN: "mean", OTHERS: "mean without English"}


class Sheet(NamedTuple):
    """What the panels of a figure stand on: the report, its fonts, and the lines of all panels.

    ``languages`` are ordered from top to bottom; ``means`` are ``MEAN`` and ``OTHERS``, where the
    report has them.
    """

    report: Report
    fonts: Fonts
    metric: str
    languages: tuple[str, ...] = ()
    means: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """The metric as the tables call it."""
        return COLUMNS.get(self.metric, self.metric)

    @property
    def places(self) -> dict[str, float]:
        """How far down each line is: the means lie apart, at the foot."""
        gap = 0.5 if self.means else 0.0
        lines = [*self.languages, *self.means]
        return {line: i + gap * (line in self.means) for i, line in enumerate(lines)}

    @property
    def height(self) -> float:
        """Inches that the lines of a panel need."""
        return 0.45 + 0.19 * (len(self.languages) + len(self.means))


def lines_of(report: Report) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the languages of all comparisons by code, and which means there are."""
    found = {row.language for compared in report.compared for row in compared.rows}
    means = tuple(name for name in MEAN_ROWS if name in found)
    return tuple(sorted(found - set(MEAN_ROWS))), means


def changes_of(compared: Compared, metric: str) -> dict[str, Change]:
    """Return the change of a metric by line; lines without it are left out."""
    rows = {row.language: row.changes.get(metric) for row in compared.rows}
    return {line: change for line, change in rows.items() if change is not None}


def fitting(height: float, most_across: int = MOST_ACROSS) -> int:
    """Return how many panels of ``height`` inches fit on a page, so many beside each other."""
    return most_across * max(1, int((_HIGHEST - _HEADINGS) // height))


def columns(n_panels: int, most: int) -> int:
    """Return how many panels stand beside each other, so that the last row is about full."""
    return -(-n_panels // -(-n_panels // most))


def panels(
    n_panels: int, size: tuple[float, float], across: int, label: str
) -> tuple[Any, list[Any]]:
    """Return a figure and its axes, which share both directions, and a label below them.

    ``size`` are the inches of a panel, width and height, with its axis and heading.
    """
    down = -(-n_panels // across)
    inches = (across * size[0], _HEADINGS + down * size[1])
    figure = figure_class()(figsize=inches, layout="constrained")
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    axes = [axis for line in grid for axis in line]
    for axis in axes[n_panels:]:
        axis.set_visible(False)
    for axis in axes[max(0, n_panels - across) : n_panels]:
        axis.tick_params(labelbottom=True)
        axis.set_xlabel(label)
    return figure, axes[:n_panels]


def line_panels(sheet: Sheet, page: Sequence[Compared], label: str) -> tuple[Any, list[Any]]:
    """Return a figure and a panel a run with a line a language, named at the left."""
    across = columns(len(page), MOST_ACROSS)
    size = (_WIDTHS[across] + _LABELS / across, sheet.height)
    figure, axes = panels(len(page), size, across, label)
    for axis, compared in zip(axes, page, strict=True):
        dress(axis, compared, sheet.fonts)
        axis.tick_params(axis="y", length=0)
    for axis in axes[::across]:
        name_lines(axis, sheet)
    return figure, axes


def dress(axis: Any, compared: Compared, fonts: Fonts) -> None:
    """Write the name of the run over its panel, and take away what is not data."""
    title = run_heading(compared, fonts)
    axis.set_title(title, fontsize=7.5, loc="left", fontfamily=fonts.families)
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def run_heading(compared: Compared, fonts: Fonts, width: int = 26) -> str:
    """Return the name of a run in at most two lines; cheats are marked."""
    name = fonts.legible(compared.about.name)
    most = 1 if compared.is_reference else 2
    shorter = name if len(name) <= most * width else f"{name[: most * width - 4]}…"
    lines = textwrap.wrap(shorter, width, max_lines=most, placeholder="…")
    return "\n".join([*lines, *(["(made-up)"] if compared.is_reference else [])])


def name_lines(axis: Any, sheet: Sheet) -> None:
    """Write the names of the languages, and of the means, beside a panel."""
    places = sheet.places
    names = {line: _MEANS.get(line) or sheet.fonts.label(line) for line in places}
    axis.set_yticks(list(places.values()), list(names.values()))
    for line, label in zip(places, axis.get_yticklabels(), strict=True):
        label.set_fontfamily(sheet.fonts.families_of(line))
        label.set_linespacing(0.9)
        if "\n" in label.get_text():
            label.set_fontsize(_SMALL - 1)
    axis.set_ylim(max(places.values()) + 0.6, -0.6)


def entitle(figure: Any, title: str, caption: str, sheet: Sheet) -> None:
    """Write the title over the figure and, below, the caption with the scorer and the prompts."""
    fonts, width = sheet.fonts, int(figure.get_figwidth() * _PER_INCH)
    whole = fonts.legible(f"{caption} {_measured(sheet)}")
    lines = textwrap.fill(whole, width, break_on_hyphens=False)
    style = {"x": 0.01, "ha": "left", "fontfamily": fonts.families}
    figure.suptitle(title, fontsize=9, **style)
    figure.supxlabel(lines, fontsize=_SMALL, color=NEUTRAL, linespacing=1.3, **style)


def _measured(sheet: Sheet) -> str:
    """Return the caption's end: how many prompts, which scorer, and before is which model."""
    report = sheet.report
    counts = sorted(row.n_prompts for each in report.compared for row in _languages(each))
    prompts = f"{counts[0]:,}" if counts[0] == counts[-1] else f"{counts[0]:,} to {counts[-1]:,}"
    scorer = f"{report.scorer.id}, threshold {report.scorer.threshold:g}"
    return f"Before: {report.base.name}. Prompts in a language: {prompts}. Scorer: {scorer}."


def _languages(compared: Compared) -> list[ComparisonRow]:
    return [row for row in compared.rows if row.language not in MEAN_ROWS]
