"""Bilingual retrieval in one layer: does a sentence find its translation by cosine.

Vector i of one side belongs to vector i of the other. Each metric is a mean over sentences of what
was found for one of them:

- ``top1_source_to_target``, ``top1_target_to_source``: its translation is the nearest, by cosine,
  of all n; ``top1`` is the mean of both directions.
- ``mexa``: the pair is strictly the nearest of its row and of its column (Kargaran et al. 2024,
  arXiv 2410.05873).
- ``mrr``: one over the rank of its translation, mean of both directions.
- ``margin_accuracy``: as ``top1``, by the ratio of the cosine to the mean of those with the k = 4
  nearest neighbours of both (Artetxe and Schwenk 2019, arXiv 1811.01136). NaN where that mean is
  not positive, since the ratio then ranks nothing.
- ``mean_cosine``: the cosine of the pair. Nothing is retrieved. Its mean over all layers is what
  the released code of arXiv 2406.16235 calls retrieval accuracy: ``retrieval_accuracy_legacy``.

Where m candidates are equally near, the translation among them, they count as ordered by chance:
1/m for the first place, the mean of the reciprocal ranks for ``mrr``. So vectors that are all equal
score 1/n, the chance level, but 0 by ``mexa``. A vector of zeros has cosine 0 with all.

To add a metric, add a row to ``METRICS`` and compute its outcomes in ``_outcomes``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.errors import DetoxBenchError
from detox_bench.retrieval_cosines import (
    Array,
    Blocks,
    Vectors,
    cosines_of,
    neighbourhoods,
    unit,
)

METRICS = (
    *("top1_source_to_target", "top1_target_to_source", "top1"),
    *("mexa", "mrr", "margin_accuracy", "mean_cosine"),
)


@dataclass(frozen=True, slots=True)
class LayerMetrics:
    """What one layer finds of n sentences.

    ``outcomes`` is ``(len(METRICS), n)``; ``duplicates`` and ``ties`` are ``(n,)``: whether another
    sentence has the very same vector on either side, and whether the translation shares the first
    place in either direction.
    """

    outcomes: Array
    duplicates: NDArray[np.bool_]
    ties: NDArray[np.bool_]
    zero_vectors: int

    @property
    def values(self) -> dict[str, float]:
        """The metrics: means over sentences."""
        return dict(zip(METRICS, self.outcomes.mean(-1).tolist(), strict=True))


def layer_metrics(source: Vectors, target: Vectors) -> LayerMetrics:
    """Compare two sides of one layer, each ``(n, hidden)``.

    Memory is two copies of both, in float64 and float32, and a few times 2^21 cosines. Raises
    ``DetoxBenchError`` for sides of different length or width, for none, and for numbers that are
    not finite.
    """
    _check(source, target)
    one, other = unit(source), unit(target)
    outcomes, ties = _outcomes(one, other)
    zeros = sum(int((~side.any(-1)).sum()) for side in (one, other))
    return LayerMetrics(outcomes, _repeated(source) | _repeated(target), ties, zeros)


def each_layer(sources: Iterable[Vectors], targets: Iterable[Vectors]) -> Iterator[LayerMetrics]:
    """Yield the metrics of each layer; both sides are iterables of ``(n, hidden)``, or one array.

    Raises as ``layer_metrics``, naming the layer, and for sides of unequal numbers of layers.
    """
    for layer, (source, target) in enumerate(zip_longest(sources, targets)):
        if source is None or target is None:
            side = "source" if target is None else "target"
            raise DetoxBenchError(
                f"Only the {side} side has a layer {layer}. Take both sides from one model."
            )
        try:
            yield layer_metrics(source, target)
        except DetoxBenchError as error:
            raise DetoxBenchError(f"Layer {layer}: {error}") from error


class _Places(NamedTuple):
    """Of n sentences, how many candidates are nearer than the translation, and how many as near."""

    nearer: NDArray[np.int64]
    equal: NDArray[np.int64]

    @property
    def first(self) -> Array:
        """The chance that the translation is first, equal ones ordered by chance."""
        return np.asarray((self.nearer == 0) / (1 + self.equal))

    @property
    def strictly_first(self) -> NDArray[np.bool_]:
        return np.asarray(self.nearer + self.equal == 0)

    @property
    def reciprocal_rank(self) -> Array:
        """The mean of 1/rank, equal ones ordered by chance."""
        last = self.nearer + self.equal + 1
        sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, last.max() + 1))])
        return np.asarray((sums[last] - sums[self.nearer]) / (1 + self.equal))


def _outcomes(one: Array, other: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return ``(len(METRICS), n)`` outcomes of unit vectors, and ``(n,)`` ties."""
    cosines = cosines_of(one, other)
    blocks, aligned = cosines.blocks(), cosines.aligned
    forth, back = _places(blocks, aligned, cosines.tie)
    found = {
        "top1_source_to_target": forth.first,
        "top1_target_to_source": back.first,
        "top1": (forth.first + back.first) / 2,
        "mexa": forth.strictly_first & back.strictly_first,
        "mrr": (forth.reciprocal_rank + back.reciprocal_rank) / 2,
        "margin_accuracy": _margin_outcomes(blocks, aligned, cosines.tie),
        "mean_cosine": aligned,
    }
    ties = ((forth.nearer == 0) & (forth.equal > 0)) | ((back.nearer == 0) & (back.equal > 0))
    return np.array([found[name] for name in METRICS], dtype=float), np.asarray(ties)


