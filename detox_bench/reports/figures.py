"""The figures of a report as files, by matplotlib.

``verdicts``    languages by runs, coloured: was it detoxified?
``change``      the change of the metric in each language with its interval, a panel a run
``levels``      the metric before and after
``perplexity``  toxicity against perplexity, an arrow a language; only where a model judged

Each is ``<name>.svg`` and ``<name>.png``; where runs do not fit on a page, ``<name>-2.svg`` and on.
To add a figure, add a row to ``FIGURES``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.comparison import HEADLINE
from detox_bench.errors import unknown_name
from detox_bench.figures import FORMATS, save_figure
from detox_bench.reports.content import Compared, Report
from detox_bench.reports.figure_changes import (
    ARROWS_ACROSS,
    ARROWS_SIZE,
    draw_changes,
    draw_levels,
    draw_perplexity,
)
from detox_bench.reports.figure_matrix import draw_verdicts
from detox_bench.reports.figure_panels import STYLE, Sheet, changes_of, fitting, lines_of
from detox_bench.reports.fonts import find_fonts

_MOST_COLUMNS = 20  # of the matrix of verdicts on a page


def _by_code(_compared: Iterable[Compared], _metric: str, code: str) -> tuple[float, str]:
    return 0.0, code


def _by_change(compared: Iterable[Compared], metric: str, code: str) -> tuple[float, str]:
    """Put the largest fall, over all runs, on top."""
    found = [changes[code] for each in compared if code in (changes := changes_of(each, metric))]
    total = sum(change.difference.estimate for change in found)
    return total / len(found) if found else float("inf"), code


def _by_base(compared: Iterable[Compared], metric: str, code: str) -> tuple[float, str]:
    """Put the highest level before on top."""
    found = [changes[code] for each in compared if code in (changes := changes_of(each, metric))]
    return -max((change.base for change in found), default=float("-inf")), code


class Drawing(NamedTuple):
    """A figure: what draws a page of it, what its languages are ordered by, how many runs fit."""

    draw: Callable[[Sheet, Sequence[Compared]], Any]
    order: Callable[[Iterable[Compared], str, str], tuple[float, str]]
    fitting: Callable[[Sheet], int]
    means: bool = False


FIGURES: Mapping[str, Drawing] = {
    "verdicts": Drawing(draw_verdicts, _by_code, lambda _: _MOST_COLUMNS),
    "change": Drawing(draw_changes, _by_change, lambda sheet: fitting(sheet.height), means=True),
    "levels": Drawing(draw_levels, _by_base, lambda sheet: fitting(sheet.height), means=True),
    "perplexity": Drawing(
        draw_perplexity, _by_code, lambda _: fitting(ARROWS_SIZE[1], ARROWS_ACROSS)
    ),
}


class _Page(NamedTuple):
    """A figure to be drawn: the name of its files, and what is on it."""

    stem: str
    drawing: Drawing
    sheet: Sheet
    compared: Sequence[Compared]


def draw_figures(
    report: Report, folder: Path, formats: Sequence[str] = FORMATS, metric: str = HEADLINE[0]
) -> list[Path]:
    """Draw all figures that the report has numbers for, and return their files.

    The same report gives the same files, byte for byte, on one machine. ``metric`` is one of
    ``comparison.HEADLINE``. Raises ``MissingExtra`` without matplotlib, ``UnknownName`` for another
    metric, ``DetoxBenchError`` where a file cannot be written.
    """
    from tqdm import tqdm

    if metric not in HEADLINE:
        raise unknown_name("metric", metric, HEADLINE)
    first = Sheet(report, find_fonts(), metric)
    todo = [page for name in _drawable(report, metric) for page in _pages(name, first)]
    files: list[Path] = []
    for page in tqdm(todo, desc="Figures", unit=" pages", disable=None):
        files += _draw_page(page, folder, formats)
    return files


def _draw_page(page: _Page, folder: Path, formats: Iterable[str]) -> list[Path]:
    from matplotlib import rc_context

    files = [folder / f"{page.stem}{suffix}" for suffix in formats]
    with rc_context(STYLE):
        figure = page.drawing.draw(page.sheet, page.compared)
        for file in files:
            save_figure(figure, file)
    return files


def _drawable(report: Report, metric: str) -> list[str]:
    """Return the figures that there are numbers for."""
    levels = any(changes_of(each, metric) for each in report.compared)
    judged = any(
        found.base and code in changes_of(each, metric)
        for each in report.compared
        for code, found in each.perplexity.items()
    )
    there = {
        "verdicts": any(each.verdicts for each in report.compared),
        "change": levels,
        "levels": levels,
        "perplexity": judged,
    }
    return [name for name in FIGURES if there[name]]


def _pages(name: str, sheet: Sheet) -> Iterator[_Page]:
    drawing, compared = FIGURES[name], sheet.report.compared
    codes, means = lines_of(sheet.report)
    ordered = sorted(codes, key=lambda code: drawing.order(compared, sheet.metric, code))
    sheet = sheet._replace(languages=tuple(ordered), means=means if drawing.means else ())
    most = drawing.fitting(sheet)
    for number, start in enumerate(range(0, len(compared), most), start=1):
        stem = name if number == 1 else f"{name}-{number}"
        yield _Page(stem, drawing, sheet, compared[start : start + most])
