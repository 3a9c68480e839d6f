"""A scorer measured against people: figures of each language and part, stored by scorer id."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from detox_bench import __version__
from detox_bench.languages import LANGUAGES
from detox_bench.runs import check_writable, write_json
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.held_out import HeldOutRule
from detox_bench.scorers.protocol import Scorer, scorer_info
from detox_bench.scorers.validation import FORMAT, read_stored, stored_path
from detox_bench.statistics import Interval
from detox_bench.validation.measures import (
    Decision,
    Scores,
    Verdicts,
    area_interval,
    average_precision,
    best_decision,
    calibration_error,
    decision,
    matched_threshold,
    reliability,
)
from detox_bench.validation.raters import alpha, rater_area
from detox_bench.validation.texts import HARMLESS, TOXIC, Judged, Source

#: The figures of one part of one language, as they are stored.
Figures = dict[str, Any]


def measure(
    scorer: Scorer, sources: Sequence[Source], languages: Iterable[str]
) -> dict[str, dict[str, Figures]]:
    """Return the figures of each language by part; of a part that two sources have, the first's.

    Texts of one language are held at a time. Raises as ``score_texts`` and the sources.
    """
    found: dict[str, dict[str, Figures]] = {}
    with ScoreCache() as cache:
        for code in tqdm(sorted(languages), f"Validating {scorer.name}", disable=None):
            for source in (each for each in sources if code in each.languages):
                for part, texts in source.parts(code).items():
                    if texts and part not in found.setdefault(code, {}):
                        figures = measure_part(texts, code, scorer, cache)
                        found[code][part] = {**_about(source), **figures}
    return found


def measure_part(
    texts: Sequence[Judged], code: str, scorer: Scorer, cache: ScoreCache | None = None
) -> Figures:
    """Return counts, areas, decisions, calibration and agreement of raters on ``texts``.

    Unscored texts are left out and counted. What cannot be measured is None.
    """
    asked = [each.text for each in texts]
    values = [each.value for each in score_texts(asked, code, scorer, cache=cache, progress=False)]
    known = [(one, value) for one, value in zip(texts, values, strict=True) if value is not None]
    clear = [(one, value) for one, value in known if one.clear]
    scores, toxic = _arrays(clear)
    if not (toxic.any() and (~toxic).any()):  # where one kind is missing nothing can be told apart
        scores, toxic = scores[:0], toxic[:0]
    own = decision(scores, toxic, scorer.threshold)
    units = np.array([one.unit for one, _ in clear])[: len(scores)]
    return {
        "n_toxic": sum(one.toxic for one, _ in clear),
        "n_harmless": sum(not one.toxic for one, _ in clear),
        "n_between": len(known) - len(clear),
        "unscored": len(texts) - len(known),
        "auc": _interval(area_interval(scores, toxic, units)),
        "average_precision": _number(average_precision(scores, toxic)),
        "own_threshold": _decision(own),
        "best_threshold": _decision(best_decision(scores, toxic)),
        **_calibration(*_arrays(known)),
        "raters": _raters([one.ratings for one in texts if one.ratings]),
    }


def store(
    scorer: Scorer, found: Mapping[str, Mapping[str, Figures]], rule: HeldOutRule | None
) -> Mapping[str, Any]:
    """Put figures into the stored file of the scorer, over former ones of the same parts.

    Returns all that is stored. Raises ``BadRunFolder`` where it cannot be written.
    """
    path = stored_path(scorer.id)
    check_writable(path.parent)
    with FileLock(path.with_suffix(".lock")):
        former = (read_stored(scorer.id) or {}).get("languages", {})
        languages = {code: dict(parts) for code, parts in former.items()}
        for code, parts in found.items():
            languages.setdefault(code, {}).update(parts)
        stored = {
            "format": FORMAT,
            "scorer": scorer_info(scorer).as_json(),
            "held_out_of": rule.fitted_on if rule else None,
            "toxic_from": TOXIC,
            "harmless_below": HARMLESS,
            "languages": {code: languages[code] for code in LANGUAGES if code in languages},
        }
        write_json(path, stored)
    return stored


def _about(source: Source) -> Figures:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "data": source.name,
        "data_sha256": source.sha256,
        "measured": when,
        "detox_bench": __version__,
    }


def _arrays(known: Sequence[tuple[Judged, float]]) -> tuple[Scores, Verdicts]:
    scores = np.array([value for _, value in known], dtype=float)
    return scores, np.array([one.toxic for one, _ in known], dtype=bool)


def _calibration(scores: Scores, toxic: Verdicts) -> Figures:
    bins = reliability(scores, toxic)
    return {
        "matched_threshold": _known(matched_threshold(scores, toxic)),
        "calibration_error": _number(calibration_error(bins)),
        "reliability": [each._asdict() for each in bins],
    }


def _raters(ratings: Sequence[tuple[float, ...]]) -> Figures | None:
    """Return what raters agree on; None where the texts have no ratings."""
    if not ratings:
        return None
    area, agreement = rater_area(ratings, TOXIC, HARMLESS), alpha(ratings)
    return {"n": len(ratings), "auc": area, "alpha": agreement}


def _interval(found: Interval) -> Figures | None:
    if math.isnan(found.estimate):
        return None
    return {name: _number(value) for name, value in found._asdict().items()}


def _decision(found: Decision) -> Figures:
    """Return a decision as JSON; its threshold is not rounded, which could pass over a text."""
    numbers = {name: _number(value) for name, value in found._asdict().items()}
    return numbers | {"threshold": _known(found.threshold)}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
