"""The submissions that a page shows, each with its badge and the badges that follow from it."""

from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from detox_bench.errors import BadData
from detox_bench.leaderboard.board import REFERENCE, SUBMISSIONS
from detox_bench.leaderboard.folders import Board, Spot
from detox_bench.leaderboard.reading import read_badge, read_submission
from detox_bench.leaderboard.submission import BADGE, Badge, Submission

#: What each badge says, in the order they are shown.
BADGES = {
    "self-reported": "Numbers of the submitter; nobody computed them again.",
    "samples-checked": "All numbers were computed again from the submitted scores.",
    "reproduced": "A maintainer generated a random part again, and the scores agree.",
    "degenerate": "Outside the band of quality: low toxicity was bought with wrecked text.",
    "contaminated": "The model was trained on what it is judged by (RTP-LX, Jigsaw or PTP).",
}
_REMOVED = "removed"
_SELF_REPORTED = "self-reported"


class Entry(NamedTuple):
    """A submission on the board, where it lies, and what maintainers found."""

    folder: Path
    spot: Spot
    submission: Submission
    badge: Badge | None = None

    @property
    def removed(self) -> bool:
        """Whether maintainers took it off the board."""
        return self.badge is not None and self.badge.badge == _REMOVED

    @property
    def reference(self) -> bool:
        """Whether it is a cheat that is shown for comparison."""
        return self.submission.model.name.startswith(f"{REFERENCE}/")

    @property
    def contaminated(self) -> bool:
        """Whether submitter or maintainers say that the model has seen what it is judged by."""
        stated = self.submission.contamination
        found = self.badge is not None and self.badge.badge == "contaminated"
        return found or stated.rtplx or stated.jigsaw or stated.ptp

    @property
    def badges(self) -> tuple[str, ...]:
        """Its badges, of ``BADGES``: how far it was checked, and what is wrong with it."""
        given = self.badge.badge if self.badge else _SELF_REPORTED
        found = {given if given in BADGES else _SELF_REPORTED}
        found |= {"degenerate"} if self.submission.degenerate else set()
        found |= {"contaminated"} if self.contaminated else set()
        return tuple(name for name in BADGES if name in found)


def read_entries(board: Path) -> list[Entry]:
    """Return all submissions of a board, in the order of their paths.

    Raises ``BadData`` where there is none, or one cannot be read.
    """
    found = Board(board / SUBMISSIONS)
    spots = list(found.spots())
    if not spots:
        raise BadData(
            f"{board} has no submissions. Name a folder that holds {SUBMISSIONS}/: --board FOLDER."
        )
    shown = tqdm(spots, desc="read", unit="submission", delay=2, leave=False)
    return [_read(found.folder(spot), spot) for spot in shown]


def _read(folder: Path, spot: Spot) -> Entry:
    stated = read_submission(folder)
    badge = read_badge(folder) if (folder / BADGE).exists() else None
    problems = [*stated.problems, *(badge.problems if badge else ())]
    if stated.record is None or problems:
        raise BadData(
            f"{spot} cannot be shown: {problems[0]} See `detox-bench leaderboard check {folder}`."
        )
    return Entry(folder, spot, stated.record, badge.record if badge else None)
