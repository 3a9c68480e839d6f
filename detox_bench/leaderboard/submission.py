"""What a submission says: the models behind ``submission.json``, its schema, and its samples.

A submission is three files in ``submissions/<org>__<model>/<revision>/<run id>/``::

    submission.json    aggregates with intervals, quality, scorer, method, versions
    samples.jsonl.gz   a line a prompt: ids, hashes of texts, scores, metrics; no text at all
    repro.json         commands, versions, hardware: how to make it again

All aggregates follow from the samples, so that they can be recomputed. ``badge.json``, written by
maintainers, is the only file that is ever added to or changed in it.
"""

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from detox_bench.leaderboard.specification import Frozen
from detox_bench.leaderboard.wording import texts_in

SCHEMA_VERSION = "1"

SUBMISSION = "submission.json"
SAMPLES = "samples.jsonl.gz"
REPRODUCTION = "repro.json"
BADGE = "badge.json"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
#: One line of plain text that may stand on a page.
Line = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
#: ``org/model``, as on the Hub, in ASCII. No ``_`` at an end, no two: no other name makes the same
#: folder ``org__model``.
_NAME = re.compile("{0}/{0}".format(r"[A-Za-z0-9](?:_?[A-Za-z0-9.-])*"))


def _model_name(text: str) -> str:
    if _NAME.fullmatch(text):
        return text
    raise PydanticCustomError(
        "model_name",
        "org/model, each of ASCII letters, digits, '.', '-' and single '_' inside, as on the Hub",
    )


def _small(most: int, letters: int = 2000) -> AfterValidator:
    """Return a validator of JSON in at most so many bytes, its texts of so many letters at most."""

    def small(value: Any) -> Any:
        size = len(json.dumps(value))
        longest = max((len(text) for _, text in texts_in(value)), default=0)
        if size <= most and longest <= letters:
            return value
        raise PydanticCustomError(
            "too_large",
            "at most {most} bytes of JSON with texts of at most {letters} letters; it has {size} "
            "with {longest}",
            {"most": most, "letters": letters, "size": size, "longest": longest},
        )

    return AfterValidator(small)


ModelName = Annotated[
    str,
    StringConstraints(max_length=120),
    AfterValidator(_model_name),
    WithJsonSchema({"type": "string", "maxLength": 120, "pattern": f"^{_NAME.pattern}$"}),
]
#: Languages, or metrics, each once.
_FEW = Field(max_length=64)
_Metric = Annotated[str, StringConstraints(max_length=40)]
#: A full commit of the Hub, or ``local-`` and the beginning of the weights' SHA-256.
Revision = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|local-[0-9a-f]{12})$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Estimate(Frozen):
    """A mean with its 95 % interval; the bounds are null over fewer than two prompts."""

    estimate: float
    low: float | None
    high: float | None


class ModelCard(Frozen):
    """Whose numbers these are. ``weights_sha256`` is that of the run folder."""

    name: ModelName
    revision: Revision
    weights_sha256: Sha256
    parameters: int | None = Field(default=None, ge=0)
    licence: Line | None = None
    url: Annotated[str, StringConstraints(pattern=r"^https://[^\s\"'<>]{1,300}$")] | None = None


class BaseOnBoard(Frozen):
    """The model that it was made from; ``run_id`` is its own submission on the same list."""

    name: ModelName
    revision: Revision
    run_id: Sha256


class Method(Frozen):
    """What was done to the base; ``recipe`` of a training, ``intervention`` of neurons, inline."""

    kind: Literal["base", "dpo", "neurons", "other"]
    description: Line | None = None
    recipe: Annotated[dict[str, Any], _small(20_000, 300)] | None = None
    intervention: Annotated[dict[str, Any], _small(500_000)] | None = None


class Contamination(Frozen):
    """Whether the model has seen what it is judged on, or what the scorer was fitted to."""

    rtplx: bool
    jigsaw: bool
    ptp: bool
    note: Line | None = None

    @property
    def seen(self) -> tuple[str, ...]:
        """Return the names of the sets that are declared."""
        sets = {"RTP-LX": self.rtplx, "Jigsaw": self.jigsaw, "PTP": self.ptp}
        return tuple(name for name, declared in sets.items() if declared)


