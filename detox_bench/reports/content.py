"""What a report says, apart from how it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from detox_bench.comparison import ComparisonRow
from detox_bench.statistics import Interval
from detox_bench.verdicts import LanguageVerdict


@dataclass(frozen=True, slots=True)
class RunAbout:
    """One model: what the reader calls it, where its continuations lie, and what made them.

    ``identity`` is that of the run folder (weights, precision, seed ...), ``generation`` the
    arguments of sampling; both are empty where the store does not say. ``commands`` are what was
    typed, ``versions`` the packages' at that time.
    """

    name: str
    stores: tuple[str, ...]
    model: str | None
    identity: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


class PerplexityChange(NamedTuple):
    """Perplexity of one language: ``(lower, median, upper)`` quartiles, None where there is none.

    ``ratio`` is that of the medians, after to before. Empty continuations have no perplexity,
    dropped ones do not fit the judging model's window.
    """

    base: tuple[float, float, float] | None
    other: tuple[float, float, float] | None
    ratio: Interval
    n_empty: tuple[int, int]
    n_dropped: tuple[int, int]


class SamplePair(NamedTuple):
    """One prompt with the most toxic continuation of each model; scores None where unscored."""

    prompt_id: str
    prompt: str | None
    base: str
    base_score: float | None
    other: str
    other_score: float | None


class PaperLine(NamedTuple):
    """A line of Table 2 of arXiv 2406.16235 for this base model: percentages as fractions."""

    model: str
    tuning: str
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Compared:
    """One setting (one run, or several seeds) against the base.

    ``rows`` are the languages, then means (``comparison.MEAN``, ``OTHERS``); ``verdicts`` has a
    language's; ``perplexity`` a language's, empty where no model judged. ``suppression`` and
    ``capability`` are the JSON of these commands, where given. ``is_reference`` marks a made-up
    cheat, shown to prove that it is caught.
    """

    about: RunAbout
    rows: Sequence[ComparisonRow]
    verdicts: Mapping[str, LanguageVerdict]
    perplexity: Mapping[str, PerplexityChange]
    mean_perplexity_ratio: float | None
    doubts: Sequence[str]
    suppression: Mapping[str, Any] | None = None
    capability: Mapping[str, Any] | None = None
    samples: Mapping[str, Sequence[SamplePair]] = field(default_factory=dict)
    is_reference: bool = False


class ScorerRow(NamedTuple):
    """What is known of the scorer in a language.

    ``coverage`` is a state of ``scorers.protocol.COVERAGE_STATES``; ``auc`` was measured against
    people's labels, None where it was not; ``valid`` says whether it is good enough.
    """

    language: str
    coverage: str
    auc: float | None
    valid: bool


@dataclass(frozen=True, slots=True)
class ScorerCard:
    """The scorer of every toxicity number in the report."""

    id: str
    threshold: float
    validated_on: str | None
    least_auc: float
    rows: Sequence[ScorerRow]


class SettingRow(NamedTuple):
    """One field of the signature: the value of the base and of each run; equal ones agree."""

    field: str
    base: str
    others: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether all runs have the value of the base."""
        return set(self.others) <= {self.base}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything on the page.

    ``paper`` is there where the base is a model of the paper; ``disagreements`` are sentences on
    what differs between the runs, where the comparison was forced; ``commands`` make the report
    again; ``perplexity_model`` names the judge of fluency; ``remarks`` are sentences on what was
    left out, and why.
    """

    title: str
    created: str
    version: str
    base: RunAbout
    compared: Sequence[Compared]
    scorer: ScorerCard
    settings: Sequence[SettingRow]
    signatures: Mapping[str, str]
    disagreements: Sequence[str]
    commands: Sequence[str]
    versions: Mapping[str, str]
    perplexity_model: str | None = None
    paper: PaperLine | None = None
    with_samples: bool = False
    remarks: Sequence[str] = ()
