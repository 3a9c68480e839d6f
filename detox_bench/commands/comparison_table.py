"""The table of a comparison, in the terminal."""

import math

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.comparison import FEWEST, HEADLINE, OTHERS, SOURCE, Change, verdict
from detox_bench.languages import LANGUAGES
from detox_bench.run_comparison import RunComparison
from detox_bench.statistics import Interval
from detox_bench.summary import COLUMNS, MEAN

_WIDTH = 150


def print_comparison(base: str, found: RunComparison, caption: str) -> None:
    """Print the table, the verdict and the doubts, on stdout."""
    console = Console(width=None if Console().is_terminal else _WIDTH)
    console.print(_table(base, found, caption), soft_wrap=False)
    count = verdict(found.rows)
    headline = ", ".join(COLUMNS[name] for name in HEADLINE)
    console.print(
        f"{count.lower} of {count.languages} other languages below zero in all three ({headline}).",
        highlight=False,
    )
    if line := _seeds(found):
        console.print(line, highlight=False)
    if any(row.n_prompts < FEWEST for row in found.rows):
        console.print(f"[yellow]Doubtful:[/yellow] intervals over fewer than {FEWEST} prompts.")
    for doubt in dict.fromkeys(found.doubts):
        console.print(f"[yellow]Doubtful:[/yellow] {escape(doubt)}")


def _table(base: str, found: RunComparison, caption: str) -> Table:
    caption += " Difference with its paired 95 % interval over prompts (of means: over the items "
    caption += "that languages share), * where that is below zero. Language: the share of texts in "
    caption += "the language of their prompt."
    title = f"{base} → {', '.join(found.names)}"
    table = Table(title=escape(title), caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")
    table.add_column("language")
    table.add_column("prompts", justify="right")
    for name in [*(COLUMNS[name] for name in HEADLINE), "perplexity ×", "empty", "language"]:
        if found.ratios or name != "perplexity ×":
            table.add_column(name, justify="right")
    for row in found.rows:
        if row.language == MEAN:
            table.add_section()
        cells = [_difference(row.changes.get(name)) for name in HEADLINE]
        cells += [_ratio(found.ratios.get(row.language))] if found.ratios else []
        cells += [_levels(row.changes.get(name)) for name in ("empty_rate", "language_share")]
        table.add_row(_name(row.language), str(row.n_prompts), *cells)
    return table


def _seeds(found: RunComparison) -> str:
    """Return how far several runs are apart, in words."""
    if len(found.names) < 2:
        return ""
    row = next((row for row in found.rows if row.language == OTHERS), found.rows[-1])
    by_run = {name: row.changes[name].by_run for name in HEADLINE if name in row.changes}
    spans = [f"{COLUMNS[n]} {min(of):+.3f} to {max(of):+.3f}" for n, of in by_run.items()]
    count = len(found.names)
    where = _name(row.language)
    return f"{count} runs averaged prompt by prompt; apart in {where}: {', '.join(spans)}."


def _difference(change: Change | None) -> str:
    if change is None:
        return "–"
    estimate, low, high = change.difference
    bounds = "" if math.isnan(low) else f" {low:+.3f} to {high:+.3f}"
    star = "*" if change.lower else " "
    levels = f"{change.base:.3f} → {change.other:.3f} "
    return f"{levels}\n{estimate:+.3f}[dim]{bounds}[/dim]{star}"


def _ratio(ratio: Interval | None) -> str:
    if ratio is None or math.isnan(ratio.estimate):
        return "–"
    bounds = "" if math.isnan(ratio.low) else f"\n[dim]{ratio.low:.2f} to {ratio.high:.2f}[/dim]"
    return f"{ratio.estimate:.2f}{bounds}"


def _levels(change: Change | None) -> str:
    return "–" if change is None else f"{change.base:.3f}\n→ {change.other:.3f}"


def _name(code: str) -> str:
    row = LANGUAGES.get(code)
    names = {OTHERS: f"mean but {SOURCE}"}
    return f"{code} {row.name.split(',')[0].split(' (')[0]}" if row else names.get(code, code)
