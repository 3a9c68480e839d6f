"""The cosines of all pairs of two sets of vectors: exact enough to rank, in flat memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 4  # k of arXiv 1811.01136
AT_ONCE = 2**21  # cosines held at once: 16 MB
# Products are off by about 1e-7 of the lengths of their vectors in float32, by 1e-15 in float64;
# what is nearer than this is equal.
_TIE, _TIE_FLOAT64 = 1e-6, 1e-12

Array = NDArray[np.float64]
Vectors = NDArray[Any]
#: Rows, and the similarities of their sentences with all of the other side; read more than once.
Blocks = Iterable[tuple[slice, Array]]


@dataclass(frozen=True, slots=True)
class Cosines:
    """The cosines of all pairs, block by block of rows, made anew each time they are asked for.

    Vectors of a layer mostly point the same way, and their cosines differ by less than float32
    resolves. So what all share is taken out, the rest multiplied in float32, and the products with
    what all share added in float64. The cosines of the pairs, ``aligned``, are in float64 as a
    whole: what they are compared with holds them exactly, on its diagonal.
    """

    one: NDArray[np.float32]
    other: NDArray[np.float32]
    rows: Array
    columns: Array
    aligned: Array

    def blocks(self) -> Blocks:
        """Return what is read more than once: the cosines themselves where they are one block."""
        return list(self) if len(self.one) * len(self.other) <= AT_ONCE else self

    @property
    def tie(self) -> float:
        """The difference that is none."""
        longest = [np.linalg.norm(side, axis=-1).max() for side in (self.one, self.other)]
        return float(_TIE * np.prod(longest)) + _TIE_FLOAT64

    def __iter__(self) -> Iterator[tuple[slice, Array]]:
        step = max(1, AT_ONCE // len(self.other))
        for start in range(0, len(self.one), step):
            rows = slice(start, start + step)
            found = (self.one[rows] @ self.other.T).astype(np.float64)
            found += self.rows[rows, None]
            found += self.columns
            places = np.arange(len(found))
            found[places, start + places] = self.aligned[rows]
            yield rows, found


def cosines_of(one: Array, other: Array) -> Cosines:
    """Return the cosines of unit vectors."""
    of_one, of_other = one.mean(0), other.mean(0)
    rows = one @ of_other - of_one @ of_other
    aligned = np.einsum("nd,nd->n", one, other)
    return Cosines(_apart(one, of_one), _apart(other, of_other), rows, other @ of_one, aligned)


def _apart(vectors: Array, mean: Array) -> NDArray[np.float32]:
    apart = np.empty(vectors.shape, dtype=np.float32)
    return np.subtract(vectors, mean, out=apart, casting="same_kind")


def neighbourhoods(cosines: Blocks, n: int) -> tuple[Array, Array]:
    """Return half the mean cosine with the k nearest of the other side, of both sides' sentences.

    With fewer than k sentences, all are neighbours.
    """
    k = min(NEIGHBOURS, n)
    forth, nearest = np.empty(n), np.empty((n, 0))
    for rows, similar in cosines:
        forth[rows] = _highest(similar, k).mean(-1) / 2
        nearest = np.hstack([nearest, _highest(similar.T, k)])
        nearest = _highest(nearest, k)
    return forth, nearest.mean(-1) / 2


def _highest(values: Array, k: int) -> Array:
    """Return the k highest of each row, or all of fewer."""
    left, every = np.array(values, order="C"), np.arange(len(values))
    found = []
    for _ in range(min(k, values.shape[-1])):  # faster for a few than a partition
        places = left.argmax(-1)
        found.append(left[every, places])
        left[every, places] = -np.inf
    return np.stack(found, axis=-1)


def unit(vectors: Vectors) -> Array:
    """Return the vectors at length 1 in float64, those of zeros as they are."""
    exact = np.array(vectors, dtype=np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", exact, exact))[:, None]
    exact /= np.where(lengths == 0, 1, lengths)
    return exact
