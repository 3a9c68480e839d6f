"""The tables of ``detox-bench forecast``."""

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.correlation import Correlation, orders_tried
from detox_bench.forecast import Forecast, Line, Tried
from detox_bench.forecast_runs import Drop
from detox_bench.languages import LANGUAGES
from detox_bench.statistics import Interval

_WIDTH = 150
_REACHED = {True: "yes", False: "no, more toxic", None: "open"}


def console() -> Console:
    """Return the console of stdout, wide where that is no terminal."""
    return Console(width=None if Console().is_terminal else _WIDTH)


def print_tried(tried: Sequence[Tried], chosen: str) -> None:
    """Print every predictor with its correlations and the error of its forecast."""
    table = _table(f"{len(tried)} predictors tried", _caption(tried))
    table.add_column("predictor")
    for heading in ("n", "Pearson r", "p", "Holm", "Spearman", "p", "Holm", "left-out error"):
        table.add_column(heading, justify="right")
    for each in tried:
        correlations = [
            *_correlation(each.pearson, each.pearson_p_holm),
            *_correlation(each.spearman, each.spearman_p_holm),
        ]
        name = f"[bold]{each.name}[/bold]" if each.name == chosen else each.name
        table.add_row(name, str(each.pearson.n), *correlations, _error(each.line))
    console().print(table)


def print_drops(tried: Tried, drops: Mapping[str, Drop], metric: str) -> None:
    """Print the points of one predictor: its value and the drop, language by language."""
    caption = "Interval: of the paired difference over prompts, in per cent of the level before."
    table = _table(f"Drop of {metric} and {tried.name}", caption)
    table.add_column("language")
    for heading in ("prompts", "before → after", "drop %", tried.name):
        table.add_column(heading, justify="right")
    for code, drop in sorted(drops.items(), key=lambda item: -item[1].percent.estimate):
        value = tried.values.get(code, math.nan)
        levels = f"{drop.base:.3f} → {drop.other:.3f}"
        cells = [str(drop.n_prompts), levels, _interval(drop.percent, 1), _plain(value, 3)]
        table.add_row(_name(code), *cells)
    console().print(table)


def print_verdict(name: str, line: Line) -> None:
    """Print in a sentence whether the line beats the mean."""
    said = "is no better than the mean"
    if line.better:
        said = f"is {'' if line.surely_better else 'not surely '}better than the mean"
    gain, low, high = line.gain
    console().print(
        f"{name} {said} in forecasting a language from the others: it misses by {line.error:.1f} "
        f"points, the mean by {line.error_of_mean:.1f}; gain {gain:+.1f} ({low:+.1f} to "
        f"{high:+.1f}).",
        highlight=False,
    )


def print_forecasts(found: Sequence[Forecast], line: Line, title: str) -> None:
    """Print the forecast of each language with its prediction interval."""
    table = _table(title, _forecast_caption(line))
    table.add_column("language")
    for heading in ("predictor", "drop %", "95 % prediction interval", "reached"):
        table.add_column(heading, justify="right")
    for each in found:
        drop = each.drop
        bounds = f"{drop.low:+.1f} to {min(drop.high, 100):+.1f}"
        value = f"{each.value:.3f}{' !' if each.outside else ''}"
        row = (value, f"{drop.estimate:.1f}", bounds, _REACHED[each.reached])
        table.add_row(_name(each.language), *row)
    console().print(table)


def print_doubts(doubts: Sequence[str]) -> None:
    """Print reasons for doubt."""
    for doubt in dict.fromkeys(doubts):
        console().print(f"[yellow]Doubtful:[/yellow] {escape(doubt)}", highlight=False)


def _caption(tried: Sequence[Tried]) -> str:
    orders = " and ".join(dict.fromkeys(orders_tried(each.pearson.n) for each in tried))
    return (
        "95 % bootstrap intervals over languages. p, two-sided: of Pearson by Student's t, of "
        f"Spearman by {orders}; Holm: corrected for the {len(tried)} tried. Left-out error: mean "
        "absolute error of forecasting each language from the others, in points of per cent; by "
        "the line, and by their mean; * where the interval of the gain is above 0."
    )


def _forecast_caption(line: Line) -> str:
    of = "the line" if line.better else "the mean of the languages, for the line is no better"
    return (
        f"By {of}, from {line.n} languages. The interval is where one more language of the fitted "
        "model and training would lie with 95 %: how much further away another model is, one fit "
        "cannot tell. Open: the interval holds 0. ! beyond all values that were fitted."
    )


def _table(title: str, caption: str) -> Table:
    return Table(title=escape(title), caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")


def _correlation(found: Correlation, p_holm: float) -> tuple[str, str, str]:
    return _interval(found.coefficient, 2), _plain(found.p, 4), _plain(p_holm, 4)


def _error(line: Line) -> str:
    return f"{line.error:.1f} vs {line.error_of_mean:.1f}{'*' if line.surely_better else ' '}"


def _interval(value: Interval, digits: int) -> str:
    if math.isnan(value.low):
        return _plain(value.estimate, digits)
    bounds = f"{value.low:+.{digits}f} to {value.high:+.{digits}f}"
    return f"{value.estimate:+.{digits}f} [dim]{bounds}[/dim]"


def _plain(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _name(code: str) -> str:
    row = LANGUAGES.get(code)
    return f"{code} {row.name.split(',')[0].split(' (')[0]}" if row else code
