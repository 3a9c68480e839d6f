"""What was changed on a board: nothing that is there may change but badges, by maintainers.

The board before is a revision of git, or a folder. Git is run with fixed arguments, without hooks
or drivers, and what it prints is only read.
"""

import filecmp
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from detox_bench.errors import BadData
from detox_bench.leaderboard.board import SUBMISSIONS
from detox_bench.leaderboard.folders import Board
from detox_bench.leaderboard.specification import SPECIFICATION
from detox_bench.leaderboard.submission import BADGE, SUBMISSION
from detox_bench.leaderboard.wording import plain

_DEPTH = 3
_BESIDE = "../"
_WORDS = {"D": "was removed", "M": "was changed", "T": "was changed", "A": "was added"}
_SECONDS = 60


class Changed(NamedTuple):
    """A file below ``submissions``: its path there, and a letter of git: A, M, T or D."""

    path: str
    letter: str


def changed_files(board: Board, before: str) -> list[Changed]:
    """Return what differs from ``before``: a folder of a board, or a revision of git.

    Files that git does not know yet are added ones. Of a folder, what stands beside its
    ``submissions`` is compared too, the frozen suite: as ``../benchmark.yaml``. Raises ``BadData``
    where it is neither, and where ``submissions`` is a link.
    """
    for each in (board.submissions.parent, board.submissions):
        if each.is_symlink():
            raise BadData(f"{each} is a link. Submissions lie in the board's own folder.")
    other = Path(before)
    if not other.is_dir() and not board.submissions.is_dir():
        return []
    if not other.is_dir():
        return sorted({*_against_git(board.submissions, before), *_unknown(board.submissions)})
    inner = other if other.name == SUBMISSIONS else other / SUBMISSIONS
    if not inner.is_dir() and not (other / SPECIFICATION).is_file():
        raise BadData(f"{before} is no board: it has neither {SUBMISSIONS} nor {SPECIFICATION}.")
    found = list(_against_folder(board.submissions, inner))
    if other.name != SUBMISSIONS:
        beside = _against_folder(board.submissions.parent, other, skipped=SUBMISSIONS)
        found += [Changed(f"{_BESIDE}{path}", letter) for path, letter in beside]
    return sorted(found)


def problems_of_changes(changes: list[Changed], badges: bool = False) -> list[str]:
    """Return a sentence for each file that is not as it was.

    Badges are maintainers' to give, to what is on the board: with ``badges`` they may be added,
    changed and taken away, but never come with their submission.
    """
    new = {each.path.rpartition("/")[0] for each in changes if _is_new(each)}
    return [
        f"{'/'.join(map(plain, each.path.split('/')))} {problem}"
        for each in changes
        if (problem := _problem(each, new, badges))
    ]


def _is_new(change: Changed) -> bool:
    return change.letter == "A" and change.path.rpartition("/")[2] == SUBMISSION


def _problem(change: Changed, new: set[str], badges: bool) -> str | None:
    folder, _, name = change.path.rpartition("/")
    what = _WORDS.get(change.letter, "was changed")
    if change.path.startswith(_BESIDE):
        return f"{what}: a pull request with submissions changes nothing else. Open another."
    if name == BADGE and folder in new:
        return "came with its submission: badges are given to what is on the board. Remove it."
    if name == BADGE:
        return None if badges else f"{what}: badges are given by maintainers (`check --badges`)."
    if change.letter == "A":
        return None
    return f"{what}: what is on the board stays as it is. Add another run beside it."


def changed_folders(board: Board, changes: list[Changed]) -> list[Path]:
    """Return the folders of the submissions that hold added or changed files."""
    named = (
        each.path.split("/")
        for each in changes
        if each.letter != "D" and not each.path.startswith(_BESIDE)
    )
    spots = dict.fromkeys(tuple(parts[:_DEPTH]) for parts in named)
    return [board.submissions.joinpath(*parts) for parts in spots]


def _against_git(submissions: Path, revision: str) -> Iterator[Changed]:
    base = _git(submissions, "merge-base", "--end-of-options", revision, "HEAD").strip()
    options = ("--no-ext-diff", "--no-textconv", "--no-renames", "--relative")
    found = _git(submissions, "diff", *options, "--name-status", "-z", base, "--", ".")
    fields = found.split("\0")
    yield from (
        Changed(path, letter) for letter, path in zip(fields[::2], fields[1::2], strict=False)
    )


def _unknown(submissions: Path) -> Iterator[Changed]:
    found = _git(submissions, "ls-files", "--others", "-z", "--", ".")
    yield from (Changed(path, "A") for path in found.split("\0") if path)


def _git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints; raises ``BadData`` where it fails."""
    safe = ("safe.directory=*", "core.fsmonitor=false", "core.hooksPath=/dev/null")
    options = [part for setting in safe for part in ("-c", setting)]
    try:
        done = subprocess.run(
            ["git", "--no-pager", *options, *arguments],
            cwd=folder,
            capture_output=True,
            timeout=_SECONDS,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error).encode()
        reason = told.decode("utf-8", "replace").strip().partition("\n")[0]
        raise BadData(
            f"The board cannot be compared by git {arguments[0]}: {plain(reason)}. --against names "
            "a revision of the board's repository, or the folder of another board."
        ) from error
    return done.stdout.decode("utf-8", "surrogateescape")


def _against_folder(now: Path, before: Path, skipped: str | None = None) -> Iterator[Changed]:
    found, known = (dict.fromkeys(_files(each, skipped)) for each in (now, before))
    yield from (Changed(path, "A") for path in found if path not in known)
    for path in known:
        if path not in found:
            yield Changed(path, "D")
        elif not _same(now / path, before / path):
            yield Changed(path, "M")


def _files(folder: Path, skipped: str | None) -> Iterator[str]:
    """Yield the files and the links below a folder, but for what is ``skipped`` in it."""
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        if here == folder and skipped:
            folders[:] = [name for name in folders if name not in (skipped, "__pycache__")]
        links = [name for name in folders if (here / name).is_symlink()]
        for name in (*names, *links):
            yield (here / name).relative_to(folder).as_posix()


def _same(one: Path, other: Path) -> bool:
    return not one.is_symlink() and one.is_file() and filecmp.cmp(one, other, shallow=False)
