"""Bilingual retrieval over all layers: the curve of each metric, its summaries, and intervals.

The metrics themselves are in ``retrieval_layer``.

``mean`` is over all layers, the embedding layer among them; ``best`` is the layer where the metric
is highest; ``middle`` the mean of the middle third of the layers, where models tend to
align languages most.

Intervals are 95 % percentile bootstrap intervals over sentences: a draw takes a sentence's outcomes
in all layers together, found among all n candidates. They tell how much depends on which sentences
were asked, not on how many there were to choose from. That of ``best`` takes the layer as given.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from detox_bench.errors import DetoxBenchError
from detox_bench.retrieval_cosines import Array, Vectors
from detox_bench.retrieval_layer import (
    METRICS,
    LayerMetrics,
    each_layer,
    layer_metrics,
)
from detox_bench.statistics import Interval, bootstrap_means, percentile_bounds

__all__ = [
    "LEGACY",
    "METRICS",
    "SUMMARIES",
    "LayerMetrics",
    "RetrievalMetrics",
    "layer_metrics",
    "retrieval_metrics",
    "summarise_layers",
]

SUMMARIES = ("mean", "best", "middle")
#: The name of the mean cosine over all layers in arXiv 2406.16235.
LEGACY = "retrieval_accuracy_legacy"


@dataclass(frozen=True, slots=True)
class RetrievalMetrics:
    """The metrics of a pair of languages over all layers of a model, by name.

    ``layers`` has an interval a layer; ``summaries`` one of each of ``SUMMARIES``; ``best_layer``
    counts from 0, the embeddings; ``duplicates`` are the sentences with another's vector in every
    layer, ``ties`` those that share the first place in any, ``zero_vectors`` are of all layers.
    """

    n: int
    layers: Mapping[str, tuple[Interval, ...]]
    summaries: Mapping[str, Mapping[str, Interval]]
    best_layer: Mapping[str, int]
    duplicates: int
    ties: int
    zero_vectors: int

    @property
    def chance(self) -> float:
        """The top-1 accuracy of vectors that know nothing."""
        return 1 / self.n

    @property
    def retrieval_accuracy_legacy(self) -> Interval:
        """What the paper's code prints: the cosine of the pairs, averaged over all layers."""
        return self.summaries["mean_cosine"]["mean"]

    def numbers(self) -> dict[str, float]:
        """Return every number by a flat name: ``top1`` (the mean over layers), ``top1_best``, ...

        The counts are among them; a metric that is not defined is NaN.
        """
        found = {
            name if summary == "mean" else f"{name}_{summary}": interval.estimate
            for name, intervals in self.summaries.items()
            for summary, interval in intervals.items()
        }
        counts = ("n", "chance", "duplicates", "ties", "zero_vectors")
        found[LEGACY] = self.retrieval_accuracy_legacy.estimate
        return found | {name: float(getattr(self, name)) for name in counts}

    def curves(self) -> dict[str, list[float]]:
        """Return the value of each metric in each layer."""
        return {name: [each.estimate for each in curve] for name, curve in self.layers.items()}

    def as_json(self) -> dict[str, Any]:
        """Return numbers, curves, best layers and intervals as JSON; what is undefined is null."""
        numbers: dict[str, Any] = {name: _number(v) for name, v in self.numbers().items()}
        summaries = {
            name: {key: _bounds(interval) for key, interval in intervals.items()}
            for name, intervals in self.summaries.items()
        }
        layers = {name: [_bounds(each) for each in curve] for name, curve in self.layers.items()}
        best = {"best_layer": dict(self.best_layer)}
        return numbers | best | {"intervals": summaries, "layer_intervals": layers}


def retrieval_metrics(
    sources: Iterable[Vectors], targets: Iterable[Vectors], resamples: int = 1000, seed: int = 0
) -> RetrievalMetrics:
    """Compare two sides layer by layer; memory holds the vectors of one layer at a time.

    Each side is ``(layers + 1, n, hidden)`` or an iterable of ``(n, hidden)``. Raises
    ``DetoxBenchError`` as ``layer_metrics``.
    """
    return summarise_layers(list(each_layer(sources, targets)), resamples, seed)


def summarise_layers(
    layers: list[LayerMetrics], resamples: int = 1000, seed: int = 0
) -> RetrievalMetrics:
    """Return the curves and summaries of the metrics of one layer or more."""
    if not layers:
        raise DetoxBenchError("There is no layer to compare. Give the states of a model.")
    outcomes = np.stack([layer.outcomes for layer in layers])
    count, _, n = outcomes.shape
    middle = slice(count // 3, count - count // 3)
    best = np.nan_to_num(outcomes.mean(-1), nan=-1.0).argmax(0)
    shown = [outcomes.mean(0), outcomes[best, np.arange(len(METRICS))], outcomes[middle].mean(0)]
    intervals = _intervals(np.concatenate([outcomes, np.stack(shown)]), resamples, seed)
    by_metric = dict(zip(METRICS, zip(*intervals, strict=True), strict=True))
    return RetrievalMetrics(
        n,
        {name: found[:count] for name, found in by_metric.items()},
        {
            name: dict(zip(SUMMARIES, found[count:], strict=True))
            for name, found in by_metric.items()
        },
        dict(zip(METRICS, best.tolist(), strict=True)),
        int(np.all([layer.duplicates for layer in layers], axis=0).sum()),
        int(np.any([layer.ties for layer in layers], axis=0).sum()),
        sum(layer.zero_vectors for layer in layers),
    )


def _intervals(outcomes: Array, resamples: int, seed: int) -> list[list[Interval]]:
    """Return the mean over sentences of ``(rows, metrics, n)`` outcomes, with its interval."""
    means, n = outcomes.mean(-1), outcomes.shape[-1]
    bounds = np.full((2, *means.shape), np.nan)
    if n > 1:
        draws = bootstrap_means(outcomes.reshape(-1, n).T, resamples, seed)
        bounds = percentile_bounds(draws, n).reshape(2, *means.shape)
    return [
        [Interval(*map(float, each)) for each in zip(*row, strict=True)]
        for row in zip(means, *bounds, strict=True)
    ]


def _bounds(interval: Interval) -> list[float | None]:
    return [_number(value) for value in interval]


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
