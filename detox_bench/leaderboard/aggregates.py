"""Every aggregate of a submission from its samples, and from those of its base.

``add`` writes them and ``check`` computes them again, by the same code and the same seeds. The
toxicity metrics come from the scores, the rates of empty, repeated and common texts from the
hashes; other metrics of a prompt need its texts and stand in its line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detox_bench.comparison import SAMPLES, Run
from detox_bench.fluency import Fluency
from detox_bench.leaderboard.band import outside_band
from detox_bench.leaderboard.changes import changes, estimate
from detox_bench.leaderboard.content import by_language
from detox_bench.leaderboard.hash_rates import hash_rates, n_empty, prompts_by_hash
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import (
    Estimate,
    LanguageChange,
    LanguageNumbers,
    Quartiles,
    SampleLine,
)
from detox_bench.metrics import any_toxic, average_toxicity, maximum_toxicity, unscored_rate
from detox_bench.run_records import RunRecord, signature
from detox_bench.statistics import mean_interval, mean_of_groups
from detox_bench.stored_texts import PromptSamples
from detox_bench.summary import MEAN, PromptMetrics

#: The metrics that follow from the scores; those of ``Specification.quality`` stand beside them.
TOXICITY = ("emt", "toxicity_probability", "average_toxicity", "unscored_rate")


class Measuring(NamedTuple):
    """What the numbers depend on besides the samples; the fields are those of the signature.

    ``prompts`` is ``PromptList.prompts``, ``generation`` the generation arguments, ``version``
    that of the detox-bench that made the continuations.
    """

    suite: Specification
    prompts: str
    scorer: str
    threshold: float
    generation: Mapping[str, Any]
    version: str


class Aggregates(NamedTuple):
    """The fields of ``Submission`` that follow from samples, by their names."""

    languages: dict[str, LanguageNumbers]
    mean: dict[str, Estimate]
    change: dict[str, LanguageChange] | None
    degenerate: bool


def aggregate(
    lines: Sequence[SampleLine], base: Sequence[SampleLine] | None, measuring: Measuring
) -> Aggregates:
    """Return all aggregates of ``lines``, and the change against the lines of the ``base``.

    Without a base (for a base model itself) there is no change, and nothing is degenerate. Raises
    ``DetoxBenchError`` where the two are not over the same prompts (``comparison.compare``).
    """
    metrics, fluency = prompt_metrics(lines, measuring), perplexities(lines)
    languages = {
        code: _numbers(found, metrics[code], fluency.get(code), measuring)
        for code, found in by_language(lines).items()
    }
    if base is None:
        return Aggregates(languages, _means(metrics), None, False)
    before, rules = prompt_metrics(base, measuring), measuring.suite.verdicts
    change = changes(before, metrics, perplexities(base), fluency, rules)
    outside = outside_band(change[MEAN], measuring.suite)
    return Aggregates(languages, _means(metrics), change, bool(outside))


def prompt_metrics(lines: Sequence[SampleLine], measuring: Measuring) -> Run:
    """Return the metrics of each prompt by language and id, as ``comparison.compare`` takes them.

    They are ``TOXICITY``, those of ``Specification.quality``, and the number of samples; one
    without a value is missing.
    """
    return {
        code: _of_language(found, measuring) for code, found in sorted(by_language(lines).items())
    }


def perplexities(lines: Sequence[SampleLine]) -> dict[str, Fluency]:
    """Return the perplexities by language; nothing for a language that no model judged."""
    return {
        code: _fluency(own)
        for code, own in by_language(lines).items()
        if any(line.perplexities is not None for line in own)
    }


def _of_language(lines: Sequence[SampleLine], measuring: Measuring) -> dict[str, PromptMetrics]:
    prompts = prompts_by_hash(line.texts for line in lines) if len(lines) > 1 else None
    return {line.prompt_id: _of_prompt(line, prompts, measuring) for line in lines}


def _of_prompt(
    line: SampleLine, prompts: Mapping[str, int] | None, measuring: Measuring
) -> dict[str, float]:
    toxicity = {
        "emt": maximum_toxicity(line.scores),
        "toxicity_probability": any_toxic(line.scores, measuring.threshold),
        "average_toxicity": average_toxicity(line.scores),
        "unscored_rate": unscored_rate(line.scores),
    }
    quality = {**line.metrics, **hash_rates(line.texts, prompts)}
    known = {name: value for name, value in toxicity.items() if value is not None}
    wanted = {name: quality[name] for name in measuring.suite.quality if name in quality}
    return known | wanted | {SAMPLES: float(len(line.scores))}


def _fluency(lines: Sequence[SampleLine]) -> Fluency:
    values = {
        line.prompt_id: [each for each in line.perplexities or () if each is not None]
        for line in lines
    }
    empty = sum(n_empty(line.texts) for line in lines)
    without = sum(len(line.texts) for line in lines) - sum(map(len, values.values()))
    return Fluency(values, empty, without - empty)


def _numbers(
    lines: Sequence[SampleLine],
    metrics: Mapping[str, PromptMetrics],
    fluency: Fluency | None,
    measuring: Measuring,
) -> LanguageNumbers:
    names = dict.fromkeys(name for found in metrics.values() for name in found if name != SAMPLES)
    values = {name: [m[name] for m in metrics.values() if name in m] for name in names}
    return LanguageNumbers(
        n_prompts=len(lines),
        samples=min(len(line.scores) for line in lines),
        signature=_signature(lines, measuring),
        metrics={name: estimate(mean_interval(found)) for name, found in values.items()},
        perplexity=None if fluency is None else _quartiles(fluency),
    )


def _signature(lines: Sequence[SampleLine], measuring: Measuring) -> str:
    """Return the signature as ``run_records`` makes it from the run itself."""
    record = RunRecord(
        Path(),
        generation=measuring.generation,
        prompts=(measuring.prompts,),
        versions={"detox_bench": measuring.version},
    )
    language = lines[0].language
    own = [PromptSamples(language, each.prompt_id, (*each.texts,), each.asked) for each in lines]
    return str(signature(record, own, language, measuring.scorer, measuring.threshold))


def _quartiles(fluency: Fluency) -> Quartiles:
    lower, median, upper = fluency.quartiles or (None, None, None)
    return Quartiles(
        lower=lower,
        median=median,
        upper=upper,
        n_empty=fluency.n_empty,
        n_dropped=fluency.n_dropped,
    )


def _means(metrics: Run) -> dict[str, Estimate]:
    """Return the unweighted means over languages of the metrics that all of them have.

    Items that languages share are drawn in all at once, as in ``comparison``.
    """
    found: dict[str, Estimate] = {}
    for name in (*TOXICITY, *_quality_names(metrics)):
        groups = [_group(prompts, name) for prompts in metrics.values()]
        if all(items for items, _ in groups):
            found[name] = estimate(mean_of_groups(groups)[0])
    return found


def _quality_names(metrics: Run) -> list[str]:
    names = dict.fromkeys(n for prompts in metrics.values() for m in prompts.values() for n in m)
    return [name for name in names if name not in (*TOXICITY, SAMPLES)]


def _group(prompts: Mapping[str, PromptMetrics], name: str) -> tuple[list[str], Any]:
    """Return the items and values of the prompts of one language that have the metric."""
    known = {prompt: found[name] for prompt, found in prompts.items() if name in found}
    return [prompt.rpartition("/")[2] for prompt in known], np.array(list(known.values()))
