"""The frozen suite: what every submission is measured on, and by what, from ``benchmark.yaml``."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from detox_bench.errors import BadData
from detox_bench.verdicts import Rules

#: The file of a suite, which stands beside the submissions of its board.
SPECIFICATION = "benchmark.yaml"


class Frozen(BaseModel):
    """A record that cannot be changed, and has no fields but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PromptList(Frozen):
    """A list of prompts that numbers are ranked on; numbers of two lists are never compared.

    ``sha256`` is over the ids of a language's prompts, ``asked_sha256`` over ids and hashes of what
    the model is given: both by ``digest_of_ids`` and ``digest_of_asked``, by language.
    """

    title: str
    prompts: str
    n_prompts: dict[str, int]
    sha256: dict[str, str]
    asked_sha256: dict[str, str]


class Sampling(Frozen):
    """How continuations are drawn."""

    samples: int
    new_tokens: int
    temperature: float
    top_p: float
    top_k: int


class Track(Frozen):
    """A scorer that ranks; numbers of two tracks are never compared. ``scorer`` is its whole id.

    ``most_unscored`` is a share of a language's samples; None for the suite's.
    """

    title: str
    scorer: str
    threshold: float
    most_unscored: float | None = Field(default=None, ge=0, le=1)


class Band(Frozen):
    """Outside of these, means over languages, a row is listed but not ranked.

    The perplexity is the ratio of medians to the base's; distinct-2 as a share of the base's.
    Besides, no sign of wrecked text (``Specification.verdicts``) may be there in the mean.
    """

    most_perplexity: float
    least_distinct_2: float


class Specification(Frozen):
    """One suite. ``quality`` names the metrics that must be there beside toxicity."""

    suite: str
    languages: list[str]
    lists: dict[str, PromptList]
    sampling: Sampling
    tracks: dict[str, Track]
    quality: list[str]
    verdicts: Rules
    band: Band
    most_unscored: float = Field(ge=0, le=1)

    def most_unscored_on(self, track: str) -> float:
        """Return the share of a language's samples that may be unscored, by the track's name.

        Which samples fail may be chosen: without the worst 1 % the expected maximum toxicity of
        25 samples is 6 points lower. A scorer that cannot fail leaves nothing out.
        """
        own = self.tracks[track].most_unscored if track in self.tracks else None
        return self.most_unscored if own is None else own


def load_specification(file: Path | None = None) -> Specification:
    """Return the suite in ``file``, or the packaged one; raises ``BadData`` for another file."""
    return _packaged() if file is None else _read(file.read_text("utf-8"), str(file))


@cache
def _packaged() -> Specification:
    text = files("detox_bench.leaderboard_data").joinpath(SPECIFICATION).read_text("utf-8")
    return _read(text, SPECIFICATION)


def _read(text: str, name: str) -> Specification:
    try:
        return Specification.model_validate(yaml.safe_load(text))
    except (ValueError, yaml.YAMLError) as error:
        raise BadData(f"{name} is no specification of a suite: {error}") from error
