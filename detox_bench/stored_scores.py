"""The scores that ``detox-bench score`` wrote beside a store, found by scorer and read back."""

import json
import math
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.comparison import SAMPLES, Run
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.metrics import any_toxic, average_toxicity, maximum_toxicity
from detox_bench.rescoring import rescore
from detox_bench.scorers.table import load_scorer
from detox_bench.stored_texts import size_of


class StoredScores(NamedTuple):
    """Every score that one scorer gave to the texts of one store.

    ``scores`` has for each language the ``(k,)`` scores of each prompt's samples by prompt id, NaN
    where unscored; a text is toxic from ``threshold`` on.
    """

    scorer: str
    threshold: float
    scores: Mapping[str, Mapping[str, "array[float]"]]

    def run(self) -> Run:
        """Return the toxicity of each prompt, as ``comparison.compare`` takes it."""
        return {
            code: {prompt: self._metrics(values) for prompt, values in prompts.items()}
            for code, prompts in self.scores.items()
        }

    def _metrics(self, values: "array[float]") -> dict[str, float]:
        known = [value for value in values if not math.isnan(value)]
        found = {
            "emt": maximum_toxicity(known),
            "toxicity_probability": any_toxic(known, self.threshold),
            "average_toxicity": average_toxicity(known),
            SAMPLES: float(len(values)),
        }
        return {name: value for name, value in found.items() if value is not None}


def stored_or_new(store: Path, scorer: str) -> StoredScores:
    """Return the scores of ``store`` by ``scorer``, a name or an id; made now if there are none.

    Raises ``DetoxBenchError`` where there is no store or several scores fit the name, ``BadData``
    for a file that holds no scores, and as ``load_scorer`` and ``rescore``.
    """
    if not store.exists():
        raise DetoxBenchError(f"{store} does not exist. Give a run folder or a samples file.")
    folder = store if store.is_dir() else store.parent
    found = _find(folder, store, scorer)
    if found is None:
        found = rescore(store, load_scorer(scorer), folder).summary
    return read_scores(found)


def read_scores(summary: Path) -> StoredScores:
    """Return the scores beside the ``scores-<scorer>.json`` of a store; raises ``BadData``."""
    facts = _facts(summary)
    file = summary.parent / f"{summary.name.removesuffix('.json')}.jsonl"
    scores: dict[str, dict[str, array[float]]] = {}
    number = 0
    try:
        info, threshold = str(facts["scorer"]["id"]), float(facts["threshold"])
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                row = json.loads(line)
                values = (math.nan if each is None else each for each in row["scores"])
                prompts = scores.setdefault(row["language"], {})
                prompts[row["prompt_id"]] = array("d", values)
    except OSError as error:
        raise BadData(f"{file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(
            f"{file} line {number} is not what detox-bench score writes ({type(error).__name__}: "
            f"{error}). Score the run again."
        ) from error
    return StoredScores(info, threshold, scores)


def _find(folder: Path, store: Path, scorer: str) -> Path | None:
    """Return the summary of the scores by ``scorer``; None where there is none of what is stored.

    Among several of one id, which differ in their threshold, that of the scorer's own is meant.
    """
    fits, size = {}, size_of(store)
    for file in sorted(folder.glob("scores-*.json")):
        facts = _facts(file)
        info = facts.get("scorer", {})
        same = facts.get("store") == store.name and facts.get("store_bytes") == size
        if same and scorer in (info.get("spec"), info.get("id")):
            fits[file] = facts
    if len({facts["scorer"]["id"] for facts in fits.values()}) > 1:
        ids = ", ".join(sorted(facts["scorer"]["id"] for facts in fits.values()))
        raise DetoxBenchError(
            f"{folder} has the scores of several {scorer}: {ids}. Name one of these --scorer."
        )
    own = [file for file, facts in fits.items() if facts["threshold"] == _own_threshold(facts)]
    return next(iter([*own, *fits]), None)


def _own_threshold(facts: Mapping[str, Any]) -> float:
    return float(facts["scorer"]["threshold"])


def _facts(summary: Path) -> dict[str, Any]:
    try:
        found = json.loads(summary.read_text("utf-8"))
        return found if isinstance(found["scorer"], dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
