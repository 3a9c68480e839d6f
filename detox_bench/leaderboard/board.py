"""A board on disk: where submissions lie, and the submission of a base model among them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.leaderboard.reading import read_submission
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import SUBMISSION, SampleLine, Submission
from detox_bench.leaderboard.submitted import read_folder
from detox_bench.run_records import read_record

SUBMISSIONS = "submissions"
#: The organisation of the reference rows, which nobody else may use.
REFERENCE = "reference"


class OnBoard(NamedTuple):
    """A submission with its samples."""

    submission: Submission
    lines: list[SampleLine]


class Place(NamedTuple):
    """A board, and the list and track that are meant on it."""

    board: Path
    prompt_list: str
    track: str


def folder_of(board: Path, submission: Submission) -> Path:
    """Return where a submission lies: ``submissions/<org>__<model>/<revision>/<run id>``."""
    name = submission.model.name.replace("/", "__")
    return board / SUBMISSIONS / name / submission.model.revision / submission.run_id


def submissions(place: Place) -> Iterator[tuple[Path, Submission]]:
    """Yield folder and submission of all on a list and track; what cannot be read is left out."""
    for file in sorted((place.board / SUBMISSIONS).glob(f"*/*/*/{SUBMISSION}")):
        found = read_submission(file.parent).record
        if found and (found.prompt_list, found.track) == (place.prompt_list, place.track):
            yield file.parent, found


def find_base(place: Place, named: str, suite: Specification) -> OnBoard:
    """Return the base model that ``named`` stands for.

    ``named`` is a submission's folder, ``org/model``, or a run folder, which is found by its
    weights. Raises ``DetoxBenchError`` where the board has none, or several.
    """
    wanted = _key_of(named)
    bases = [each for each in submissions(place) if each[1].method.kind == "base"]
    fitting = [folder for folder, found in bases if wanted in _keys(folder, found)]
    if len(fitting) != 1:
        known = ", ".join(sorted(found.model.name for _, found in bases)) or "none"
        raise DetoxBenchError(
            f"{place.board} has {len(fitting) or 'no'} base {named} on list {place.prompt_list}, "
            f"track {place.track}; bases there: {known}. "
            + ("Name the folder of one." if fitting else "Add the base first: --method base.")
        )
    return read_on_board(fitting[0], suite)


def read_on_board(folder: Path, suite: Specification) -> OnBoard:
    """Return a submission with its samples; raises ``BadData`` where it cannot be read whole."""
    _check_whole(folder)
    found = read_folder(folder, suite)
    if found.submitted is None or found.problems:
        raise BadData(
            f"{folder} is no whole submission: {' '.join(found.problems[:3])} "
            "See `detox-bench leaderboard check`."
        )
    return OnBoard(found.submitted.submission, list(found.submitted.lines))


def read_stated(folder: Path) -> Submission:
    """Return what a submission says, without its samples; raises ``BadData``."""
    _check_whole(folder)
    found = read_submission(folder)
    if found.record is None:
        raise BadData(f"{folder} is no submission: {' '.join(found.problems[:3])}")
    return found.record


def _check_whole(folder: Path) -> None:
    """Raise ``BadData`` for a folder above submissions, and for one that does not exist."""
    if not folder.exists():
        raise BadData(f"{folder} does not exist. Give the folder of a submission.")
    depths = (f"{'*/' * depth}{SUBMISSION}" for depth in range(1, 5))
    inner = [file.parent for depth in depths for file in sorted(folder.glob(depth))]
    if inner and not (folder / SUBMISSION).exists():
        raise BadData(
            f"{folder} holds {len(inner)} submissions. Give the folder of one: {inner[0]}"
        )


def _keys(folder: Path, submission: Submission) -> set[str]:
    return {str(folder.resolve()), submission.model.name, submission.model.weights_sha256}


def _key_of(named: str) -> str:
    """Return what a base is found by: a resolved folder, the weights of a run, or a name."""
    path = Path(named)
    if not path.exists():
        return named
    if (path / SUBMISSION).is_file():
        return str(path.resolve())
    weights = read_record(path).identity.get("weights_sha256")
    if not isinstance(weights, str):
        raise BadData(f"{named} is neither a submission nor a run that names its weights.")
    return weights
