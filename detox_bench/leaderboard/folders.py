"""The folders of a board: what a path means, and the neighbours of a submission, read lazily.

``<board>/submissions/<org>__<model>/<revision>/<run id>/``: the path is the key, so that a base
model or the runs of a model are found without reading any other file.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from detox_bench.errors import BadData
from detox_bench.leaderboard.board import SUBMISSIONS
from detox_bench.leaderboard.json_of_strangers import open_regular
from detox_bench.leaderboard.reading import MOST_JSON, read_badges, read_submission
from detox_bench.leaderboard.submission import SUBMISSION, Submission

_DEPTH = 3
_REMOVED = "removed"
_RUN_ID = re.compile(r"[0-9a-f]{64}")


class Spot(NamedTuple):
    """Where a submission lies: names of folders below ``submissions``."""

    model: str
    revision: str
    run_id: str

    def __str__(self) -> str:
        """Return ``<org>__<model>/<revision>/<run id>``."""
        return "/".join(self)


def spot_of(name: str, revision: str, run_id: str) -> Spot:
    """Return where the submission of the model ``org/model`` belongs."""
    return Spot(name.replace("/", "__", 1), revision, run_id)


class Board:
    """The submissions below a folder; hidden entries and links are not followed."""

    def __init__(self, submissions: Path) -> None:
        """Look at the folder called ``submissions``; nothing is read yet."""
        self.submissions = submissions

    def spots(self) -> Iterator[Spot]:
        """Yield where submissions lie, in the order of their names."""
        for model in self.models():
            yield from self.of_model(model)

    def models(self) -> list[str]:
        """Return the folders of models, ``org__model``, in the order of their names."""
        return _folders(self.submissions)

    def of_model(self, model: str) -> Iterator[Spot]:
        """Yield the submissions of one model, ``org__model``, of all its revisions."""
        for revision in _folders(self.submissions / model):
            for run_id in _folders(self.submissions / model / revision):
                yield Spot(model, revision, run_id)

    def folder(self, spot: Spot) -> Path:
        """Return the folder of a spot."""
        return self.submissions.joinpath(*spot)

    def has(self, spot: Spot) -> bool:
        """Whether a submission lies there; names that are no run id are nowhere."""
        return bool(_RUN_ID.fullmatch(spot.run_id)) and (self.folder(spot) / SUBMISSION).is_file()

    def read(self, spot: Spot) -> Submission | None:
        """Return what lies at a spot; None where it cannot be read."""
        return read_submission(self.folder(spot)).record

    def mentions(self, spot: Spot, words: Iterable[str]) -> bool:
        """Whether all words stand in ``submission.json``, told without parsing it."""
        try:
            with open_regular(self.folder(spot) / SUBMISSION, MOST_JSON) as content:
                text = content.read()
                return all(word.encode() in text for word in words)
        except BadData:
            return False

    def removed(self, spot: Spot) -> bool:
        """Whether maintainers took what lies at a spot off the board."""
        return any(each.badge == _REMOVED for each in read_badges(self.folder(spot)).badges)


def submissions_above(path: Path) -> Path | None:
    """Return the ``submissions`` folder that ``path`` lies in, or is; None without one."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100  links are not resolved
    return next((each for each in (whole, *whole.parents) if each.name == SUBMISSIONS), None)


def submission_folders(path: Path) -> list[Path]:
    """Return the folders of submissions that ``path`` means: one, all below it, or a file's.

    ``path`` is a board, its ``submissions``, a folder below, or a file of a submission. Raises
    ``BadData`` where it is none of these.
    """
    path = path / SUBMISSIONS if (path / SUBMISSIONS).is_dir() else path
    root = submissions_above(path)
    if root is None or not os.path.lexists(path):
        raise BadData(
            f"{path} is in no folder called {SUBMISSIONS!r}, or does not exist. Give the folder of "
            "a submission: leaderboard/submissions/<org>__<model>/<revision>/<run id>."
        )
    parts = Path(os.path.abspath(path)).relative_to(root).parts  # noqa: PTH100
    found = [root.joinpath(*parts[:_DEPTH])]
    for _ in range(_DEPTH - len(parts)):
        found = [each / name for each in found for name in _entries(each)]
    return found


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(
                each.name
                for each in entries
                if each.is_dir(follow_symlinks=False) and not each.name.startswith(".")
            )
    except OSError:
        return []


def _entries(path: Path) -> list[str]:
    """Return what is in a folder and not hidden; a file, with nothing in it, stays as it is."""
    if path.is_symlink() or not path.is_dir():
        return [""]
    return sorted(each.name for each in path.iterdir() if not each.name.startswith("."))
