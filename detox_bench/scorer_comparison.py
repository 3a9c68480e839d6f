"""Scorers compared on stored runs: agreement by language, of models, and of conclusions.

Runs are put side by side: a prompt's texts are those of all runs, and intervals draw prompts.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from detox_bench.comparison import HEADLINE, Change, compare, interval_json
from detox_bench.correlation import Correlation, spearman
from detox_bench.errors import DetoxBenchError
from detox_bench.scorer_agreement import Agreement, Scored, agreement, disagreements, kendall
from detox_bench.statistics import Interval
from detox_bench.stored_scores import StoredScores

#: A correlation of models needs so many.
FEWEST_MODELS = 3

#: What a comparison of a run with its base concludes.
LOWER, HIGHER, UNCLEAR = "lower", "higher", "unclear"


class TextKey(NamedTuple):
    """Which text: the number of its run, its language, its prompt and the number of the sample."""

    run: int
    language: str
    prompt_id: str
    sample: int


class DisputedText(NamedTuple):
    """A text that two scorers rank differently: both scores, and ranks as shares from 0 to 1."""

    key: TextKey
    scores: tuple[float, float]
    ranks: tuple[float, float]


class ModelAgreement(NamedTuple):
    """How alike two scorers order runs by their EMT: Spearman's rho, and Kendall's tau-b."""

    spearman: Correlation
    kendall: float


class PairComparison(NamedTuple):
    """Two scorers: agreement, order of models, and disputed texts of each language."""

    scorers: tuple[str, str]
    languages: Mapping[str, Agreement]
    models: Mapping[str, ModelAgreement]
    disputed: Mapping[str, Sequence[DisputedText]]


class Conclusion(NamedTuple):
    """What one scorer says of a run against its base in one language."""

    word: str
    changes: Mapping[str, Change]


def compare_scorers(runs: Sequence[Sequence[StoredScores]], most: int = 5) -> list[PairComparison]:
    """Compare every two scorers.

    Args:
        runs: The scores of each run, by the same scorers in the same order.
        most: How many disputed texts of a language are named.

    Raises ``DetoxBenchError`` where two scorers' files are not of the same texts.
    """
    found = []
    for places in combinations(range(len(runs[0])), 2):
        pair = [(run[places[0]], run[places[1]]) for run in runs]
        codes = sorted({code for one, other in pair for code in {*one.scores, *other.scores}})
        thresholds = pair[0][0].threshold, pair[0][1].threshold
        languages, disputed = {}, {}
        for code in tqdm(codes, "Comparing", unit=" languages", disable=None):
            scored, keys = _texts(pair, code)
            agreed = agreement(scored, thresholds)
            if agreed is not None:
                languages[code] = agreed
                disputed[code] = [
                    DisputedText(keys[each.place], each.scores, each.ranks)
                    for each in disagreements(scored, most)
                ]
        ids = pair[0][0].scorer, pair[0][1].scorer
        found.append(PairComparison(ids, languages, _models(pair, codes), disputed))
    return found


def conclusions(base: StoredScores, run: StoredScores) -> dict[str, Conclusion]:
    """Return what a scorer concludes in each language, and in ``comparison.MEAN_ROWS``.

    "lower" where the 95 % intervals of EMT, ToxProb and AvgTox all lie below zero, "higher" where
    one lies above, else "unclear". Raises as ``compare``.
    """
    rows = compare([base.run()], [run.run()])
    return {row.language: Conclusion(_word(row.changes), row.changes) for row in rows}


def holds(by_scorer: Iterable[Conclusion]) -> bool:
    """Return whether all scorers conclude the same."""
    return len({each.word for each in by_scorer}) == 1


def pair_json(found: PairComparison, runs: Sequence[str]) -> dict[str, Any]:
    """Return a pair of scorers as a JSON object; numbers that do not exist are null."""
    return {
        "scorers": found.scorers,
        "languages": {code: _plain(each) for code, each in found.languages.items()},
        "models": {code: _plain(each) for code, each in found.models.items()},
        "disagreements": [
            {
                "run": runs[each.key.run],
                **dict(list(each.key._asdict().items())[1:]),
                "scores": each.scores,
                "ranks": each.ranks,
            }
            for texts in found.disputed.values()
            for each in texts
        ],
    }


def conclusion_json(found: Conclusion) -> dict[str, Any]:
    """Return a conclusion as a JSON object, with the difference of each headline metric."""
    changes = {
        name: {"base": change.base, "run": change.other, **interval_json(change.difference)}
        for name, change in found.changes.items()
    }
    return {"conclusion": found.word, **changes}


def _texts(
    pair: Sequence[tuple[StoredScores, StoredScores]], code: str
) -> tuple[Scored, list[TextKey]]:
    """Return the scores of one language over all runs, and which text each is of."""
    sides: tuple[list[float], list[float]] = ([], [])
    keys: list[TextKey] = []
    for number, (one, other) in enumerate(pair):
        first, second = one.scores.get(code, {}), other.scores.get(code, {})
        for prompt in dict.fromkeys([*first, *second]):
            if len(first.get(prompt, ())) != len(second.get(prompt, ())):
                raise DetoxBenchError(
                    f"The scores of {one.scorer} and {other.scorer} are not of the same texts: "
                    f"{prompt} differs in {code}. The run has grown since; score it again."
                )
            sides[0].extend(first[prompt])
            sides[1].extend(second[prompt])
            keys += [TextKey(number, code, prompt, n) for n in range(len(first[prompt]))]
    numbers = {prompt: n for n, prompt in enumerate(dict.fromkeys(key.prompt_id for key in keys))}
    prompts = np.array([numbers[key.prompt_id] for key in keys], dtype=np.int64)
    return Scored(np.array(sides[0]), np.array(sides[1]), prompts), keys


def _models(
    pair: Sequence[tuple[StoredScores, StoredScores]], codes: Sequence[str]
) -> dict[str, ModelAgreement]:
    """Return how alike the scorers order the runs; nothing for fewer than ``FEWEST_MODELS``."""
    found = {}
    for code in codes if len(pair) >= FEWEST_MODELS else ():
        levels = [[_emt(each, code) for each in scorer] for scorer in zip(*pair, strict=True)]
        if not np.isnan(levels).any():
            found[code] = ModelAgreement(spearman(*levels), kendall(*levels))
    return found


def _emt(stored: StoredScores, code: str) -> float:
    """Return the expected maximum toxicity of a run in a language; NaN where nothing is scored."""
    highest = [
        np.nanmax(v) for v in stored.scores.get(code, {}).values() if not all(map(np.isnan, v))
    ]
    return float(np.mean(highest)) if highest else np.nan


def _word(changes: Mapping[str, Change]) -> str:
    headline = [changes[name] for name in HEADLINE if name in changes]
    if len(headline) == len(HEADLINE) and all(change.lower for change in headline):
        return LOWER
    return HIGHER if any(change.difference.low > 0 for change in headline) else UNCLEAR


def _plain(value: Any) -> Any:
    """Return named tuples as JSON objects; numbers that do not exist are null."""
    if isinstance(value, Interval):
        return interval_json(value)
    if hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    return None if isinstance(value, float) and np.isnan(value) else value
