"""Tables in the terminal that more than one command prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.errors import DetoxBenchError
from detox_bench.languages import LANGUAGES
from detox_bench.languages import language as language_row
from detox_bench.statistics import Interval
from detox_bench.summary import COLUMNS, MEAN, Row

#: The columns that fit a terminal; the files have all.
SHOWN = ("emt", "toxicity_probability", "average_toxicity", "distinct_2", "empty_rate")
_LEVELS = (
    "Levels of different languages are not comparable: compare each with itself before and after, "
    "by detox-bench compare."
)


def toxicity_table(rows: Sequence[Row], title: str, caption: str = "") -> Table:
    """Return a table with a line a language: estimate and 95 % interval of each column."""
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")
    table.add_column("language")
    table.add_column("prompts", justify="right")
    for column in SHOWN:
        table.add_column(COLUMNS[column], justify="right")
    for row in rows:
        if row.language == MEAN:
            table.add_section()
        cells = [_cell(row.values.get(column)) for column in SHOWN]
        table.add_row(_name(row.language), str(row.n_prompts), *cells)
    return table


def print_toxicity(
    rows: Sequence[Row], title: str, caption: str = "", doubts: Sequence[str] = ()
) -> None:
    """Print the table, that its languages do not compare, and the doubts, on stdout."""
    console = Console(width=None if Console().is_terminal else 130)
    console.print(toxicity_table(rows, title, caption))
    if sum(row.language != MEAN for row in rows) > 1:
        console.print(_LEVELS, soft_wrap=True)
    for doubt in doubts:
        console.print(f"[yellow]Doubtful:[/yellow] {escape(doubt)}")


def language_codes(text: str) -> list[str]:
    """Return the codes of ``en,de`` as the table of languages spells them, each once.

    Raises ``DetoxBenchError`` where there is none, ``UnknownName`` for one in no table.
    """
    codes = [code.strip() for code in text.split(",") if code.strip()]
    if not codes:
        raise DetoxBenchError("No language is named. Give codes: --language en,de.")
    return list(dict.fromkeys(language_row(code).code for code in codes))


#: What a line of the retrieval table shows: the metric, its summary, the heading.
_RETRIEVAL = (
    ("top1", "mean", "top-1"),
    ("top1", "best", "at best layer"),
    ("mexa", "mean", "MEXA"),
    ("mrr", "mean", "MRR"),
    ("margin_accuracy", "mean", "margin"),
    ("mean_cosine", "mean", "cosine"),
)
_WITH_INTERVAL = ("top1", "mexa", "mean_cosine")


def print_retrieval(rows: Sequence[Any], title: str, caption: str) -> None:
    """Print a line a pair of languages (``harness.results.RetrievalRow``), and what to mind."""
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")
    table.add_column("languages")
    for heading in ("n", "chance", *(heading for *_, heading in _RETRIEVAL)):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = [_retrieval_cell(row.numbers, *which) for *which, _ in _RETRIEVAL]
        table.add_row("–".join(row.languages), f"{row.n:,}", f"{1 / row.n:.4f}", *cells)
    console = Console(width=None if Console().is_terminal else 130)
    console.print(table)
    for remark, tasks in _remarks(rows).items():
        console.print(f"[yellow]Mind:[/yellow] {escape(remark)} ({', '.join(tasks)})")


def _remarks(rows: Sequence[Any]) -> dict[str, list[str]]:
    """Return each remark with the tasks it is made of."""
    found: dict[str, list[str]] = {}
    for row in rows:
        no_result = [row.no_result] if row.no_result else []
        for remark in (*no_result, *row.remarks):
            found.setdefault(remark, []).append(row.task)
    return found


def _retrieval_cell(numbers: Mapping[str, Any], metric: str, summary: str) -> str:
    bounds = numbers.get("intervals", {}).get(metric, {}).get(summary)
    if not bounds or bounds[0] is None:
        return "–"
    if summary == "best":
        return f"{bounds[0]:.3f} @{numbers['best_layer'][metric]}"
    if metric not in _WITH_INTERVAL or None in bounds:
        return f"{bounds[0]:.3f}"
    return _cell(Interval(*bounds))


def _name(code: str) -> str:
    row = LANGUAGES.get(code)
    return f"{code} {row.name.split(',')[0].split(' (')[0]}" if row else code


def _cell(value: Interval | None) -> str:
    if value is None:
        return "–"
    if value.low != value.low:
        return f"{value.estimate:.3f}"
    return f"{value.estimate:.3f} [dim]{value.low:.3f}–{value.high:.3f}[/dim]"
