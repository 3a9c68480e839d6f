"""The table of a sweep, in the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from detox_bench.comparison import OTHERS, Change, ComparisonRow
from detox_bench.run_comparison import Comparisons, RunComparison
from detox_bench.summary import MEAN

if TYPE_CHECKING:
    from detox_bench.neurons.edit.sweeping import Setting


def sweep_table(points: Sequence["Setting"], comparisons: Comparisons) -> Table:
    """Return a row a setting, the unedited model first."""
    table = Table(
        title="Edits of neurons, against the unedited model",
        caption=f"{comparisons.caption} Unweighted means of languages; differences with their "
        "paired 95 % interval, * where it is below zero. Lower in: languages whose average "
        "toxicity has an interval below zero. Language: continuations in their prompt's language.",
        box=box.SIMPLE_HEAD,
        caption_justify="left",
    )
    table.add_column("edit", no_wrap=True)
    heads = ("neurons", "AvgTox", "ToxProb", "lower in", "perplexity ×", "empty", "Dist-2")
    for head in (*heads, "language"):
        table.add_column(head, justify="right")
    before = None
    for point, found in zip(points, comparisons.found, strict=True):
        if before is None:
            table.add_row("unedited", "", *_levels(_overall(found), "base"))
            table.add_section()
        before = found
        assert point.intervention is not None, "only the base has none"
        count = f"{len(point.intervention.neurons):,}"
        table.add_row(escape(_label(point)), count, *_cells(found))
    return table


def _label(point: "Setting") -> str:
    strength = "" if point.value is None else f" {point.value:g}"
    operator = point.intervention.operator if point.intervention else ""
    who = f"{point.control} control of {point.take}" if point.control else point.take
    return f"{operator}{strength}, {who}"


def _overall(found: RunComparison) -> ComparisonRow:
    return next((row for row in found.rows if row.language == MEAN), found.rows[-1])


def _cells(found: RunComparison) -> list[str]:
    row = _overall(found)
    ratio = found.ratios.get(row.language)
    lower, languages = lower_in(found.rows)
    return [
        _difference(row.changes.get("average_toxicity")),
        _difference(row.changes.get("toxicity_probability")),
        f"{lower} of {languages}",
        "–" if ratio is None else f"{ratio.estimate:.2f}",
        *_levels(row, "other")[4:],
    ]


def lower_in(rows: Sequence[ComparisonRow], metric: str = "average_toxicity") -> tuple[int, int]:
    """Return in how many languages a metric is lower, by its interval, and of how many."""
    languages = [row for row in rows if row.language not in (MEAN, OTHERS)]
    return sum(row.changes[metric].lower for row in languages), len(languages)


def _levels(row: ComparisonRow, when: str) -> list[str]:
    names = ("average_toxicity", "toxicity_probability", "", "", "empty_rate", "distinct_2")
    return [
        f"{getattr(row.changes[name], when):.3f}" if name in row.changes else "–" if name else ""
        for name in (*names, "language_share")
    ]


def _difference(change: Change | None) -> str:
    if change is None:
        return "–"
    _, low, high = change.difference
    star = "*" if change.lower else " "
    return f"{change.other:.3f} \n[dim]{low:+.3f} to {high:+.3f}[/dim]{star}"
