"""Ties: which rows of a board are surely better than which, by a paired bootstrap over prompts.

A row is its change against its own base model, prompt by prompt. Two rows are apart only where the
95 % interval of the difference of their changes does not hold 0. All pairs' intervals are made to
hold at once (single-step max-t: Westfall and Young 1993, Romano and Wolf 2005), so that the
chance of any false separation on a board is 5 %, however many rows there are. Every draw takes the
same items for all rows, in all languages, as in ``comparison``.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.student_t import t_quantile

_RESAMPLES = 2000
#: So many draws of a thousand rows stay in a processor's cache.
_BLOCK = 125
#: Rows whose draws differ by less are the same up to rounding.
_SAME = 1e-12


class Prompts(NamedTuple):
    """The prompts of a list, in one order for all rows.

    ``languages`` ``(n_prompts,)`` and ``items`` ``(n_prompts,)``: a prompt's language, and the item
    that languages share.
    """

    languages: Sequence[str]
    items: Sequence[str]


class Standing(NamedTuple):
    """Where a row stands.

    ``rank`` is 1 + the number of rows that are surely better, ``lowest`` the number of all rows
    less those surely worse: the true rank lies between. Rows of one ``rank`` are tied. ``tied`` are
    the places of the rows that are neither surely better nor surely worse.
    """

    rank: int
    lowest: int
    tied: Sequence[int] = ()


class Comparison(NamedTuple):
    """All pairs of n rows: ``apart`` and ``differences`` are ``(n, n)``, row less column.

    ``half_widths`` ``(n, n)``: the interval is the difference plus or minus this; ``critical`` how
    many standard errors that is.
    """

    differences: NDArray[np.float64]
    half_widths: NDArray[np.float64]
    critical: float

    @property
    def better(self) -> NDArray[np.bool_]:
        """Whether the row has surely fallen further than the column."""
        return np.asarray(self.differences < -self.half_widths - _SAME)


def standings(changes: NDArray[np.float64], prompts: Prompts) -> list[Standing]:
    """Return where each row stands; ``changes`` as in ``compare_rows``, lower is better."""
    if not len(changes):
        return []
    better = compare_rows(changes, prompts).better
    above, below = better.sum(0), better.sum(1)
    near = ~(better | better.T | np.eye(len(changes), dtype=bool))
    return [
        Standing(1 + int(over), len(changes) - int(under), tuple(np.flatnonzero(own).tolist()))
        for over, under, own in zip(above, below, near, strict=True)
    ]


def compare_rows(
    changes: NDArray[np.float64], prompts: Prompts, level: float = 0.95, seed: int = 0
) -> Comparison:
    """Compare the rows' means over languages, every pair, at a level for all pairs together.

    Args:
        changes: ``(n_rows, n_prompts)``, after less before; NaN where a row has no number. A row's
            mean is over the prompts that it has.
        prompts: What the columns are.
        level: The chance that all intervals hold at once.
        seed: Of the draws.
    """
    draws, n_items = _draws_of_means(changes, prompts, seed)
    differences = draws[:, None, 0] - draws[None, :, 0]
    # As in comparison, a draw in which a language has nothing is not counted.
    known = draws[:, 1:][:, ~np.isnan(draws[:, 1:]).any(0)]
    if known.shape[1] < 2:
        return Comparison(differences, np.full_like(differences, np.inf), np.inf)
    centred = known - known.mean(-1, keepdims=True)
    errors = _standard_errors(centred)
    critical = _critical(centred, errors, level, n_items)
    if not np.isfinite(critical):
        return Comparison(differences, np.full_like(errors, np.inf), critical)
    return Comparison(differences, critical * errors, critical)


def _draws_of_means(
    changes: NDArray[np.float64], prompts: Prompts, seed: int
) -> tuple[NDArray[np.float64], int]:
    """Return ``(n_rows, 1 + draws)`` means over languages, that of all prompts first.

    The same items are drawn for every row. Besides, how many items there are.
    """
    columns = {item: place for place, item in enumerate(dict.fromkeys(prompts.items))}
    codes = {code: place for place, code in enumerate(dict.fromkeys(prompts.languages))}
    cells = np.array([codes[code] for code in prompts.languages]) * len(columns)
    cells += np.array([columns[item] for item in prompts.items])
    shape = (len(codes), len(columns))
    weights = np.vstack([np.ones(shape[1]), _weights(shape[1], seed)])
    counted: dict[bytes, NDArray[np.float64]] = {}
    found = np.empty((len(changes), len(weights)))
    for row, values in enumerate(changes):
        known = ~np.isnan(values)
        key = known.tobytes()
        if key not in counted:
            counts = np.bincount(cells, known, shape[0] * shape[1]).reshape(shape)
            counted[key] = weights @ counts.T
        sums = np.bincount(cells, np.where(known, values, 0.0), shape[0] * shape[1]).reshape(shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[row] = ((weights @ sums.T) / counted[key]).mean(-1)
    return found, shape[1]


def _weights(n_items: int, seed: int) -> NDArray[np.float64]:
    """Return ``(resamples, n_items)``: how often each item is in a draw with replacement."""
    random = np.random.default_rng(seed)
    return random.multinomial(n_items, np.full(n_items, 1 / n_items), _RESAMPLES).astype(float)


def _standard_errors(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(n_rows, n_rows)`` standard errors of the differences of rows."""
    covariances = centred @ centred.T / centred.shape[1]
    own = np.diag(covariances)
    variances = own[:, None] + own[None, :] - 2 * covariances
    return np.asarray(np.sqrt(np.maximum(variances, 0.0)))


def _critical(
    centred: NDArray[np.float64], errors: NDArray[np.float64], level: float, n_items: int
) -> float:
    """Return the number of standard errors that all pairs stay within, in a share of the draws.

    Draws are normal and divide by n: as in ``statistics.percentile_bounds``, the quantile is taken
    to the one of Student's t with the same tail, and widened by sqrt(n / (n - 1)). A quantile of
    finitely many draws has an error of its own: the upper end of it, two standard errors above the
    level, is taken, so that it makes ties and not separations.
    """
    if len(centred) < 2 or n_items < 2:
        return np.inf
    inverse = np.divide(1.0, errors, out=np.zeros_like(errors), where=errors > _SAME)
    blocks = np.array_split(centred.astype(np.float32), max(1, _RESAMPLES // _BLOCK), axis=1)
    largest = np.concatenate([_largest(block, inverse.astype(np.float32)) for block in blocks])
    upper = min(1.0, level + 2 * (level * (1 - level) / len(largest)) ** 0.5)
    normal = float(np.quantile(largest, upper))
    tail = 2 * NormalDist().cdf(-normal)
    return float(t_quantile(n_items - 1, 1 - tail) * (n_items / (n_items - 1)) ** 0.5)


def _largest(draws: NDArray[np.float32], inverse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``(n_draws,)`` how many standard errors the pair furthest apart is, in each draw."""
    largest = np.zeros(draws.shape[1], dtype=np.float32)
    draws = np.ascontiguousarray(draws)
    for row in range(len(draws) - 1):
        away = draws[row + 1 :] - draws[row]
        away *= inverse[row, row + 1 :, None]
        np.maximum(largest, away.max(0), out=largest)
        np.maximum(largest, -away.min(0), out=largest)
    return largest
