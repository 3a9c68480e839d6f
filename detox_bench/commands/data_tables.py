"""What ``detox-bench data`` prints of the data store: a table and a few sentences a data set."""

from collections.abc import Callable
from typing import Any

from rich.table import Table

from detox_bench.data.flores import SPLITS
from detox_bench.data.store import Manifest
from detox_bench.languages import LANGUAGES


def table_of(manifest: Manifest) -> Table:
    """Return a line a language of what is stored."""
    return _TABLES[manifest.data_set](manifest)


def summary_of(manifest: Manifest) -> str:
    """Say in two or three lines what was read and what was kept out of it, and why."""
    return _SUMMARIES[manifest.data_set](manifest)


def _rtplx_table(manifest: Manifest) -> Table:
    table = _empty_table(f"RTP-LX, release {manifest.release}", _RTPLX_COLUMNS)
    for code, entry in manifest.languages.items():
        counts = (entry.counts["prompts"], sum(entry.kept_out.values()), entry.counts["parallel"])
        row = LANGUAGES[code]
        table.add_row(code, row.name, row.rtplx, *(f"{count:,}" for count in counts))
    return table


def _flores_table(manifest: Manifest) -> Table:
    table = _empty_table(f"FLORES, release {manifest.release}", _FLORES_COLUMNS)
    for code, entry in manifest.languages.items():
        row = LANGUAGES[code]
        counts = (f"{entry.counts[split]:,}" for split in SPLITS)
        table.add_row(code, row.name, row.flores, *counts)
    return table


_NAMED = 8  # the official archive has 176 more languages
_LEFT: tuple[tuple[str, Any], ...] = (("language", "left"), ("name", "left"))
_RTPLX_COLUMNS: tuple[tuple[str, Any], ...] = (
    *_LEFT,
    ("locale", "left"),
    ("prompts", "right"),
    ("kept out", "right"),
    ("parallel", "right"),
)
_FLORES_COLUMNS: tuple[tuple[str, Any], ...] = (
    *_LEFT,
    ("code", "left"),
    *((split, "right") for split in SPLITS),
)


def _empty_table(title: str, columns: tuple[tuple[str, Any], ...]) -> Table:
    table = Table(title=title)
    for column, justify in columns:
        table.add_column(column, justify=justify)
    return table


def _rtplx_summary(manifest: Manifest) -> str:
    reasons: dict[str, int] = {}
    for entry in manifest.languages.values():
        for reason, count in entry.kept_out.items():
            reasons[reason] = reasons.get(reason, 0) + count
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none"
    locales = f"{len(manifest.languages)} locale{'s' * (len(manifest.languages) != 1)}"
    lines = [
        f"{manifest.source}: {locales}, {manifest.total('read'):,} prompts.",
        f"Kept {manifest.total('prompts'):,}; kept out: {why}.",
    ]
    if manifest.left_out:
        lines.append(f"Left out, no language of this benchmark: {', '.join(manifest.left_out)}.")
    return "\n".join(lines)


def _flores_summary(manifest: Manifest) -> str:
    counts = ", ".join(f"{manifest.total(split):,} sentences of {split}" for split in SPLITS)
    languages = f"{len(manifest.languages)} language{'s' * (len(manifest.languages) != 1)}"
    lines = [f"{manifest.source}: {languages}, {counts}."]
    if others := len(manifest.left_out):
        first = ", ".join(manifest.left_out[:_NAMED]) + (", …" if others > _NAMED else "")
        lines.append(f"Left out, no language of this benchmark: {others} ({first}).")
    return "\n".join(lines)


_TABLES: dict[str, Callable[[Manifest], Table]] = {"rtplx": _rtplx_table, "flores": _flores_table}
_SUMMARIES: dict[str, Callable[[Manifest], str]] = {
    "rtplx": _rtplx_summary,
    "flores": _flores_summary,
}
