"""The scorer ``ensemble:a+b``: the mean or the maximum of several scorers, language by language.

In a language those members score that declare it, or that are validated in it; a member for which
nobody declared any language scores in all. So the ensemble covers what any of its members covers.
Where no member does, a text is unscored. Members take their scores from the cache under their own
ids, and share what was scored before.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from detox_bench.ensemble_members import Member, make_members, member_options, split_members
from detox_bench.errors import DetoxBenchError, ScorerUnavailable, unknown_name
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import BATCH_SIZE
from detox_bench.scorers.options import read_options
from detox_bench.scorers.protocol import Scorer
from detox_bench.scorers.table import load_scorer
from detox_bench.types import ToxicityScore

#: How the scores of one text become one.
AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {"max": max, "mean": fmean}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleOptions:
    """Options of an ensemble.

    ``aggregate`` is a name in ``AGGREGATES``. ``partial`` takes the others' where a member leaves a
    text unscored; without it the text is unscored. ``calibration`` are files of
    ``detox_bench.score_maps``, one a member: they put its scores on one scale with the others'.
    Options of a member stand behind its number (from 1) or the beginning of its name, and a dot:
    ``2.device`` or ``detoxify.checkpoint``.
    """

    aggregate: str = "mean"
    partial: bool = False
    calibration: frozenset[str] = frozenset()
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class EnsembleScorer:
    """Scores by its members' scores, which are its attributes, by name."""

    spec: str
    members: tuple[Member, ...]
    options: EnsembleOptions
    id: str = field(init=False)

    def __post_init__(self) -> None:
        covers = [each.covers and sorted(each.covers) for each in self.members]
        content = json.dumps([self.settings, covers], default=list)
        hashed = hashlib.sha256(content.encode()).hexdigest()[:12]
        object.__setattr__(self, "id", f"{self.name}@{self.version}#{hashed}")

    @property
    def name(self) -> str:
        """``ensemble:`` and the names of the members."""
        return f"ensemble:{'+'.join(each.scorer.name for each in self.members)}"

    @property
    def version(self) -> str:
        """Whether the members' scores are on one scale."""
        return "calibrated" if self.options.calibration else "uncalibrated"

    @property
    def languages(self) -> frozenset[str]:
        """The languages that any member covers."""
        return frozenset[str]().union(*(each.covers or () for each in self.members))

    @property
    def threshold(self) -> float:
        """The score from which on a text is toxic."""
        return self.options.threshold

    @property
    def texts_per_call(self) -> int:
        """As many as the member takes that takes the fewest."""
        return min(getattr(each.scorer, "texts_per_call", BATCH_SIZE) for each in self.members)

    @property
    def libraries(self) -> tuple[str, ...]:
        """The packages that change a member's score."""
        found = [getattr(each.scorer, "libraries", ()) for each in self.members]
        return tuple(sorted({name for names in found for name in names}))

    @property
    def truncated(self) -> int:
        """How many texts the members have cut so far, together."""
        return sum(int(getattr(each.scorer, "truncated", 0)) for each in self.members)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the score depends on."""
        return {
            "aggregate": self.options.aggregate,
            "partial": self.options.partial,
            "members": [each.scorer.id for each in self.members],
            "maps": [each.mapped.map.hash if each.mapped else None for each in self.members],
        }

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:
        """Return one score a text, in the order of ``texts``."""
        asked = [each for each in self.members if each.covers is None or language in each.covers]
        if not asked or not texts:
            reason = f"no member of the ensemble is made for {language!r}"
            return [ToxicityScore(None, reason=reason)] * len(texts)
        with ScoreCache() as cache:
            found = [self._ask(each, texts, language, cache) for each in asked]
        return [self._combined(asked, scores) for scores in zip(*found, strict=True)]

    def _ask(
        self, member: Member, texts: Sequence[str], language: str, cache: ScoreCache
    ) -> list[ToxicityScore]:
        """Return a member's scores on the scale of its map, from the cache where it has them."""
        scorer = member.scorer
        of_language = language if getattr(scorer, "uses_language", True) else None
        known = cache.get(scorer.id, of_language, texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        scores = self._new_scores(scorer, missing, language) if missing else []
        made = dict(zip(missing, scores, strict=True))
        cache.put(scorer.id, of_language, made)
        by_text = known | made
        found = [by_text[text] for text in texts]
        if member.mapped is None:
            return found
        values = member.mapped.put_on_scale([each.value for each in found], language)
        return [
            ToxicityScore(value, each.attributes, each.reason)
            for value, each in zip(values, found, strict=True)
        ]

    def _new_scores(
        self, scorer: Scorer, texts: Sequence[str], language: str
    ) -> list[ToxicityScore]:
        """Return what a member says; what it raises goes to the driver, which halves the batch.

        Only for a single text that the others may score alone it is turned into "unscored".
        """
        try:
            return [_checked(each) for each in scorer.score(texts, language)]
        except DetoxBenchError:
            raise
        except Exception as error:
            if len(texts) > 1 or not self.options.partial:
                raise
            return [ToxicityScore(None, reason=f"{type(error).__name__}: {error}"[:200])]

    def _combined(
        self, members: Sequence[Member], scores: Sequence[ToxicityScore]
    ) -> ToxicityScore:
        """Return the one score of a text from those of the members asked."""
        by_name = {each.scorer.name: score for each, score in zip(members, scores, strict=True)}
        known = {name: each.value for name, each in by_name.items() if each.value is not None}
        if not known or (len(known) < len(by_name) and not self.options.partial):
            name = next(name for name in by_name if name not in known)
            return ToxicityScore(None, known, f"{name}: {by_name[name].reason or 'unscored'}")
        # With a reason it is not cached: the member may answer next time.
        missing = [name for name in by_name if name not in known]
        reason = f"without {', '.join(missing)}" if missing else None
        return ToxicityScore(
            AGGREGATES[self.options.aggregate](list(known.values())), known, reason
        )


def load_ensemble(members: str, **options: Any) -> EnsembleScorer:
    """Return the ensemble of the scorers in ``members``, with ``+`` between them.

    ``options`` are the fields of ``EnsembleOptions``, and those of the members.

    Raises ``ScorerUnavailable`` for fewer than two members or the same one twice, ``UnknownName``
    and ``DetoxBenchError`` for an option that cannot be.
    """
    own = {name: value for name, value in options.items() if "." not in name}
    chosen = read_options(EnsembleOptions, "ensemble", own)
    if chosen.aggregate not in AGGREGATES:
        raise unknown_name("aggregate", chosen.aggregate, AGGREGATES)
    specs = split_members(members)
    given = member_options(specs, {k: v for k, v in options.items() if "." in k})
    scorers = [load_scorer(spec, **each) for spec, each in zip(specs, given, strict=True)]
    names = [each.name for each in scorers]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ScorerUnavailable(
            f"ensemble:{members} needs two different scorers or more; it has {', '.join(names)}. "
            "Put a + between their names: ensemble:ngram+detoxify:multilingual."
        )
    return EnsembleScorer(f"ensemble:{members}", make_members(scorers, chosen.calibration), chosen)


def _checked(score: ToxicityScore) -> ToxicityScore:
    """Return ``score``, unscored if its value is no number in [0, 1]: that is not to be cached."""
    if score.value is None or 0.0 <= score.value <= 1.0:
        return score
    return ToxicityScore(None, reason=f"the scorer gave {score.value}, which is not in [0, 1]")
