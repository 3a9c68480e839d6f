"""Maps from one scorer's scores to those of an archive, as of Perspective: fitted, kept, applied.

A map is a JSON file: an isotonic function a language, the scorer it is for, and its error on texts
it was not fitted on.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.isotonic import Isotonic, fit_isotonic
from detox_bench.languages import language as language_row
from detox_bench.metrics import Scores
from detox_bench.runs import digest, write_json
from detox_bench.score_archives import ArchivedScore
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer
from detox_bench.statistics import Interval, mean_interval
from detox_bench.types import ToxicityScore

#: A language is mapped from so many texts on: half of them fit, half of them tell the error.
FEWEST_TEXTS = 40


class MapError(NamedTuple):
    """How far mapped scores are from archived ones, over texts that the map was not fitted on.

    ``mae`` is the mean absolute difference, ``rmse`` the root of the mean square, both with 95 %
    intervals over texts; ``mae_unmapped`` is the first without the map.
    """

    n_fitted: int
    n_tested: int
    n_unscored: int
    mae: Interval
    rmse: Interval
    mae_unmapped: Interval


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """The map of one scorer, an isotonic function a language, with the error of each."""

    scorer: str
    functions: Mapping[str, Isotonic]
    errors: Mapping[str, Mapping[str, Any]]

    @property
    def hash(self) -> str:
        """Twelve hex digits of what changes a mapped score."""
        content = {code: [each.x, each.y] for code, each in sorted(self.functions.items())}
        text = json.dumps([self.scorer, content])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class MappedScorer:
    """A scorer whose values are put on the scale of an archive; a scorer itself."""

    scorer: Scorer
    map: ScoreMap
    threshold: float = 0.5

    def __getattr__(self, name: str) -> Any:
        """Return what else ``scorer_info`` wants to know, as the scorer has it."""
        return getattr(self.scorer, name)

    @property
    def name(self) -> str:
        """The scorer's name, ``+map``."""
        return f"{self.scorer.name}+map"

    @property
    def spec(self) -> str:
        """The name as the user gave it, ``+map``."""
        return f"{getattr(self.scorer, 'spec', self.scorer.name)}+map"

    @property
    def id(self) -> str:
        """The scorer's id, ``+map#hash12``."""
        return f"{self.scorer.id}+map#{self.map.hash}"

    @property
    def languages(self) -> frozenset[str]:
        """The languages of the scorer that the map has."""
        return self.scorer.languages & frozenset(self.map.functions)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the scorer's scores depend on, and the map."""
        return {**getattr(self.scorer, "settings", {}), "map": self.map.hash}

    @property
    def uses_language(self) -> bool:
        """A map is of one language."""
        return True

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:
        """Return one mapped score a text; what the scorer says stands beside it."""
        found = self.scorer.score(texts, language)
        values = self.put_on_scale([each.value for each in found], language)
        return [
            ToxicityScore(value, {**each.attributes, "unmapped": each.value}, each.reason)
            if each.value is not None
            else each
            for value, each in zip(values, found, strict=True)
        ]

    def put_on_scale(self, values: Scores, language: str) -> list[float | None]:
        """Return the scorer's values mapped; raises ``DetoxBenchError`` for another language."""
        code = language_row(language).code
        if code not in self.map.functions:
            raise DetoxBenchError(
                f"The map has no language {code!r}; it has {', '.join(sorted(self.map.functions))}."
                " Fit it on an archive with that language, or score without --map."
            )
        known = [value for value in values if value is not None]
        mapped = iter(self.map.functions[code](known))
        return [None if value is None else next(mapped) for value in values]


def mapped(scorer: Scorer, file: Path) -> MappedScorer:
    """Return ``scorer`` with the map in ``file``.

    Raises ``BadData`` for a file that is no map, ``DetoxBenchError`` for another scorer's.
    """
    found = read_map(file)
    if found.scorer != scorer.id:
        raise DetoxBenchError(
            f"{file} maps the scores of {found.scorer}, not of {scorer.id}. Fit one for it: "
            "detox-bench compare-scorers --archive."
        )
    return MappedScorer(scorer, found)


