"""``detox-bench data``: read a data set once into the data store, and say what is there.

To add a data set, write its command below, add its name to ``DATA_SETS`` and what is printed of it
to ``data_tables``.
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

from detox_bench.commands.data_tables import summary_of, table_of
from detox_bench.data.archives import needs_password
from detox_bench.data.flores import open_flores, read_flores, save_flores
from detox_bench.data.rtplx import LanguageRows, read_language, save_rtplx
from detox_bench.data.rtplx_files import RtplxSource, open_rtplx
from detox_bench.data.store import Manifest, damaged, read_manifest
from detox_bench.errors import BadData
from detox_bench.locations import data_folder

DATA_SETS = ("rtplx", "flores")

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
    _print_stored(Console(), save_rtplx(opened, parts, replace))


@app.command(
    epilog="Examples:\n\n`detox-bench data flores flores200_dataset.tar.gz`\n\n"
    "`detox-bench data flores flores200_dataset/devtest --replace`"
)
def flores(
    source: Annotated[
        Path,
        typer.Argument(
            help="The official archive, the folder in it, a folder of one split, or a copy of the "
            "Hub's files (devtest/deu_Latn.parquet or .jsonl)."
        ),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the store holds languages SOURCE lacks.")
    ] = False,
) -> None:
    """Read FLORES (parallel sentences, CC BY-SA 4.0) into the data store."""
    opened = open_flores(source)
    _print_stored(Console(), save_flores(opened, read_flores(opened), replace))


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
    _print_stored(console, manifest)
    console.print(f"Content sha256: {manifest.content_sha256}", highlight=False, soft_wrap=True)
    if broken:
        raise BadData(
            f"Damaged or gone in the store: {', '.join(broken)}; run `detox-bench data {name} "
            "SOURCE` again."
        )


def _print_stored(console: Console, manifest: Manifest) -> None:
    console.print(table_of(manifest))
    console.print(summary_of(manifest), highlight=False)


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