def _places(blocks: Blocks, aligned: Array, tie: float) -> tuple[_Places, _Places]:
    """Return the places of the translations from source to target and back.

    ``blocks`` are the similarities; ``aligned`` their diagonal, those of the pairs, ``(n,)``.
    """
    low, high = aligned - tie, aligned + tie
    nearer, least = (np.zeros((2, len(aligned)), dtype=np.int64) for _ in range(2))
    for rows, similar in blocks:
        for counts, bound, above in ((nearer, high, np.greater), (least, low, np.greater_equal)):
            counts[0, rows] = np.count_nonzero(above(similar, bound[rows, None]), axis=1)
            counts[1] += np.count_nonzero(above(similar, bound), axis=0)
    equal = least - nearer - 1  # the translation itself
    return _Places(nearer[0], equal[0]), _Places(nearer[1], equal[1])


def _margin_outcomes(cosines: Blocks, aligned: Array, tie: float) -> Array:
    """Return ``(n,)``: the chance that the translation has the highest ratio, mean of both ways."""
    forth, back = neighbourhoods(cosines, len(aligned))
    least = forth.min() + back.min()
    if least <= tie:  # not known to be positive
        return np.full(len(aligned), np.nan)
    ratios = ((rows, similar / (forth[rows, None] + back)) for rows, similar in cosines)
    places = _places(ratios, aligned / (forth + back), tie / float(least))
    return np.asarray((places[0].first + places[1].first) / 2)


def _check(source: Vectors, target: Vectors) -> None:
    if np.ndim(source) != 2 or np.shape(source) != np.shape(target):
        raise DetoxBenchError(
            f"The vectors of source and target are {np.shape(source)} and {np.shape(target)}, not "
            "(sentences, hidden) alike. Give both sides the same sentences in the same order."
        )
    if not len(source):
        raise DetoxBenchError("There is no sentence to retrieve. Give at least one pair.")
    for side, vectors in (("source", source), ("target", target)):
        bad = np.flatnonzero(~np.isfinite(vectors).all(-1))
        if len(bad):
            raise DetoxBenchError(
                f"{len(bad)} of {len(vectors)} vectors of the {side} hold NaN or infinity, the "
                f"first that of sentence {bad[0]} (from 0). Look for an empty sentence, or run "
                "the model in float32."
            )


def _repeated(vectors: Vectors) -> NDArray[np.bool_]:
    """Return ``(n,)``: whether another sentence has the very same vector."""
    found = np.zeros(len(vectors), dtype=bool)
    _, kind, counts = np.unique(vectors[:, 0], return_inverse=True, return_counts=True)
    alike = np.flatnonzero(counts[kind] > 1)  # by the first number; the rest is looked at of few
    _, kind, counts = np.unique(vectors[alike], axis=0, return_inverse=True, return_counts=True)
    found[alike] = counts[kind] > 1
    return found
