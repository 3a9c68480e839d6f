"""The table of what a detoxification cost, in the terminal."""

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.capability import (
    LEVEL,
    Capability,
    CapabilityRow,
    largest_loss_left_open,
    verdict,
    warnings,
)

_WIDTH = 150
_LEAST = 0.001  # p below is not written out
_CAPTION = (
    "Difference with its paired 95 % interval over documents; p of the sign-flip test, of corpus "
    "scores of approximate randomization, corrected (Holm) over the tasks that have the metric. "
    f"▼ surely worse, ▲ surely better: corrected p below {LEVEL:g}. Metrics in brackets: lower is "
    "better."
)


def print_capability(title: str, found: Capability, remarks: Sequence[str]) -> None:
    """Print the table, the verdict, and what to mind, on stdout."""
    console = Console(width=None if Console().is_terminal else _WIDTH)
    console.print(_table(title, found))
    console.print(escape(verdict_line(found)), highlight=False)
    for remark in [*remarks, *warnings(found)]:
        console.print(f"[yellow]Mind:[/yellow] {escape(remark)}")


def verdict_line(found: Capability) -> str:
    """Return in words which tasks are surely worse, and which loss cannot be excluded."""
    counted = verdict(found)
    if not counted.tested:
        return "No task could be tested."
    names = [*counted.worse, *(f"the mean of {family}" for family in counted.worse_means)]
    if names:
        count = f"{len(counted.worse)} of {counted.tested} tasks surely worse than before"
        listed = ", ".join(names)
        return f"{count}: {listed}." if counted.worse else f"Surely worse: {listed}."
    line = f"No task surely worse than before ({counted.tested} tested)."
    if (worst := largest_loss_left_open(found)) and worst[0] > 0:
        bound, row = worst
        line += f" Not excluded: a loss of up to {bound:.3f} ({row.name}, {row.metric})."
    return line


def _table(title: str, found: Capability) -> Table:
    table = Table(
        title=escape(title), caption=_CAPTION, box=box.SIMPLE_HEAD, caption_justify="left"
    )
    table.add_column("task")
    table.add_column("metric")
    for name in ("n", "base", "model", "difference", "p", "p (Holm)"):
        table.add_column(name, justify="right")
    for rows in (found.tasks, found.means):
        for row in rows:
            table.add_row(*_cells(row))
        if rows is found.tasks and found.means:
            table.add_section()
    return table


def _cells(row: CapabilityRow) -> list[str]:
    name = row.name if row.n_tasks == 1 else f"mean of {row.n_tasks} {row.family}"
    metric = f"({row.metric})" if row.higher_is_better is False else row.metric
    levels = [f"{value:.3f}" for value in (row.base, row.model)]
    return [
        escape(name),
        escape(metric),
        f"{row.n:,}",
        *levels,
        _difference(row),
        _p(row.p),
        _p(row.p_holm),
    ]


def _difference(row: CapabilityRow) -> str:
    if row.difference is None:
        return "–"
    estimate, low, high = row.difference
    bounds = "" if math.isnan(low) else f" {low:+.3f} to {high:+.3f}"
    return f"{estimate:+.3f}[dim]{bounds}[/dim]{_mark(row)}"


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "<0.001" if value < _LEAST else f"{value:.3f}"


def _mark(row: CapabilityRow) -> str:
    if row.surely_worse:
        return "[red]▼[/red]"
    return "▲" if row.surely_better else " "
