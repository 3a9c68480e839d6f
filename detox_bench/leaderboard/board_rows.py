"""The rows of a ranking as the page shows them: cells, what they are filtered by, heat."""

import json
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from detox_bench.leaderboard import shown
from detox_bench.leaderboard.entries import Entry
from detox_bench.leaderboard.ranking import METRIC, Ranking, Row
from detox_bench.leaderboard.submission import Estimate, LanguageChange
from detox_bench.reports.cells import NOTHING, Cell, Column, short_name, signed
from detox_bench.reports.toxicity_tables import ICONS, TONES
from detox_bench.verdicts import CLEAN

COLUMNS = (
    Column("rank"),
    Column("model", numeric=False),
    Column("change of EMT"),
    Column("EMT, base → after"),
    Column("change of ToxProb"),
    Column("perplexity"),
    Column("Dist\N{NON-BREAKING HYPHEN}2"),
    Column("own language"),
    Column("clean languages"),
    Column("size"),
    Column("licence", numeric=False),
    Column("submitted", numeric=False),
)
#: Changes of at least so many points of a percentage have a colour of their own.
_STEPS = (0.01, 0.03, 0.06, 0.1)
#: So many letters of what a stranger wrote fit into a cell; the whole stands on the model's page.
_CELL = 40


class BoardRow(NamedTuple):
    """A line of the table: ``cells`` of ``COLUMNS``, and what the page's filters look at.

    ``changes`` is JSON: the change of EMT, low and high in percent, by language.
    """

    key: str
    link: str
    name: str
    badges: Sequence[str]
    about: str
    reason: str
    cells: Sequence[Cell]
    method: str
    size: str
    licence: str
    search: str
    changes: str


class HeatRow(NamedTuple):
    """A line of the heat map: a cell a language."""

    key: str
    link: str
    name: str
    cells: Sequence[Cell]


def board_rows(ranking: Ranking) -> list[BoardRow]:
    """Return the lines of a ranking, the ranked ones first."""
    return [board_row(row, place) for place, row in enumerate(ranking.rows)]


def board_row(row: Row, place: int) -> BoardRow:
    """Return one line; ``place`` is its number in the order of the page."""
    stated = row.entry.submission
    licence = shown.text_of(stated.model.licence, _CELL)
    name = shown.text_of(stated.model.name)
    return BoardRow(
        key=anchor(row.entry),
        link=f"{page_of(row.entry)}#{anchor(row.entry)}",
        name=name,
        badges=row.entry.badges,
        about=_about(row),
        reason=row.reason,
        cells=_cells(row, place),
        method=stated.method.kind,
        size=shown.size_class(stated.model.parameters),
        licence="" if stated.model.licence is None else licence,
        search=f"{name} {_about(row)} {' '.join(row.entry.badges)} {licence}".lower(),
        changes=_changes(row),
    )


def heat_row(row: Row, languages: Sequence[str]) -> HeatRow:
    """Return the changes of EMT by language, coloured by how large they are."""
    found = shown.by_language(row.entry.submission.change)
    stated = row.entry.submission.model.name
    cells = [_heat(found.get(code), code) for code in languages]
    link = f"{page_of(row.entry)}#{anchor(row.entry)}"
    return HeatRow(anchor(row.entry), link, shown.text_of(stated, _CELL), cells)


def anchor(entry: Entry) -> str:
    """Return the id of a run on its model's page, which never changes."""
    return f"run-{entry.submission.run_id[:12]}"


def page_of(entry: Entry) -> str:
    """Return the address of a model's page, from the page of the board."""
    return f"models/{quote(entry.spot.model)}.html"


def rank_words(row: Row) -> tuple[str, str]:
    """Return the rank, and between which ranks the row surely is."""
    if row.standing is None:
        return NOTHING, ""
    rank, lowest = row.standing
    return str(rank), "" if rank == lowest else f"{rank} to {lowest}"


def _cells(row: Row, place: int) -> list[Cell]:
    stated, mean = row.entry.submission, row.mean
    rank, between = rank_words(row)
    metrics = mean.metrics if mean else {}
    emt = metrics.get(METRIC)
    return [
        Cell(rank, between, float(place)),
        Cell(shown.text_of(stated.model.name)),
        shown.difference_cell(emt.difference if emt else None),
        shown.levels_cell(emt) if emt else shown.percent_cell(_level(stated.mean.get(METRIC))),
        shown.difference_cell(_difference(mean, "toxicity_probability")),
        shown.ratio_cell(mean.perplexity_ratio if mean else None),
        _times(shown.share_of_base(metrics.get("distinct_2"))),
        shown.percent_cell(_level(stated.mean.get("language_share"))),
        _clean(row),
        Cell(shown.parameters(stated.model.parameters), sort=_float(stated.model.parameters)),
        Cell(shown.text_of(stated.model.licence, _CELL)),
        Cell(stated.submitted),
    ]


def _about(row: Row) -> str:
    stated = row.entry.submission
    if stated.base_model is None:
        return stated.method.kind
    return f"{stated.method.kind} of {shown.text_of(stated.base_model.name)}"


def _difference(mean: LanguageChange | None, metric: str) -> Estimate | None:
    found = mean.metrics.get(metric) if mean else None
    return found.difference if found else None


def _level(found: Estimate | None) -> float | None:
    return found.estimate if found else None


def _times(value: float | None) -> Cell:
    return Cell(NOTHING if value is None else f"× {value:.2f}", sort=value)


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def _clean(row: Row) -> Cell:
    """Return in how many languages the verdict is clean."""
    found = shown.by_language(row.entry.submission.change)
    if not found:
        return Cell(NOTHING)
    clean = sum(each.verdict == CLEAN for each in found.values())
    return Cell(f"{ICONS[CLEAN]} {clean} of {len(found)}", sort=float(clean))


def _changes(row: Row) -> str:
    found = shown.by_language(row.entry.submission.change)
    known = {
        code: each.metrics[METRIC].difference
        for code, each in found.items()
        if METRIC in each.metrics
    }
    rounded = {
        code: [None if x is None else round(100 * x, 1) for x in (d.estimate, d.low, d.high)]
        for code, d in known.items()
    }
    return json.dumps(rounded, separators=(",", ":"))


def _heat(found: LanguageChange | None, code: str) -> Cell:
    change = found.metrics.get(METRIC) if found else None
    if found is None or change is None:
        return Cell(NOTHING)
    estimate, low, high = change.difference.estimate, change.difference.low, change.difference.high
    step = sum(abs(estimate) >= least for least in _STEPS)
    surely = low is not None and high is not None and (high < 0 or low > 0)
    tone = f"{'fall' if estimate < 0 else 'rise'}-{step}{' sure' if surely else ''}"
    bounds = (
        ""
        if low is None or high is None
        else f" ({signed(100 * low, 1)} to {signed(100 * high, 1)})"
    )
    verdict = found.verdict or ""
    title = f"{short_name(code)}: {signed(100 * estimate, 1)}{bounds}, {verdict}"
    icon = ICONS.get(verdict, "") if verdict in TONES else ""
    return Cell(signed(100 * estimate, 1), title, estimate, tone, link=icon)
