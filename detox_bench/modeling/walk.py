"""The draw itself: the inverse CDF of a nucleus, and whether noise could have changed it."""

from typing import NamedTuple

import torch
from torch import Tensor


class Noise(NamedTuple):
    """How far rounding moves a probability ``relative`` to itself, and ``cumulated`` ones.

    Bounds on what differs between runs of a model on the same tokens in batches of other shapes.
    """

    relative: float
    cumulated: float


class Draw(NamedTuple):
    """``tokens`` ``(rows,)``, and ``close`` ``(rows,)``: whether noise could have changed them."""

    tokens: Tensor
    close: Tensor


class Nucleus(NamedTuple):
    """Tokens in the order of their ids, and which of them are in the nucleus.

    ``ids``, ``probabilities`` (float64) and ``kept`` are ``(rows, n)``; ``ids`` is None where they
    are 0 to n - 1. ``last`` and ``following``, ``(rows, 1)``, are the places of the least probable
    token that is kept and of the next one (the same place if there is none); ``surplus`` is by how
    much the kept probability exceeds p.
    """

    ids: Tensor | None
    probabilities: Tensor
    kept: Tensor
    last: Tensor
    following: Tensor
    surplus: Tensor


def walk(nucleus: Nucleus, numbers: Tensor, noise: Noise) -> Draw:
    """Draw a token for each row by ``numbers`` ``(rows,)`` in [0, 1)."""
    places, close = _invert(nucleus.probabilities, nucleus.kept, numbers, noise)
    if noise.cumulated > 0:
        rows = _unsure(nucleus, noise).nonzero().flatten()
        part = nucleus.probabilities[rows]
        for kept in _other_cuts(nucleus, rows) if len(rows) else ():
            other, other_close = _invert(part, kept, numbers[rows], noise)
            close[rows] |= other_close | (other != places[rows])
    ids = nucleus.ids
    return Draw(places if ids is None else ids.gather(-1, places[:, None]).squeeze(-1), close)


def _invert(
    probabilities: Tensor, kept: Tensor, numbers: Tensor, noise: Noise
) -> tuple[Tensor, Tensor]:
    """Return the place that each number falls on, and whether it falls near a boundary."""
    weights = probabilities * kept
    cdf = weights.cumsum(-1)
    total = cdf[:, -1:]
    target = torch.minimum(numbers[:, None] * total, total.nextafter(torch.zeros_like(total)))
    place = torch.searchsorted(cdf, target, right=True)
    upper = cdf.gather(-1, place)
    lower = upper - weights.gather(-1, place)
    margin = torch.minimum(target - lower, upper - target)
    return place.squeeze(-1), (margin < noise.cumulated).squeeze(-1)


def _unsure(nucleus: Nucleus, noise: Noise) -> Tensor:
    """Return ``(rows,)``: whether noise could make the nucleus another one."""
    at_last = nucleus.probabilities.gather(-1, nucleus.last)
    at_following = nucleus.probabilities.gather(-1, nucleus.following)
    spare = torch.minimum(nucleus.surplus.abs(), (at_last - nucleus.surplus).abs())
    swap = (at_last - at_following < noise.relative * at_last) & (nucleus.last != nucleus.following)
    return ((spare < noise.cumulated) | swap).squeeze(-1)


def _other_cuts(nucleus: Nucleus, rows: Tensor) -> list[Tensor]:
    """Return the nuclei with one token more, one less, and the last exchanged for the next."""
    kept, last, following = (each[rows] for each in (nucleus.kept, nucleus.last, nucleus.following))
    more = kept.scatter(-1, following, True)
    less = kept.scatter(-1, last, kept.sum(-1, keepdim=True) == 1)
    return [more, less, more.scatter(-1, last, following == last)]
