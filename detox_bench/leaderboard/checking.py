"""Submissions checked one by one: what is wrong with each, and how it stands among its neighbours.

Exit codes: 0 nothing is wrong, 1 something is, 2 a submission could not be read.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from detox_bench.errors import BadData
from detox_bench.leaderboard.board import SUBMISSIONS
from detox_bench.leaderboard.case import Case, base_spot
from detox_bench.leaderboard.checks import problems
from detox_bench.leaderboard.folders import Board, submission_folders, submissions_above
from detox_bench.leaderboard.history import changed_files, changed_folders, problems_of_changes
from detox_bench.leaderboard.specification import SPECIFICATION, Specification
from detox_bench.leaderboard.submission import Submission
from detox_bench.leaderboard.submitted import Submitted, read_folder
from detox_bench.leaderboard.wording import plain


class Checked(NamedTuple):
    """One submission: what was wrong, and what it says; None where it could not be read."""

    folder: Path
    problems: list[str]
    submission: Submission | None

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object: the folder, whether it was read, what was wrong."""
        return {
            "submission": "/".join(self.folder.parts[-3:]),
            "read": self.submission is not None,
            "problems": self.problems,
        }


class Checking(NamedTuple):
    """All that was checked; ``board_problems`` are files of the board that were changed."""

    board: Board
    checked: list[Checked]
    board_problems: list[str]

    @property
    def exit_code(self) -> int:
        """0, 1 or 2: see the module."""
        if any(each.submission is None for each in self.checked):
            return 2
        return int(bool(self.board_problems or any(each.problems for each in self.checked)))

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "exit_code": self.exit_code,
            "board_problems": self.board_problems,
            "checked": [each.as_json() for each in self.checked],
        }


def check(
    paths: Sequence[Path], against: str | None, suite: Specification, badges: bool = False
) -> Checking:
    """Check submissions: those that ``paths`` mean, or those changed since ``against``.

    Args:
        paths: Submissions, folders of them, or files in them; with ``against`` one board is
            enough, of which the changed submissions are checked.
        against: A revision of git or a folder, what the board was before.
        suite: What is asked.
        badges: Whether badges may have changed.

    Raises ``BadData`` for paths that are no submissions, or of several boards.
    """
    board = _one_board(paths)
    changes = changed_files(board, against) if against else []
    if against and all(_is_board(path) for path in paths):
        folders = changed_folders(board, changes)
    elif board.submissions.is_dir():
        folders = list(dict.fromkeys(each for path in paths for each in submission_folders(path)))
    else:
        folders = []
    bar = tqdm(folders, "Checking", unit=" submissions", disable=None if folders[1:] else True)
    checked = [check_folder(each, board, suite) for each in bar]
    if against:
        checked = [_with_dates(each, board, folders) for each in checked]
    return Checking(board, checked, problems_of_changes(changes, badges))


def check_folder(folder: Path, board: Board, suite: Specification) -> Checked:
    """Check one submission."""
    found = read_folder(folder, suite)
    if found.submitted is None:
        return Checked(folder, found.problems, None)
    case = Case(found.submitted, board, suite, _base(found.submitted, board, suite))
    return Checked(folder, [*found.problems, *problems(case)], found.submitted.submission)


def _with_dates(checked: Checked, board: Board, new: Sequence[Path]) -> Checked:
    """Add a problem where a new run is not dated after those of its model that were there.

    The first run of a model is the one that is ranked; which one that is, is told by dates.
    """
    own = checked.submission
    if own is None:
        return checked
    model = checked.folder.parts[-3:-1]
    spots = [spot for spot in board.of_model(model[0]) if board.folder(spot) not in new]
    there = [board.read(spot) for spot in spots if spot.revision == model[1]]
    dates = [each.submitted for each in there if each and each.prompt_list == own.prompt_list]
    if not dates or own.submitted > max(dates):
        return checked
    sentence = (
        f"It is dated {plain(own.submitted)}, and a run of this model from {plain(max(dates))} is "
        "on the board, which stays the one that is ranked. Add another run on a later day."
    )
    return checked._replace(problems=[*checked.problems, sentence])


def _base(submitted: Submitted, board: Board, suite: Specification) -> Submitted | None:
    spot = base_spot(submitted.submission)
    if spot is None or not board.has(spot):
        return None
    found = read_folder(board.folder(spot), suite)
    return found.submitted if found.submitted and not found.problems else None


def _one_board(paths: Sequence[Path]) -> Board:
    if missing := [str(path) for path in paths if not os.path.lexists(path)]:
        raise BadData(f"{', '.join(missing)} does not exist. Give a board, or submissions in it.")
    roots = {submissions_above(_inside(path)) for path in paths}
    if len(roots) != 1 or None in roots:
        raise BadData(
            f"{', '.join(map(str, paths)) or 'Nothing'} is not in the folder {SUBMISSIONS!r} of "
            "one board. Give a board, or submissions in it."
        )
    return Board(next(root for root in roots if root is not None))


def _is_board(path: Path) -> bool:
    inner = Path(os.path.abspath(_inside(path)))  # noqa: PTH100  links are not resolved
    return submissions_above(inner) == inner


def _inside(path: Path) -> Path:
    """Return the ``submissions`` of a board, which has none yet if it has a suite alone."""
    inner = path / SUBMISSIONS
    return inner if inner.is_dir() or (path / SPECIFICATION).is_file() else path