class ScorerCard(Frozen):
    """The scorer; ``states`` says of each language how far it is to be trusted there."""

    id: Line
    threshold: Share
    states: Annotated[dict[str, Line], _FEW]
    auc: Annotated[dict[str, Share | None], _FEW]


class Quartiles(Frozen):
    """Perplexities of all continuations under the base model; null where there is none."""

    lower: float | None
    median: float | None
    upper: float | None
    n_empty: int = Field(ge=0)
    n_dropped: int = Field(ge=0)


class LanguageNumbers(Frozen):
    """One language: means over prompts by metric, the signature, and the perplexity."""

    n_prompts: int = Field(ge=1)
    samples: int = Field(ge=1)
    signature: Line
    metrics: Annotated[dict[str, Estimate], _FEW]
    perplexity: Quartiles | None = None


class ChangeOfMetric(Frozen):
    """One metric against the base, paired prompt by prompt; ``p_holm`` null in the mean."""

    base: float
    difference: Estimate
    p: Share
    p_holm: Share | None


class LanguageChange(Frozen):
    """One language, or the mean of all, against the base."""

    metrics: Annotated[dict[str, ChangeOfMetric], _FEW]
    perplexity_ratio: Estimate | None = None
    verdict: Line | None = None
    signs: list[Line] = Field(default_factory=list, max_length=64)


class Submission(Frozen):
    """The whole of ``submission.json``.

    ``mean`` holds the unweighted means of languages; ``change`` is by language and ``mean``, and
    null for a base. ``run_id`` is the SHA-256 of everything else (``content.run_id``).
    """

    schema_version: Literal["1"]
    suite: Line
    prompt_list: Line
    track: Line
    model: ModelCard
    base_model: BaseOnBoard | None
    method: Method
    contamination: Contamination
    generation: Annotated[dict[str, Any], _small(4_000, 200)]
    identity: Annotated[dict[str, Any], _small(4_000, 200)]
    scorer: ScorerCard
    perplexity_judge: Line | None
    languages: Annotated[dict[str, LanguageNumbers], _FEW]
    mean: Annotated[dict[str, Estimate], _FEW]
    change: Annotated[dict[str, LanguageChange], _FEW] | None
    degenerate: bool
    retrieval: Annotated[dict[str, float], _FEW] | None = None
    hardware: Line | None = None
    versions: Annotated[dict[str, Line], _FEW]
    submitted: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    samples_sha256: Sha256
    reproduction_sha256: Sha256
    run_id: Sha256


class SampleLine(Frozen):
    """A line of ``samples.jsonl.gz``: one prompt with its ``(k,)`` samples in order.

    ``asked`` is a digest of what the model was given, ``texts`` hashes of the continuations
    (SHA-256, the first 16 hex digits), ``scores`` null where unscored, ``perplexities`` null where
    there is none, ``metrics`` those of the prompt that need its texts.
    """

    language: Line
    prompt_id: Line
    asked: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    texts: list[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]]
    scores: list[Share | None]
    perplexities: list[Annotated[float, Field(ge=1)] | None] | None = None
    metrics: Annotated[dict[_Metric, float], Field(max_length=20)]


def _past_date(text: str) -> str:
    latest = datetime.now(UTC).date() + timedelta(days=1)
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and found.isoformat() == text and found <= latest:
        return text
    raise PydanticCustomError("past_date", "a date as 2026-01-31 that is not in the future")


class Badge(Frozen):
    """What maintainers found, and when; ``badge.json`` is a list of these.

    ``reproduced`` says in its note how much was generated again. The date is a real one and not in
    the future; a day's difference of clocks is none.
    """

    badge: Literal["samples-checked", "reproduced", "contaminated", "removed"]
    date: Annotated[str, AfterValidator(_past_date)]
    note: Line | None = None
