"""What ``repro.json`` holds: the schema of how a submission was made.

``reproduction.py`` writes it; nothing in it is ever run by ``check``.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from detox_bench.leaderboard.specification import Frozen
from detox_bench.leaderboard.submission import Line

_Versions = Annotated[dict[str, Line], Field(max_length=64)]


class Machine(Frozen):
    """A machine by its kind; no name of it or of a user."""

    system: Line
    python: Line
    processor: Line | None
    gpu: Line | None


class Scored(Frozen):
    """Where, when, and with what the continuations were scored and judged."""

    on: Machine
    versions: _Versions
    perplexity_model: Line | None
    at: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Reproduction(Frozen):
    """The whole of ``repro.json``: command, model, prompts, seed and versions of the run."""

    schema_version: Literal["1"]
    command: Annotated[str, StringConstraints(max_length=10_000)] | None
    model: Line | None
    prompts: Annotated[list[Line], Field(max_length=100)]
    settings: Line | None
    seed: int | None
    engine: Line | None
    dtype: Line | None
    versions: _Versions
    scored: Scored
