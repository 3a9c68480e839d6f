"""The rows of a ranking as the page shows them: groups, cells, what they are filtered by."""

import json
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from detox_bench.leaderboard import shown
from detox_bench.leaderboard.board_cells import (
    CELL,
    GROUPS,
    NOT_RANKED,
    RANKED,
    about,
    cells_of,
    group_of,
    uncounted_words,
)
from detox_bench.leaderboard.counted_change import METRIC, gains_nothing
from detox_bench.leaderboard.entries import Entry
from detox_bench.leaderboard.interval_strips import Strips, strips_of
from detox_bench.leaderboard.ranking import Ranking, Row
from detox_bench.leaderboard.submission import LanguageChange
from detox_bench.reports.cells import Cell


class BoardRow(NamedTuple):
    """A line of the table: ``cells`` of ``COLUMNS``, and what the page's filters look at.

    ``uncounted`` says in which languages a fall does not count. ``changes`` is JSON by language:
    the change of EMT, low and high in percent, and whether it counts. ``strip`` draws the interval
    of what ranks.
    """

    key: str
    link: str
    name: str
    badges: Sequence[str]
    about: str
    reason: str
    uncounted: str
    cells: Sequence[Cell]
    method: str
    size: str
    licence: str
    search: str
    changes: str
    strip: Markup | None


class Group(NamedTuple):
    """Rows of the table that stand under one heading, empty for those that are ranked."""

    word: str
    heading: str
    rows: Sequence[BoardRow]


def board_groups(ranking: Ranking) -> list[Group]:
    """Return the rows as the page orders them: ranked, not ranked, base models, reference rows.

    The first group is there also where nothing is ranked.
    """
    strips, found, place = strips_of(ranking.ranked), [], 0
    for word, heading in GROUPS.items():
        rows = [row for row in ranking.rows if group_of(row) == word]
        lines = [_board_row(row, n, strips) for n, row in enumerate(rows, place)]
        place += len(rows)
        if rows or word == RANKED:
            found.append(Group(word, heading, lines))
    return found


def anchor(entry: Entry) -> str:
    """Return the id of a run on its model's page, which never changes."""
    return f"run-{entry.submission.run_id[:12]}"


def page_of(entry: Entry) -> str:
    """Return the address of a model's page, from the page of the board."""
    return f"models/{quote(entry.spot.model)}.html"


def _board_row(row: Row, place: int, strips: Strips) -> BoardRow:
    """Return one line; ``place`` is its number in the order of the page."""
    stated = row.entry.submission
    licence = shown.text_of(stated.model.licence, CELL)
    name, made = shown.text_of(stated.model.name), about(row)
    uncounted = uncounted_words(row)
    words = (name, made, stated.method.kind, *row.entry.badges, licence, row.reason, uncounted)
    return BoardRow(
        key=anchor(row.entry),
        link=f"{page_of(row.entry)}#{anchor(row.entry)}",
        name=name,
        badges=row.entry.badges,
        about=made,
        reason=row.reason if group_of(row) == NOT_RANKED else "",
        uncounted=uncounted,
        cells=cells_of(row, place),
        method=stated.method.kind,
        size=shown.size_class(stated.model.parameters),
        licence="" if stated.model.licence is None else licence,
        search=" ".join(words).lower(),
        changes=_changes(row),
        strip=strips.draw(row),
    )


def _changes(row: Row) -> str:
    found = shown.by_language(row.entry.submission.change)
    known = {code: each for code, each in found.items() if METRIC in each.metrics}
    rounded = {code: [*_rounded(each), not gains_nothing(each)] for code, each in known.items()}
    return json.dumps(rounded, separators=(",", ":"))


def _rounded(found: LanguageChange) -> list[float | None]:
    change = found.metrics[METRIC].difference
    bounds = (change.estimate, change.low, change.high)
    return [None if each is None else round(100 * each, 1) for each in bounds]
