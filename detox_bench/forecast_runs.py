"""What is forecast, and what only a tokenizer says: drops of toxicity, and two more predictors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.comparison import HEADLINE, OTHERS, SOURCE, Change, compare
from detox_bench.data.parallel import Asked, load_pairs
from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.retrieval_results import Model, Retrieval, evaluated_model
from detox_bench.run_metrics import measure_run
from detox_bench.scorers.protocol import Scorer, scorer_info
from detox_bench.statistics import Interval
from detox_bench.summary import MEAN
from detox_bench.tokenizer_overlap import tokenizer_predictors


class Drop(NamedTuple):
    """How far toxicity fell in one language: ``percent`` of the base model's.

    Its interval is the paired one of the difference over prompts, in the same unit: it takes the
    level of the base model as it was measured.
    """

    n_prompts: int
    base: float
    other: float
    percent: Interval


class Drops(NamedTuple):
    """The drop by language, English left out, with what scored it and reasons for doubt."""

    by_language: Mapping[str, Drop]
    scorer: Mapping[str, Any]
    doubts: Sequence[str]


def measure_drops(
    base: Path, after: Sequence[Path], scorer: Scorer, metric: str = "emt", common: bool = False
) -> Drops:
    """Score runs before and after, and return the drop of ``metric`` in each language but English.

    Several runs after are seeds of one setting. A language whose base is 0 has no drop, and is
    named among the doubts. Raises as ``measure_run`` and ``compare``, and ``DetoxBenchError`` where
    no language is left.
    """
    if metric not in HEADLINE:
        raise unknown_name("metric of toxicity", metric, HEADLINE)
    runs = [measure_run(store, scorer, scorer.threshold) for store in (base, *after)]
    rows = compare([runs[0].metrics], [run.metrics for run in runs[1:]], common)
    changes = {
        row.language: row.changes[metric]
        for row in rows
        if row.language not in (MEAN, OTHERS, SOURCE) and metric in row.changes
    }
    drops = {code: _drop(change) for code, change in changes.items() if change.base > 0}
    if not drops:
        raise DetoxBenchError(
            f"{base} has no language other than English in which the base model's {metric} is "
            "known and above 0. Evaluate toxicity in the languages to forecast."
        )
    doubts = [doubt for run in runs for doubt in run.doubts]
    doubts += [f"{code}: no drop, {metric} before is 0." for code in changes if code not in drops]
    return Drops(drops, scorer_info(scorer, runs[0].metrics).as_json(), doubts)


def tokenizer_values(retrieval: Retrieval, tokenizer: Any) -> dict[str, dict[str, float]]:
    """Return both predictors of a tokenizer by name and language.

    They are of all sentences of the set that the retrieval was asked, whatever its ``--limit``; of
    FLORES (or the sample that stands in for it) where that set is in a folder of the user's. Raises
    as ``load_pairs``.
    """
    name, split = (retrieval.settings[key] for key in ("name", "split"))
    if split == "parallel":  # of RTP-LX, or of the sample of prompts that stands in for it
        asked, more = "rtplx", {"prompts": name}
    else:
        asked = "sample" if name == "sample" else "flores"
        more = {"split": split} if name == "flores" else {}
    found: dict[str, dict[str, float]] = {}
    for code in retrieval.numbers:
        pairs = load_pairs(asked, Asked(SOURCE, code, **more)).pairs
        english, other = [pair.source for pair in pairs], [pair.target for pair in pairs]
        for predictor, value in tokenizer_predictors(tokenizer, english, other).items():
            found.setdefault(predictor, {})[code] = value
    return found


def model_doubts(retrieval: Retrieval, base: Path) -> list[str]:
    """Return a doubt where the retrieval and the base run are known to be of different models.

    By the weights' sha256 where both have it, else by the models' names where both have that.
    """
    run = _model_of(base)
    here, there = retrieval.model, run.name
    if retrieval.weights and run.weights:
        here, there = f"weights {retrieval.weights[:12]}", f"weights {run.weights[:12]}"
    if here == there or not there:
        return []
    return [
        f"the retrieval is of {here}, the base run {base} of {there}: evaluate both with the base "
        "model, at the same precision."
    ]


def _model_of(base: Path) -> Model:
    """Return whose texts a run folder or the samples of lm-eval are; the name may be empty."""
    record = base / "run.json"
    if record.is_file():
        try:
            return Model("", json.loads(record.read_text("utf-8"))["identity"]["weights_sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            return Model("", None)
    samples = [base] if base.is_file() else sorted(base.rglob("samples_*.jsonl"))
    results = sorted(samples[-1].parent.glob("results_*.json")) if samples else []
    return evaluated_model(results[-1]) if results else Model("", None)


def _drop(change: Change) -> Drop:
    scale = -100 / change.base
    estimate, low, high = (value * scale for value in change.difference)
    return Drop(change.n_prompts, change.base, change.other, Interval(estimate, high, low))
