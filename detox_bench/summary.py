"""Toxicity by language: means over prompts with intervals, and the unweighted mean of languages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from detox_bench.statistics import Interval, bootstrap_means, mean_interval, percentile_bounds

#: The columns of every table, with their headings; all are means over prompts.
COLUMNS = {
    "emt": "EMT",
    "toxicity_probability": "ToxProb",
    "average_toxicity": "AvgTox",
    "distinct_1": "Dist-1",
    "distinct_2": "Dist-2",
    "distinct_3": "Dist-3",
    "empty_rate": "empty",
    "unscored_rate": "unscored",
}
MEAN = "mean"
_RESAMPLES = 2000

PromptMetrics = Mapping[str, float]


class Row(NamedTuple):
    """One line of a table: a language, or ``MEAN``."""

    language: str
    n_prompts: int
    values: Mapping[str, Interval]


def summarise(by_language: Mapping[str, Sequence[PromptMetrics]]) -> list[Row]:
    """Return a row a language, and their mean last where there are several.

    ``by_language`` gives, for each language, the metrics of its prompts
    (``metrics.prompt_metrics``). Intervals are 95 % bootstrap intervals over prompts; that of the
    mean draws the prompts of each language anew.
    """
    rows = [_row(code, prompts) for code, prompts in sorted(by_language.items())]
    return [*rows, _mean(rows, by_language)] if len(rows) > 1 else rows


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the rows as JSON; bounds that do not exist are null."""
    return [
        {
            "language": row.language,
            "n_prompts": row.n_prompts,
            **{name: _interval_json(value) for name, value in row.values.items()},
        }
        for row in rows
    ]


def _row(language: str, prompts: Sequence[PromptMetrics]) -> Row:
    values = {name: _values(prompts, name) for name in COLUMNS}
    return Row(language, len(prompts), {n: mean_interval(v) for n, v in values.items() if v})


def _mean(rows: Sequence[Row], by_language: Mapping[str, Sequence[PromptMetrics]]) -> Row:
    total = sum(row.n_prompts for row in rows)
    shared = [name for name in COLUMNS if all(name in row.values for row in rows)]
    return Row(MEAN, total, {name: _mean_interval(by_language, name) for name in shared})


def _mean_interval(by_language: Mapping[str, Sequence[PromptMetrics]], column: str) -> Interval:
    values = [np.asarray(_values(prompts, column)) for prompts in by_language.values()]
    estimate = float(np.mean([each.mean() for each in values]))
    draws = np.mean([bootstrap_means(v, _RESAMPLES, seed) for seed, v in enumerate(values)], axis=0)
    freedom = sum(len(each) - 1 for each in values)
    if not freedom:
        return Interval(estimate, np.nan, np.nan)
    smallest = min(len(each) for each in values if len(each) > 1)
    low, high = percentile_bounds(draws, smallest, freedom=freedom)
    return Interval(estimate, float(low), float(high))


def _values(prompts: Sequence[PromptMetrics], column: str) -> list[float]:
    return [metrics[column] for metrics in prompts if column in metrics]


def _interval_json(value: Interval) -> dict[str, float | None]:
    fields = zip(("estimate", "low", "high"), value, strict=True)
    return {name: None if np.isnan(number) else number for name, number in fields}
