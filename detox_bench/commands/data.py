"""``detox-bench data``: read a data set once into the data store, and say what is there.

To add a data set, write its command below and add its name to ``DATA_SETS``.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from detox_bench.data.archives import needs_password
from detox_bench.data.rtplx import LanguageRows, read_language, save_rtplx
from detox_bench.data.rtplx_files import RtplxSource, open_rtplx
from detox_bench.data.store import Manifest, damaged, data_folder, read_manifest
from detox_bench.errors import BadData
from detox_bench.languages import LANGUAGES

DATA_SETS = ("rtplx",)

app = typer.Typer(
    help="Read a data set once into the data store; say what is there.",
    epilog="Examples:\n\n`detox-bench data rtplx RTP-LX.zip`\n\n`detox-bench data status`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command(
    epilog="Examples:\n\n`detox-bench data rtplx RTP-LX.zip`\n\n"
    "`RTP_LX_PASSWORD=… detox-bench data rtplx RTP-LX.zip --replace`"
)
def rtplx(
    source: Annotated[
        Path,
        typer.Argument(
            help="The published zip, a folder of files like RTP_LX_DE.json (or .jsonl, "
            ".jsonl.gz), or one such file."
        ),
    ],
    password: Annotated[
        str | None,
        typer.Option(
            help="Of the zip, as its README gives it; else RTP_LX_PASSWORD is used, else you "
            "are asked. Never stored."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the store holds languages SOURCE lacks.")
    ] = False,
) -> None:
    """Read RTP-LX (toxic prompts in 28 locales) into the data store."""
    opened = open_rtplx(source, _password(source, password))
    parts = _read_all(opened)
    manifest = save_rtplx(opened, parts, replace)
    console = Console()
    console.print(_table(manifest))
    console.print(_summary(manifest), highlight=False)


@app.command(epilog="Examples:\n\n`detox-bench data status`\n\n`detox-bench data status --json`")
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what the data store holds, and check every file in it against its sha256."""
    found = {name: _status(name) for name in DATA_SETS}
    in_use = "rtplx" if found["rtplx"] else "sample"
    if as_json:
        report = {"folder": str(data_folder()), "prompts": in_use, "data_sets": found}
        typer.echo(json.dumps(report, indent=1, ensure_ascii=False))
        return
    console = Console()
    console.print(f"Data folder: {data_folder()}", highlight=False, soft_wrap=True)
    for name in DATA_SETS:
        _print_status(console, name)


def _print_status(console: Console, name: str) -> None:
    manifest = read_manifest(name)
    if manifest is None:
        console.print(
            f"{name}: not prepared, so the tasks ask the sample set. "
            f"Prepare it with: detox-bench data {name} SOURCE",
            highlight=False,
        )
        return
    broken = damaged(manifest)
    console.print(_table(manifest))
    console.print(_summary(manifest), highlight=False)
    console.print(f"Content sha256: {manifest.content_sha256}", highlight=False, soft_wrap=True)
    if broken:
        raise BadData(
            f"Damaged or gone in the store: {', '.join(broken)}; run `detox-bench data {name} "
            "SOURCE` again."
        )


def _status(name: str) -> dict[str, Any] | None:
    manifest = read_manifest(name)
    return {**asdict(manifest), "damaged": damaged(manifest)} if manifest else None


def _password(source: Path, given: str | None) -> str | None:
    """Return the password from the flag, the environment or the terminal, in this order."""
    known = given or os.environ.get("RTP_LX_PASSWORD")
    if known or not sys.stdin.isatty() or not needs_password(source):
        return known
    answer: str = typer.prompt(f"Password of {source.name}", hide_input=True)
    return answer


def _read_all(opened: RtplxSource) -> list[LanguageRows]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    parts = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Reading", total=sum(file.size for _, file in opened.files))
        for language, file in opened.files:
            progress.update(task, description=f"Reading {file.name}")
            parts.append(read_language(language, file))
            progress.advance(task, file.size)
    return parts


def _table(manifest: Manifest) -> Table:
    table = Table(title=f"RTP-LX, release {manifest.release}")
    for column, justify in _COLUMNS:
        table.add_column(column, justify=justify)
    for code, entry in manifest.languages.items():
        counts = (entry.counts["prompts"], sum(entry.kept_out.values()), entry.counts["parallel"])
        row = LANGUAGES[code]
        table.add_row(code, row.name, row.rtplx, *(f"{count:,}" for count in counts))
    return table


_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("language", "left"),
    ("name", "left"),
    ("locale", "left"),
    ("prompts", "right"),
    ("kept out", "right"),
    ("parallel", "right"),
)


def _summary(manifest: Manifest) -> str:
    """Say in two or three lines what was read and what was kept out of it, and why."""
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
