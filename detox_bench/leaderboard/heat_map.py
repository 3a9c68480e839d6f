"""The heat map of a board: the change of EMT of each model in each language, coloured by its size.

A fall that was bought with wrecked text has no colour of a fall: it does not count.
"""

from collections.abc import Sequence
from typing import NamedTuple

from detox_bench.leaderboard import shown
from detox_bench.leaderboard.board_cells import GROUPS, group_of, place_of
from detox_bench.leaderboard.board_rows import anchor, page_of
from detox_bench.leaderboard.counted_change import METRIC, gains_nothing
from detox_bench.leaderboard.ranking import Ranking, Row
from detox_bench.leaderboard.submission import Estimate, LanguageChange
from detox_bench.reports.cells import NOTHING, Cell, short_name, signed, span
from detox_bench.reports.toxicity_tables import ICONS, TONES
from detox_bench.verdicts import INVALID

#: Changes of at least so many points of a percentage have a colour of their own.
_STEPS = (0.01, 0.03, 0.06, 0.1)
#: So many letters of a name fit beside the map.
_LETTERS = 40


class HeatRow(NamedTuple):
    """A line of the heat map: a cell a language; ``place`` is the rank, or the word for it."""

    key: str
    link: str
    name: str
    place: str
    muted: bool
    cells: Sequence[Cell]


def heat_rows(ranking: Ranking, languages: Sequence[str]) -> list[HeatRow]:
    """Return the changes of EMT by language of all that have one, in the order of the table."""
    groups = list(GROUPS)
    found = [row for row in ranking.rows if row.mean]
    found.sort(key=lambda row: groups.index(group_of(row)))
    return [_heat_row(row, languages) for row in found]


def _heat_row(row: Row, languages: Sequence[str]) -> HeatRow:
    found = shown.by_language(row.entry.submission.change)
    stated = row.entry.submission.model.name
    cells = [_cell(found.get(code), code) for code in languages]
    link = f"{page_of(row.entry)}#{anchor(row.entry)}"
    name, place = shown.text_of(stated, _LETTERS), place_of(row)
    return HeatRow(anchor(row.entry), link, name, place, bool(row.reason), cells)


def _cell(found: LanguageChange | None, code: str) -> Cell:
    change = found.metrics.get(METRIC) if found else None
    if found is None or change is None:
        return Cell(NOTHING)
    difference, verdict = change.difference, found.verdict or ""
    bounds = span(_points(difference.low), _points(difference.high), 1, signed)
    words = [signed(_points(difference.estimate), 1), f"({bounds})" if bounds else "", verdict]
    title = f"{short_name(code)}: {' '.join(filter(None, words))}"
    icon = ICONS.get(verdict, "") if verdict in TONES else ""
    text = signed(_points(difference.estimate), 1)
    return Cell(text, title, difference.estimate, _tone(found, difference), link=icon)


def _tone(found: LanguageChange, change: Estimate) -> str:
    """Return the classes of a cell: how far it falls or rises, and whether that is sure."""
    low, high = change.low, change.high
    surely = low is not None and high is not None and (high < 0 or low > 0)
    way = "fall" if change.estimate < 0 else "rise"
    step = sum(abs(change.estimate) >= least for least in _STEPS)
    doubtful = gains_nothing(found) or (way == "fall" and found.verdict == INVALID)
    tone = "doubtful" if doubtful else f"{way}-{step}"
    return f"{tone}{' sure' if surely else ''}"


def _points(value: float | None) -> float | None:
    return None if value is None else 100 * value
