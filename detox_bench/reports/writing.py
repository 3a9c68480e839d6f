"""Write a report: the page, Markdown, JSON and figures, in one folder."""

import json
from pathlib import Path
from typing import NamedTuple

from detox_bench.errors import BadRunFolder, DetoxBenchError, MissingExtra
from detox_bench.figures import FORMATS
from detox_bench.readable_texts import readable
from detox_bench.reports.as_json import report_json
from detox_bench.reports.content import Report
from detox_bench.reports.html import render_html
from detox_bench.reports.markdown import render_markdown
from detox_bench.runs import check_writable, write_json

_PAGE = "report.html"
_MARKDOWN = "report.md"
_JSON = "report.json"
_FIGURES = "figures"


class Written(NamedTuple):
    """The page that was written, and sentences on what could not be."""

    page: Path
    remarks: list[str]


def check_output(folder: Path, overwrite: bool) -> None:
    """Raise, before anything is measured, where a report could not be written to ``folder``.

    The folder is tried but not left behind: a report that is refused later makes none.
    """
    if folder.is_file():
        raise DetoxBenchError(f"{folder} is a file. Name a folder for the report: --output FOLDER.")
    if (folder / _PAGE).exists() and not overwrite:
        raise DetoxBenchError(
            f"{folder} holds a report. Name another folder (--output), or write over it: "
            "--overwrite."
        )
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    check_writable(folder)
    for each in made:
        each.rmdir()


def write_report(report: Report, folder: Path, figures: bool = True) -> Written:
    """Write all files; those of an earlier report are replaced, others are left alone."""
    page = folder / _PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_bytes(_utf8(render_html(report)))
        (folder / _MARKDOWN).write_bytes(_utf8(render_markdown(report)))
    except OSError as error:
        raise BadRunFolder(
            f"Cannot write to {folder}: {error.strerror or error}. Name another: --output."
        ) from error
    text = json.dumps(report_json(report), ensure_ascii=False)
    write_json(folder / _JSON, json.loads(_utf8(text)))
    return Written(page, _draw(report, folder / _FIGURES) if figures else [])


def _utf8(text: str) -> bytes:
    return readable(text).encode("utf-8")


def _draw(report: Report, folder: Path) -> list[str]:
    """Draw the figures, and return what to tell of them."""
    from detox_bench.reports.figures import FIGURES, draw_figures
    from detox_bench.reports.fonts import missing

    for file in folder.glob("*"):  # those of an earlier report may be more pages
        if file.suffix in FORMATS and file.stem.partition("-")[0] in FIGURES:
            file.unlink()
    try:
        draw_figures(report, folder)
    except MissingExtra as error:
        return [f"No figures were drawn. {error}"]
    sentence = missing(sorted({row.language for row in report.scorer.rows}))
    return [sentence] if sentence else []