def fit_map(archive: Sequence[ArchivedScore], scorer: Scorer) -> ScoreMap:
    """Fit a map on half of the texts of each language, and measure its error on the other half.

    A text's half is by its digest, so that copies are in one. Raises ``DetoxBenchError`` where no
    language has ``FEWEST_TEXTS`` scored texts.
    """
    by_language: dict[str, list[ArchivedScore]] = defaultdict(list)
    for each in dict.fromkeys(archive):
        by_language[each.language].append(each)
    functions, errors = {}, {}
    with ScoreCache() as cache:
        for code, rows in sorted(by_language.items()):
            texts = [row.text for row in rows]
            scores = [each.value for each in score_texts(texts, code, scorer, cache=cache)]
            if found := _fit(rows, scores):
                functions[code], error = found
                errors[code] = error_json(error)
    if not functions:
        counts = ", ".join(f"{code} {len(rows)}" for code, rows in sorted(by_language.items()))
        raise DetoxBenchError(
            f"A map needs {FEWEST_TEXTS} scored texts of a language; the archive has "
            f"{counts or 'none'}. Give a larger --archive."
        )
    return ScoreMap(scorer.id, functions, errors)


def write_map(file: Path, found: ScoreMap) -> None:
    """Write a map; raises ``BadRunFolder`` where it cannot be."""
    languages = {
        code: {"x": function.x, "y": function.y, **found.errors[code]}
        for code, function in found.functions.items()
    }
    write_json(file, {"map": "isotonic", "scorer": found.scorer, "languages": languages})


def read_map(file: Path) -> ScoreMap:
    """Return the map in ``file``; raises ``BadData`` for a file that is none."""
    try:
        stored = json.loads(file.read_text("utf-8"))
        functions = {code: _function(each) for code, each in stored["languages"].items()}
        return ScoreMap(str(stored["scorer"]), functions, stored["languages"])
    except OSError as error:
        raise BadData(f"The map {file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(
            f"{file} is not a map of scores ({type(error).__name__}: {error}). Make one with "
            "detox-bench compare-scorers --archive FILE --map MAP."
        ) from error


def error_json(error: MapError) -> dict[str, Any]:
    """Return an error as a JSON object; bounds that do not exist are null."""
    return {
        name: [None if bound != bound else bound for bound in value]
        if isinstance(value, tuple)
        else value
        for name, value in error._asdict().items()
    }


def _fit(rows: Sequence[ArchivedScore], scores: Scores) -> tuple[Isotonic, MapError] | None:
    """Return the function fitted on one half and its error on the other; None for too few."""
    known = [(row, score) for row, score in zip(rows, scores, strict=True) if score is not None]
    halves: tuple[list[tuple[float, float]], ...] = ([], [])
    for row, score in known:
        halves[int(digest(row.text), 16) % 2].append((score, row.score))
    if len(known) < FEWEST_TEXTS or not all(halves):
        return None
    function = fit_isotonic(*zip(*halves[0], strict=True))
    ours, theirs = zip(*halves[1], strict=True)
    apart = [abs(a - b) for a, b in zip(function(ours), theirs, strict=True)]
    unmapped = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    squares = mean_interval([each * each for each in apart])
    error = MapError(
        len(halves[0]),
        len(halves[1]),
        len(rows) - len(known),
        mean_interval(apart),
        Interval(*(max(0.0, bound) ** 0.5 if bound == bound else bound for bound in squares)),
        mean_interval(unmapped),
    )
    return function, error


def _function(stored: Mapping[str, Any]) -> Isotonic:
    """Return a stored function; raises ``ValueError`` for one that falls or leaves [0, 1]."""
    x, y = (tuple(map(float, stored[name])) for name in ("x", "y"))
    rising = all(a <= b for side in (x, y) for a, b in pairwise(side))
    if not x or len(x) != len(y) or not rising or not 0 <= y[0] <= y[-1] <= 1:
        raise ValueError("its points do not rise from 0 to 1")
    return Isotonic(x, y)
