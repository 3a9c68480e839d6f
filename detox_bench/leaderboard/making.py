"""The three files of a submission from what is stated and what was measured, and their place."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from detox_bench.errors import BadData, BadRunFolder, DetoxBenchError
from detox_bench.leaderboard.aggregates import Measuring, aggregate
from detox_bench.leaderboard.board import OnBoard, Place, folder_of, submissions
from detox_bench.leaderboard.content import pack_lines, readable_json, run_id, sha256
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import (
    REPRODUCTION,
    SAMPLES,
    SCHEMA_VERSION,
    SUBMISSION,
    BaseOnBoard,
    Contamination,
    Method,
    ModelCard,
    SampleLine,
    ScorerCard,
    Submission,
)

_ModelT = TypeVar("_ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Stated:
    """What a submission says that does not follow from its samples; fields as in ``Submission``."""

    prompt_list: str
    track: str
    model: ModelCard
    method: Method
    contamination: Contamination
    generation: Mapping[str, Any]
    identity: Mapping[str, Any]
    scorer: ScorerCard
    perplexity_judge: str | None
    versions: Mapping[str, str]
    reproduction: Mapping[str, Any]
    retrieval: Mapping[str, float] | None = None
    hardware: str | None = None


class Made(NamedTuple):
    """A submission, and the content of its files by name."""

    submission: Submission
    files: Mapping[str, bytes]


def make(
    stated: Stated, lines: Sequence[SampleLine], base: OnBoard | None, suite: Specification
) -> Made:
    """Return a submission with all its aggregates; ``base`` is None for a base model itself.

    Raises ``BadData`` for what the schema does not allow, and as ``aggregates.aggregate``.
    """
    measuring = Measuring(
        suite,
        suite.lists[stated.prompt_list].prompts,
        stated.scorer.id,
        stated.scorer.threshold,
        stated.generation,
        stated.versions.get("detox_bench", "unknown"),
    )
    found = aggregate(lines, base.lines if base else None, measuring)
    samples, reproduction = pack_lines(lines), readable_json(dict(stated.reproduction))
    fields = {
        "schema_version": SCHEMA_VERSION,
        "suite": suite.suite,
        **{name: getattr(stated, name) for name in _STATED},
        "base_model": _base_model(base),
        **found._asdict(),
        "submitted": datetime.now(UTC).date().isoformat(),
        "samples_sha256": sha256(samples),
        "reproduction_sha256": sha256(reproduction),
        "run_id": "0" * 64,
    }
    draft = checked(Submission, fields)
    submission = draft.model_copy(update={"run_id": run_id(draft.model_dump(mode="json"))})
    content = readable_json(submission.model_dump(mode="json"))
    return Made(submission, {SUBMISSION: content, SAMPLES: samples, REPRODUCTION: reproduction})


def put(board: Path, made: Made) -> Path:
    """Write the files into their folder of the board, all or none, and return it.

    Raises ``DetoxBenchError`` where these samples of this model are there already, and
    ``BadRunFolder`` where the board cannot be written.
    """
    check_new(board, made.submission)
    folder = folder_of(board, made.submission)
    temporary = folder.with_name(f".adding-{os.getpid()}-{folder.name}")
    try:
        temporary.mkdir(parents=True)
        try:
            for name, content in made.files.items():
                (temporary / name).write_bytes(content)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise BadRunFolder(f"Cannot write {folder}: {error.strerror or error}.") from error
    return folder


def check_new(board: Path, submission: Submission) -> None:
    """Raise ``DetoxBenchError`` where the same samples of the same model are on the board."""
    place = Place(board, submission.prompt_list, submission.track)
    for folder, other in submissions(place):
        if (other.model.name, other.samples_sha256) == (
            submission.model.name,
            submission.samples_sha256,
        ):
            raise DetoxBenchError(
                f"These samples of {other.model.name} are on the board already: {folder} (run id "
                f"{other.run_id[:12]}). A submission is never changed; remove it first if you "
                "made it just now."
            )


def checked(model: type[_ModelT], fields: Mapping[str, Any]) -> _ModelT:
    """Return ``fields`` as a model of the schema; raises ``BadData`` naming the first wrong one."""
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or model.__name__
        raise BadData(
            f"{where} is {first.get('input')!r:.80}, which the schema of submissions does not "
            f"allow: {first['msg']}."
        ) from error


_STATED = (
    "prompt_list",
    "track",
    "model",
    "method",
    "contamination",
    "generation",
    "identity",
    "scorer",
    "perplexity_judge",
    "versions",
    "retrieval",
    "hardware",
)


def _base_model(base: OnBoard | None) -> BaseOnBoard | None:
    if base is None:
        return None
    model = base.submission.model
    return BaseOnBoard(name=model.name, revision=model.revision, run_id=base.submission.run_id)
