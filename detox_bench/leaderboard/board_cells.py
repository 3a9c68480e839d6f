"""What stands in the table of a board: its columns, the cells of a row, the group it is in."""

from collections.abc import Mapping
from typing import NamedTuple

from detox_bench.leaderboard import shown
from detox_bench.leaderboard.counted_change import METRIC, stated_change
from detox_bench.leaderboard.ranking import BASE_REASON, REFERENCE_REASON, Row
from detox_bench.leaderboard.submission import Estimate, LanguageChange
from detox_bench.reports.cells import NOTHING, Cell
from detox_bench.reports.toxicity_tables import ICONS
from detox_bench.verdicts import CLEAN


class BoardColumn(NamedTuple):
    """A column of the board, with what it holds in a sentence."""

    heading: str
    about: str
    numeric: bool = True


COLUMNS = (
    BoardColumn("rank", "1 + the number of ranked models that are surely better; below, the range"),
    BoardColumn("model", "Its name, method and base model, and its badges", numeric=False),
    BoardColumn(
        "counted change",
        "What ranks: the change of EMT, where a fall in a language with wrecked text counts as 0",
    ),
    BoardColumn(
        "change of EMT",
        "Expected maximum toxicity less that of the own base, mean of languages, in points of a "
        "percentage; EMT is the mean over prompts of the most toxic continuation",
    ),
    BoardColumn("EMT, base → after", "Expected maximum toxicity of the base and of the model, %"),
    BoardColumn(
        "change of ToxProb",
        "Change of the share of prompts with at least one toxic continuation, in points",
    ),
    BoardColumn("perplexity", "Perplexity under the base model, times that of the base's own text"),
    BoardColumn(
        "Dist\N{NON-BREAKING HYPHEN}2", "Share of different word pairs, times that of the base"
    ),
    BoardColumn("own language", "Share of continuations in the language of their prompt, %"),
    BoardColumn(
        "clean languages",
        "Languages where EMT, ToxProb and AvgTox are surely lower, and the text not wrecked (✓)",
    ),
    BoardColumn("size", "Number of parameters"),
    BoardColumn("licence", "The licence, as stated", numeric=False),
    BoardColumn("submitted", "The date of the submission", numeric=False),
)
RANKED, NOT_RANKED, BASE, REFERENCE = "ranked", "not ranked", "base", "reference"
#: The groups of rows in the order of the page, with their headings. The word of those that are not
#: ranked stands in place of a rank.
GROUPS: Mapping[str, str] = {
    RANKED: "",
    NOT_RANKED: "Not ranked, for the reason given",
    BASE: "Base models: what the others are compared with",
    REFERENCE: "Reference rows: cheats and random words, what low toxicity alone is worth",
}
_BESIDE = {BASE_REASON: BASE, REFERENCE_REASON: REFERENCE}
#: So many letters of what a stranger wrote fit into a cell; the whole stands on the model's page.
CELL = 40
#: So many languages are named where their falls do not count, else counted.
_NAMED = 6


def group_of(row: Row) -> str:
    """Return the group that a row stands in."""
    return _BESIDE.get(row.reason, NOT_RANKED) if row.reason else RANKED


def place_of(row: Row) -> str:
    """Return the rank of a row, or the word in its place."""
    return str(row.standing.rank) if row.standing else group_of(row)


def rank_words(row: Row) -> tuple[str, str]:
    """Return the rank, and between which ranks the row surely is."""
    if row.standing is None:
        return NOTHING, ""
    rank, lowest = row.standing.rank, row.standing.lowest
    return str(rank), "" if rank == lowest else f"{rank} to {lowest}"


def uncounted_words(row: Row) -> str:
    """Return in which languages a fall of the row does not count; empty where there is none."""
    found = row.counted.left_out if row.counted else ()
    if not found:
        return ""
    named = ", ".join(found) if len(found) <= _NAMED else f"{len(found)} languages"
    return f"text wrecked, fall not counted: {named}"


def about(row: Row) -> str:
    """Return how a row was made, and from which base; empty for a base model."""
    stated = row.entry.submission
    if stated.base_model is None:
        return ""
    made = "made from" if row.entry.reference else f"{stated.method.kind}, base"
    return f"{made} {shown.text_of(stated.base_model.name)}"


def counted_cell(row: Row) -> Cell:
    """Return what a row is ranked by, with its interval."""
    return shown.difference_cell(row.counted.change if row.counted else None)


def change_cell(row: Row) -> Cell:
    """Return the change of a row as it is, with its interval."""
    return shown.difference_cell(stated_change(row.entry.submission))


def cells_of(row: Row, place: int) -> list[Cell]:
    """Return the cells of a row; ``place`` is its number in the order of the page."""
    stated, mean = row.entry.submission, row.mean
    _, between = rank_words(row)
    metrics = mean.metrics if mean else {}
    emt = metrics.get(METRIC)
    return [
        Cell(place_of(row), between, float(place)),
        Cell(shown.text_of(stated.model.name)),
        counted_cell(row),
        change_cell(row),
        shown.levels_cell(emt) if emt else shown.percent_cell(_level(stated.mean.get(METRIC))),
        shown.difference_cell(_difference(mean, "toxicity_probability")),
        shown.ratio_cell(mean.perplexity_ratio if mean else None),
        _times(shown.share_of_base(metrics.get("distinct_2"))),
        shown.percent_cell(_level(stated.mean.get("language_share"))),
        _clean(row),
        Cell(shown.parameters(stated.model.parameters), sort=_float(stated.model.parameters)),
        Cell(shown.text_of(stated.model.licence, CELL)),
        Cell(stated.submitted),
    ]


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
