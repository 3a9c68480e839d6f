"""Build the static site of a board: the same submissions give the same bytes.

``index.html`` and a page a list and track, ``data.json``, ``data.csv``, and ``models/`` with a page
a model. A site is written beside and takes its place when it is whole.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from detox_bench.errors import DetoxBenchError
from detox_bench.leaderboard.board import SUBMISSIONS
from detox_bench.leaderboard.entries import Entry, read_entries
from detox_bench.leaderboard.pages import Site, file_of, render_board, render_model
from detox_bench.leaderboard.ranking import Ranking, Row, rankings
from detox_bench.leaderboard.site_data import as_csv, as_json
from detox_bench.leaderboard.specification import SPECIFICATION, Specification

INDEX = "index.html"
#: A folder that has this was written by us, and may be written again.
_MARK = "data.json"
_MODELS = "models"


class Built(NamedTuple):
    """The first page, and how many submissions and models are shown."""

    page: Path
    shown: int
    models: int


def check_output(output: Path, overwrite: bool) -> None:
    """Raise, before anything is read, where a site could not be written to ``output``."""
    if not output.exists():
        return
    if not output.is_dir():
        raise DetoxBenchError(f"{output} is a file. Name a folder for the site: --output FOLDER.")
    if any(output.iterdir()) and not (output / _MARK).is_file():
        raise DetoxBenchError(
            f"{output} holds files that are no site of ours. Name another folder: --output FOLDER."
        )
    if any(output.iterdir()) and not overwrite:
        raise DetoxBenchError(
            f"{output} holds a site. Name another folder (--output), or replace it: --overwrite."
        )


def gather(
    board: Path, suite: Specification, date: str | None = None, commit: str | None = None
) -> tuple[Site, list[str]]:
    """Read a board; besides, sentences on what is not shown.

    The date is that of the newest submission if not given. A board without a submission of the
    suite has an empty ranking. Raises ``BadData`` where a submission cannot be read, or where
    there is no board.
    """
    entries = [] if _begun(board) else read_entries(board)
    removed = sorted((e for e in entries if e.removed), key=_removal_order, reverse=True)
    found = rankings(entries, suite)
    newest = date or max((each.submission.submitted for each in entries), default=None)
    site = Site(suite, found or [_nobody(suite)], removed, newest, commit)
    others = len(entries) - len(removed) - sum(len(each.rows) for each in found)
    remarks = [f"Not shown, being of another suite, list or track: {others}."] if others else []
    return site, remarks if found else [*remarks, f"No submission of suite {suite.suite} is here."]


def build(site: Site, output: Path) -> Built:
    """Write the site; what was in ``output`` is replaced when the new one is whole."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as made:
            whole = Path(made) / "site"
            models = _write(site, whole)
            if output.exists():
                output.rename(Path(made) / "before")
            whole.rename(output)
    except OSError as error:
        raise DetoxBenchError(
            f"Cannot write to {output}: {error.strerror or error}. Name another: --output."
        ) from error
    return Built(output / INDEX, sum(len(each.rows) for each in site.rankings), models)


def commit_of(folder: Path) -> str | None:
    """Return the commit of the checkout that a board lies in; None where it lies in none."""
    git = shutil.which("git")
    if git is None:
        return None
    asked = [git, "-C", str(folder), "rev-parse", "HEAD"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
    return found.stdout.strip() if found.returncode == 0 else None


def _begun(board: Path) -> bool:
    """Return whether this is a board to which nobody has added anything yet."""
    there = board / SUBMISSIONS
    empty = not there.exists() or (there.is_dir() and not any(there.iterdir()))
    return empty and (there.exists() or (board / SPECIFICATION).is_file())


def _nobody(suite: Specification) -> Ranking:
    """Return the empty ranking of the suite's first list and track."""
    return Ranking(next(iter(suite.lists)), next(iter(suite.tracks)), [], [])


def _write(site: Site, folder: Path) -> int:
    (folder / _MODELS).mkdir(parents=True)
    for ranking in site.rankings:
        page = render_board(site, ranking)
        (folder / file_of(ranking)).write_text(page, "utf-8")
        if ranking is site.main:
            (folder / INDEX).write_text(page, "utf-8")
    (folder / "data.csv").write_text(as_csv(site), "utf-8")
    (folder / _MARK).write_text(as_json(site), "utf-8")
    found = list(_models(site))
    for name, rows in tqdm(found, desc="models", unit="page", delay=2, leave=False):
        page = render_model(site, rows[0].entry.submission.model.name, rows)
        (folder / _MODELS / f"{name}.html").write_text(page, "utf-8")
    return len(found)


def _models(site: Site) -> Iterator[tuple[str, Sequence[Row]]]:
    """Yield the folder of each model with its runs, the newest first."""
    found: dict[str, list[Row]] = {}
    for row in (row for ranking in site.rankings for row in ranking.rows):
        found.setdefault(row.entry.spot.model, []).append(row)
    for name in sorted(found):
        yield name, sorted(found[name], key=_run_order, reverse=True)


def _run_order(row: Row) -> tuple[str, str]:
    return row.entry.submission.submitted, row.entry.submission.run_id


def _removal_order(entry: Entry) -> tuple[str, str]:
    return entry.removal.date if entry.removal else "", str(entry.spot)
