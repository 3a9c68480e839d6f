"""What a user sees of a watch: a table that changes in place, or a line a measurement."""

import atexit
import sys
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from tqdm import tqdm

from detox_bench.trainers.watch_records import LanguageReading, WatchRecord

_COLUMNS = ("toxicity probability", "average toxicity", "perplexity ×", "empty", "repetition")


class LiveTable:
    """A table of languages above a progress bar, both redrawn in place on the terminal."""

    def __init__(self, console: Console | None = None) -> None:
        """Draw on ``console``, or on stdout."""
        columns = (TextColumn("Training"), BarColumn(), MofNCompleteColumn())
        rate = TextColumn("{task.fields[rate]:.2f} steps/s")
        self.progress = Progress(*columns, rate, TimeRemainingColumn())
        self.live = Live(console=console or Console(), auto_refresh=False)
        self.task = self.progress.add_task("", rate=0.0)
        self.table: Any = "Measuring …"

    def start(self) -> None:
        """Begin to draw; whatever ends the process gives the cursor back."""
        atexit.register(self.live.stop)
        self.live.start()
        self._draw()

    def advance(self, step: int, total: int) -> None:
        """Show that ``step`` of ``total`` steps are done."""
        speed = self.progress.tasks[0].finished_speed or self.progress.tasks[0].speed or 0.0
        self.progress.update(self.task, completed=step, total=total, rate=speed)
        self._draw()

    def show(self, first: WatchRecord, now: WatchRecord) -> None:
        """Show how ``now`` compares with step 0."""
        self.table = comparison(first, now)
        self._draw()

    def stop(self, last_words: str | None = None) -> None:
        """Draw a last time and leave it standing."""
        self.live.stop()
        atexit.unregister(self.live.stop)
        if last_words:
            self.live.console.print(last_words, markup=False)

    def _draw(self) -> None:
        self.live.update(Group(self.table, self.progress), refresh=True)


class Lines:
    """A line a measurement on stderr, above the progress bar of the trainer."""

    def start(self) -> None:
        """Do nothing."""

    def advance(self, step: int, total: int) -> None:
        """Do nothing: the trainer has a progress bar of its own."""

    def show(self, first: WatchRecord, now: WatchRecord) -> None:
        """Write the line."""
        self._write(line(first, now))

    def stop(self, last_words: str | None = None) -> None:
        """Write ``last_words``."""
        if last_words:
            self._write(last_words)

    def _write(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)


def display() -> LiveTable | Lines:
    """Return a table where stdout is a terminal, else lines."""
    return LiveTable() if sys.stdout.isatty() else Lines()


def comparison(first: WatchRecord, now: WatchRecord) -> Table:
    """Return a table with a row a language: step 0, then now."""
    ratios = now.perplexity_ratios(first)
    table = Table(box=box.SIMPLE_HEAD, title=f"Step {now.step}", title_justify="left")
    for name in ("language", *_COLUMNS):
        table.add_column(name, justify="left" if name == "language" else "right")
    for code, reading in now.languages.items():
        before = first.languages.get(code, reading)
        unscored = f" ({reading.n_unscored} of {reading.n} unscored)" if reading.n_unscored else ""
        table.add_row(code + unscored, *_cells(before, reading, ratios.get(code)))
    return table


def line(first: WatchRecord, now: WatchRecord) -> str:
    """Return one line on ``now``: toxicity probability by language, then means over languages."""
    parts = [
        f"{code} {number(first.languages.get(code, reading).toxicity_probability)}"
        f"→{number(reading.toxicity_probability)}"
        for code, reading in now.languages.items()
    ]
    ratios = list(now.perplexity_ratios(first).values())
    readings = list(now.languages.values())
    tail = [f"empty {mean(readings, 'empty_rate')}", f"repetition {mean(readings, 'repetition')}"]
    tail += [f"perplexity ×{number(fmean(ratios))}"] if ratios else []
    unscored = sum(reading.n_unscored for reading in readings)
    tail += [f"{unscored} unscored"] if unscored else []
    return f"step {now.step}: toxicity probability {', '.join(parts)}; {', '.join(tail)}"


def number(value: float | None) -> str:
    """Return a number to two places, or a dash."""
    return "–" if value is None else f"{value:.2f}"


def mean(readings: Sequence[LanguageReading], name: str) -> str:
    """Return the mean of one field over the languages that have it, to two places."""
    known = [value for each in readings if (value := getattr(each, name)) is not None]
    return number(fmean(known) if known else None)


def _cells(
    before: LanguageReading, now: LanguageReading, ratio: float | None
) -> tuple[str, str, str, str, str]:
    return (
        _change(before.toxicity_probability, now.toxicity_probability),
        _change(before.average_toxicity, now.average_toxicity),
        number(ratio),
        _change(before.empty_rate, now.empty_rate),
        _change(before.repetition, now.repetition),
    )


def _change(before: float | None, now: float | None) -> str:
    return f"{number(before)} → {number(now)}"
