"""Tables of the report as plain cells, the same for HTML and Markdown, and how numbers are written.

A number that does not exist is "–", never 0.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from detox_bench.comparison import MEAN_ROWS, OTHERS, SOURCE, Change
from detox_bench.languages import LANGUAGES
from detox_bench.reports.fonts import NATIVE_NAMES
from detox_bench.statistics import Interval
from detox_bench.summary import MEAN

NOTHING = "–"
#: The row of a mean, in words.
MEAN_NAMES = {MEAN: "mean of languages", OTHERS: f"mean but {SOURCE}"}


class Cell(NamedTuple):
    """One cell.

    ``detail`` is said below, smaller, and is of ``language`` if that is given. ``sort`` is what
    the column is sorted by where that is not the text: a number, None for one that does not exist.
    ``tone`` is a name of a colour (a sign, a verdict); what it means is always in the text too.
    ``bars`` are a value before and after, as shares of the longest bar of the column.
    """

    text: str
    detail: str = ""
    sort: float | str | None = None
    tone: str = ""
    bars: tuple[float, float] | None = None
    language: str = ""
    link: str = ""


class Column(NamedTuple):
    """A column with its ``heading``; neighbours of one ``group`` stand under a common one."""

    heading: str
    group: str = ""
    numeric: bool = True


class Row(NamedTuple):
    """One line; ``search`` is what it is found by, ``muted`` that its numbers are not valid."""

    cells: Sequence[Cell]
    search: str = ""
    muted: bool = False


class Table(NamedTuple):
    """A table whose first column heads its rows; ``foot`` has the means, which are not sorted."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    foot: Sequence[Row] = ()
    notes: Sequence[str] = ()
    sortable: bool = True


def number(value: object, digits: int = 3) -> str:
    """Return a number with ``digits`` decimals; "–" for NaN, None and what is no number."""
    known = finite(value)
    return NOTHING if known is None else f"{known:.{digits}f}".replace("-", "−")


def signed(value: object, digits: int = 3) -> str:
    """Return a number with its sign, which 0 has not; "–" where there is none."""
    known = finite(value)
    if not known:
        return number(known, digits)
    return f"{known:+.{digits}f}".replace("-", "−")


def p_value(value: object) -> str:
    """Return a p-value with three decimals, "<0.001" below that."""
    known = finite(value)
    return "<0.001" if known is not None and known < 0.001 else number(known)


def finite(value: object) -> float | None:
    """Return ``value`` as a number, None where it is none or not finite."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known and isinstance(value, int | float) else None


def span(
    low: object, high: object, digits: int = 3, write: Callable[[object, int], str] = number
) -> str:
    """Return "low to high", empty where a bound does not exist."""
    known = finite(low) is not None and finite(high) is not None
    return f"{write(low, digits)} to {write(high, digits)}" if known else ""


def number_cell(value: object, digits: int = 3) -> Cell:
    """Return a cell of one number."""
    return Cell(number(value, digits), sort=finite(value))


def count_cell(value: int) -> Cell:
    """Return a cell of a count."""
    return Cell(f"{value:,}", sort=float(value))


def p_cell(value: object) -> Cell:
    """Return a cell of a p-value."""
    return Cell(p_value(value), sort=finite(value))


def levels_cell(base: object, other: object, digits: int = 3, longest: float = 0.0) -> Cell:
    """Return a cell "before → after", sorted by the second; with bars where ``longest`` > 0."""
    one, two = finite(base), finite(other)
    if one is None and two is None:
        return Cell(NOTHING)
    bars = (one / longest, two / longest) if longest > 0 and one is not None and two else None
    return Cell(f"{number(one, digits)} → {number(two, digits)}", sort=two, bars=bars)


def difference_cell(difference: Interval | None, digits: int = 3) -> Cell:
    """Return a cell of a difference with its interval."""
    if difference is None:
        return Cell(NOTHING)
    bounds = span(difference.low, difference.high, digits, signed)
    return Cell(signed(difference.estimate, digits), bounds, finite(difference.estimate))


def change_cells(change: Change | None, longest: float = 0.0) -> list[Cell]:
    """Return what the tables say of a change: levels, difference, p (Holm's where there is one)."""
    if change is None:
        return [Cell(NOTHING)] * 3
    p = change.p if math.isnan(change.p_holm) else change.p_holm
    levels = levels_cell(change.base, change.other, longest=longest)
    return [levels, difference_cell(change.difference), p_cell(p)]


def language_cell(code: str, mark: str = "") -> Cell:
    """Return the cell that heads the row of a language or of a mean."""
    row = LANGUAGES.get(code)
    if row is None:
        return Cell(MEAN_NAMES.get(code, code))
    native = NATIVE_NAMES.get(code, "")
    return Cell(f"{code} {short_name(code)}{mark}", native, code, language=code if native else "")


def language_row(code: str, cells: Iterable[Cell], muted: bool = False, mark: str = "") -> Row:
    """Return a row headed by a language."""
    search = "" if code in MEAN_ROWS else f"{code} {short_name(code)} {NATIVE_NAMES.get(code, '')}"
    return Row([language_cell(code, mark), *cells], search.strip().lower(), muted)


def short_name(code: str) -> str:
    """Return the English name without what is in brackets; the code for one in no table."""
    row = LANGUAGES.get(code)
    return row.name.split(",")[0].split(" (")[0] if row else MEAN_NAMES.get(code, code)
