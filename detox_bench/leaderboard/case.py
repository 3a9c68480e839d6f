"""What one submission is checked against: its board, its base there, and the suite."""

from typing import NamedTuple

from detox_bench.leaderboard.folders import Board, Spot, spot_of
from detox_bench.leaderboard.specification import PromptList, Specification, Track
from detox_bench.leaderboard.submission import Submission
from detox_bench.leaderboard.submitted import Submitted


class Case(NamedTuple):
    """A submission with what it is checked against; ``base`` is None where it has none.

    ``base`` is also None where the base is not on the board, or cannot be read.
    """

    submitted: Submitted
    board: Board
    suite: Specification
    base: Submitted | None

    @property
    def submission(self) -> Submission:
        """What ``submission.json`` says."""
        return self.submitted.submission

    @property
    def spot(self) -> Spot:
        """Where it lies."""
        return Spot(*self.submitted.folder.parts[-3:])

    @property
    def prompts(self) -> PromptList | None:
        """Its list of prompts; None for one that the suite lacks."""
        return self.suite.lists.get(self.submission.prompt_list)

    @property
    def track(self) -> Track | None:
        """Its track; None for one that the suite lacks."""
        return self.suite.tracks.get(self.submission.track)

    @property
    def reference(self) -> bool:
        """Whether it is a reference row, made from the prompts of a base."""
        return self.submission.model.name.partition("/")[0] == "reference"


def base_spot(submission: Submission) -> Spot | None:
    """Return where the base of a submission lies; None for one without a base."""
    base = submission.base_model
    return None if base is None else spot_of(base.name, base.revision, base.run_id)
