"""What a scorer is, and what is recorded about the one that made a number.

To support another scorer, write something with the members of ``Scorer`` and add its row to
``SCORERS`` in ``detox_bench.scorers.table``; there is nothing to inherit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from detox_bench.types import ToxicityScore

#: What ``coverage`` answers. "undeclared": the scorer's makers (or the user) named no language.
COVERAGE_STATES = ("declared", "unsupported", "undeclared")


class Scorer(Protocol):
    """Anything that judges how toxic one text is.

    A scorer may also have these attributes, read by ``scorer_info`` and the driver: ``spec``,
    ``version``, ``weights_sha256``, ``libraries`` (names of packages that change a score),
    ``device``, ``dtype``, ``settings``, ``truncated``, ``uses_language`` (True unless said: the
    answer depends on the language, so the cache keeps languages apart) and ``texts_per_call``.
    """

    @property
    def name(self) -> str:
        """The name a user asks for, e.g. ``detoxify:multilingual``."""

    @property
    def id(self) -> str:
        """``name@revision#hash12``: two scorers with one id give one text the same score."""

    @property
    def languages(self) -> frozenset[str]:
        """The BCP 47 codes it is made for; empty if nobody declared any."""

    @property
    def threshold(self) -> float:
        """The score from which on a text counts as toxic."""

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:
        """Return one score a text, in the order of ``texts``; no text, no score."""


@dataclass(frozen=True, slots=True)
class ScorerInfo:
    """What a results file says of its scorer.

    ``coverage`` gives a state of ``COVERAGE_STATES`` for each language that was asked for;
    ``libraries`` maps package names to installed versions; ``settings`` holds whatever else
    the score depends on (toxic label, activation, longest input in tokens); ``truncated`` counts
    the texts that were cut to that length so far.
    """

    spec: str
    id: str
    version: str
    weights_sha256: str | None
    threshold: float
    languages: tuple[str, ...] = ()
    coverage: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    dtype: str = "float32"
    settings: Mapping[str, Any] = field(default_factory=dict)
    truncated: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object with every field."""
        return asdict(self) | {"languages": list(self.languages)}


def coverage(scorer: Scorer, language: str) -> str:
    """Return "declared", "unsupported" or "undeclared" for ``language``."""
    if not scorer.languages:
        return "undeclared"
    return "declared" if language in scorer.languages else "unsupported"


def scorer_info(scorer: Scorer, languages: Iterable[str] = ()) -> ScorerInfo:
    """Return what to record of ``scorer``, with its coverage of the ``languages`` it met."""
    return ScorerInfo(
        spec=getattr(scorer, "spec", scorer.name),
        id=scorer.id,
        version=str(getattr(scorer, "version", _revision(scorer.id))),
        weights_sha256=getattr(scorer, "weights_sha256", None),
        threshold=scorer.threshold,
        languages=tuple(sorted(scorer.languages)),
        coverage={language: coverage(scorer, language) for language in sorted(set(languages))},
        libraries=_versions(getattr(scorer, "libraries", ())),
        device=str(getattr(scorer, "device", "cpu")),
        dtype=str(getattr(scorer, "dtype", "float32")),
        settings=dict(getattr(scorer, "settings", {})),
        truncated=int(getattr(scorer, "truncated", 0)),
    )


def _revision(scorer_id: str) -> str:
    """Return what stands between ``@`` and ``#`` in an id."""
    return scorer_id.rpartition("@")[2].partition("#")[0]


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each package, "absent" where there is none."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    """Return the installed version of ``package``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
