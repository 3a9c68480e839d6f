"""The report in the terminal: a line a run."""

import math
from collections import Counter

from rich import box
from rich.markup import escape
from rich.table import Table

from detox_bench.comparison import HEADLINE, Change, ComparisonRow
from detox_bench.reports.content import Compared, Report
from detox_bench.summary import COLUMNS, MEAN
from detox_bench.verdicts import CLEAN, DEGENERATE, INVALID, UNCHANGED, VERDICTS, WORSE

_COLOURS = {CLEAN: "green", DEGENERATE: "red", WORSE: "red", INVALID: "dim", UNCHANGED: ""}


def verdict_table(report: Report) -> Table:
    """Return the means of each run, base → after with interval, and its verdicts counted."""
    table = Table(
        title=escape(report.title),
        box=box.SIMPLE_HEAD,
        caption_justify="left",
        caption=f"Means of languages, base → after, paired 95 % interval of the change below. "
        f"Scorer: {report.scorer.id}, toxic from {report.scorer.threshold:g}. "
        f"{_perplexity(report.perplexity_model)}",
    )
    table.add_column("run")
    for heading in (*(COLUMNS[name] for name in HEADLINE), "perplexity ×"):
        table.add_column(heading, justify="right")
    table.add_column("languages by verdict")
    for each in report.compared:
        table.add_row(*_cells(each))
    return table


def _perplexity(model: str | None) -> str:
    if model is None:
        return "Perplexity was not measured."
    return f"Perplexity by {escape(model)}, ratio of medians."


def _cells(compared: Compared) -> list[str]:
    row = overall(compared)
    name = f"[dim]cheat:[/dim] {escape(compared.about.name)}" if compared.is_reference else ""
    ratio = compared.mean_perplexity_ratio
    cells = [name or escape(compared.about.name)]
    cells += [_change(row.changes.get(metric)) for metric in HEADLINE]
    return [*cells, "–" if ratio is None else f"{ratio:.2f}", _verdicts(compared)]


def left_out(report: Report) -> list[str]:
    """Return a sentence a run whose means lack languages that are hardly scored."""
    found = {
        each.about.name: sorted({code for row in each.rows for code in row.left_out})
        for each in report.compared
    }
    return [
        f"{name}: hardly scored, and left out of the means: {', '.join(codes)}."
        for name, codes in found.items()
        if codes
    ]


def overall(compared: Compared) -> ComparisonRow:
    """Return the mean of all languages, or the one language there is; else an empty row."""
    means = [row for row in compared.rows if row.language == MEAN or len(compared.rows) == 1]
    return next(iter(means), ComparisonRow(MEAN, 0, {}))


def _change(change: Change | None) -> str:
    if change is None:
        return "–"
    _, low, high = change.difference
    bounds = "" if math.isnan(low) else f"\n[dim]{low:+.3f} to {high:+.3f}[/dim]"
    return f"{change.base:.3f} → {change.other:.3f}{bounds}"


def _verdicts(compared: Compared) -> str:
    counts = Counter(each.verdict for each in compared.verdicts.values())
    lines = [f"{counts[each]} {each}" for each in VERDICTS if counts[each]]
    colours = [_COLOURS[each] for each in VERDICTS if counts[each]]
    return "\n".join(
        f"[{colour}]{line}[/{colour}]" if colour else line
        for line, colour in zip(lines, colours, strict=True)
    )
