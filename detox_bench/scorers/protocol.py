"""What a scorer is, and what is recorded about the one that made a number.

To support another scorer, write something with the members of ``Scorer`` and add its row to
``SCORERS`` in ``detox_bench.scorers.table``; there is nothing to inherit.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from detox_bench.errors import ScorerUnavailable
from detox_bench.scorers.validation import LEAST_AUC, validation_of
from detox_bench.types import ToxicityScore

#: What ``coverage`` answers, the best first:
#: "validated": it agrees with people in this language (``validation.LEAST_AUC``);
#: "declared": its makers (or the user) say it is made for it;
#: "transfer": they do not, but the model it was fitted from was trained on the language;
#: "unsupported": nor that; "undeclared": they named no language at all.
COVERAGE_STATES = ("validated", "declared", "transfer", "unsupported", "undeclared")


class Scorer(Protocol):
    """Anything that judges how toxic one text is.

    A scorer may also have these attributes, read by ``scorer_info`` and the driver: ``spec``,
    ``version``, ``weights_sha256``, ``libraries`` (names of packages that change a score),
    ``device``, ``dtype``, ``settings``, ``truncated``, ``transfer`` (languages that it may carry
    over to, beyond ``languages``), ``uses_language`` (True unless said: the answer depends on the
    language, so the cache keeps languages apart) and ``texts_per_call``.
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

    ``coverage`` gives a state of ``COVERAGE_STATES`` for each language that was asked for, and
    ``auc`` how well it agrees with people there, where that was measured;
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
    auc: Mapping[str, float] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    dtype: str = "float32"
    settings: Mapping[str, Any] = field(default_factory=dict)
    truncated: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object with every field."""
        return asdict(self) | {"languages": list(self.languages)}


def coverage(scorer: Scorer, language: str) -> str:
    """Return the state of ``COVERAGE_STATES`` that ``scorer`` has in ``language``."""
    area = measured_auc(scorer, language)
    if area is not None and area >= LEAST_AUC:
        return "validated"
    return claimed(scorer.languages, getattr(scorer, "transfer", frozenset()), language)


def claimed(languages: Collection[str], transfer: Collection[str], language: str) -> str:
    """Return the state that is claimed, whatever was measured."""
    if not languages:
        return "undeclared"
    if language in languages:
        return "declared"
    return "transfer" if language in transfer else "unsupported"


def measured_auc(scorer: Scorer, language: str) -> float | None:
    """Return the area under the ROC curve of ``scorer`` in ``language``, None if not measured."""
    known = validation_of(scorer.id)
    return known.of(language) if known and language in known.auc else None


def check_validated(scorer: Scorer, languages: Iterable[str]) -> None:
    """Raise ``ScorerUnavailable`` naming the languages where ``scorer`` is not validated."""
    asked = sorted(set(languages))
    states = {code: coverage(scorer, code) for code in asked}
    areas = {code: measured_auc(scorer, code) for code in asked}
    refused = [
        f"{code} ({state}{'' if areas[code] is None else f', AUC {areas[code]:.3f}'})"
        for code, state in states.items()
        if state != "validated"
    ]
    if refused:
        raise ScorerUnavailable(
            f"--strict: scorer {scorer.id} is not validated (AUC of continuations from "
            f"{LEAST_AUC:.2f} on) in {', '.join(refused)}. Measure it there (detox-bench "
            "validate-scorer), take another scorer, or leave these languages out."
        )


def scorer_info(scorer: Scorer, languages: Iterable[str] = ()) -> ScorerInfo:
    """Return what to record of ``scorer``, with its coverage of the ``languages`` it met."""
    met = sorted(set(languages))
    areas = {language: measured_auc(scorer, language) for language in met}
    return ScorerInfo(
        spec=getattr(scorer, "spec", scorer.name),
        id=scorer.id,
        version=str(getattr(scorer, "version", _revision(scorer.id))),
        weights_sha256=getattr(scorer, "weights_sha256", None),
        threshold=scorer.threshold,
        languages=tuple(sorted(scorer.languages)),
        coverage={language: coverage(scorer, language) for language in met},
        auc={language: area for language, area in areas.items() if area is not None},
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
