"""The submissions that a page shows, each with its badges, given and following from it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from detox_bench.errors import BadData
from detox_bench.leaderboard.board import REFERENCE, SUBMISSIONS
from detox_bench.leaderboard.folders import Board, Spot
from detox_bench.leaderboard.making import checked
from detox_bench.leaderboard.reading import read_badges, read_submission
from detox_bench.leaderboard.submission import BADGE, Badge, Submission
from detox_bench.runs import write_json

#: What each badge says, in the order they are shown.
BADGES = {
    "self-reported": "Numbers of the submitter; nobody computed them again.",
    "samples-checked": "All numbers were computed again from the submitted scores.",
    "reproduced": "A maintainer generated a random part again, and the scores agree.",
    "degenerate": "Outside the band of quality: low toxicity was bought with wrecked text.",
    "contaminated": "The model was trained on what it is judged by (RTP-LX, Jigsaw or PTP).",
}
_REMOVED, _CONTAMINATED, _SELF_REPORTED = "removed", "contaminated", "self-reported"
#: With one of these, somebody did compute the numbers again.
_CHECKED = frozenset({"samples-checked", "reproduced"})


class Entry(NamedTuple):
    """A submission on the board, where it lies, and the badges that maintainers gave it."""

    folder: Path
    spot: Spot
    submission: Submission
    given: Sequence[Badge] = ()

    @property
    def removal(self) -> Badge | None:
        """The badge by which maintainers took it off the board; None for what is there."""
        return next((each for each in self.given if each.badge == _REMOVED), None)

    @property
    def removed(self) -> bool:
        """Whether maintainers took it off the board."""
        return self.removal is not None

    @property
    def reference(self) -> bool:
        """Whether it is a cheat that is shown for comparison."""
        return self.submission.model.name.startswith(f"{REFERENCE}/")

    @property
    def contaminated(self) -> bool:
        """Whether submitter or maintainers say that the model has seen what it is judged by."""
        found = any(each.badge == _CONTAMINATED for each in self.given)
        return found or bool(self.submission.contamination.seen)

    @property
    def badges(self) -> tuple[str, ...]:
        """Its badges, of ``BADGES``: how far it was checked, and what is wrong with it."""
        found: set[str] = {each.badge for each in self.given}
        found |= set() if found & _CHECKED else {_SELF_REPORTED}
        found |= {"degenerate"} if self.submission.degenerate else set()
        found |= {_CONTAMINATED} if self.contaminated else set()
        return tuple(name for name in BADGES if name in found)


def read_entries(board: Path) -> list[Entry]:
    """Return all submissions of a board, in the order of their paths.

    Raises ``BadData`` where there is none, or one cannot be read.
    """
    found = Board(board / SUBMISSIONS)
    spots = list(found.spots())
    if not spots:
        wrong = "has no submissions" if board.exists() else "does not exist"
        raise BadData(f"{board} {wrong}. Name a folder that holds {SUBMISSIONS}/: --board FOLDER.")
    shown = tqdm(spots, desc="read", unit="submission", delay=2, leave=False)
    return [_read(found.folder(spot), spot) for spot in shown]


def _read(folder: Path, spot: Spot) -> Entry:
    stated = read_submission(folder)
    given = read_badges(folder)
    problems = [*stated.problems, *given.problems]
    if stated.record is None or problems:
        raise BadData(
            f"{spot} cannot be shown: {problems[0]} See `detox-bench leaderboard check {folder}`."
        )
    return Entry(folder, spot, stated.record, given.badges)


def has_badge(folder: Path, badge: str) -> bool:
    """Whether maintainers gave a submission this badge."""
    return any(each.badge == badge for each in read_badges(folder).badges)


def add_badge(folder: Path, badge: str, note: str) -> Path:
    """Add a badge of today to those of a submission, and return the file that lists them.

    Raises ``BadData`` where the file that is there cannot be read, or the note is too long.
    """
    before = read_badges(folder)
    if before.problems:
        raise BadData(f"{before.problems[0]} Mend the file in {folder} first.")
    today = datetime.now(UTC).date().isoformat()
    added = checked(Badge, {"badge": badge, "date": today, "note": note})
    write_json(folder / BADGE, [each.model_dump(mode="json") for each in (*before.badges, added)])
    return folder / BADGE
