"""Fitting of the scorer ``ngram``: features of the examples, weights of the features and terms."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import SGDClassifier

from detox_bench.languages import LANGUAGES
from detox_bench.scorers.build_examples import WEIGHTS, Example
from detox_bench.scorers.ngram import LEAST_FEATURES
from detox_bench.scorers.ngram_features import BLOCKS, buckets, read_stream
from detox_bench.scorers.ngram_terms import N_COLUMNS, Terms, term_columns

logger = logging.getLogger(__name__)

#: A ``scipy.sparse.csr_matrix``; scipy has no types.
Matrix: TypeAlias = Any
Vector = NDArray[np.float64]

BATCH = 4096
PENALTY = 0.5
EPOCHS = 10
LEAST_TEXTS = 3
"""A bucket seen in fewer examples is left out."""

BUCKET_STARTS = np.cumsum([0] + [1 << block.bits for block in BLOCKS])
_LANGUAGE_GAIN = 0.3


class Coefficients(NamedTuple):
    """What a fit gives: a weight for each bucket, language and term column."""

    buckets: NDArray[np.float32]
    languages: Vector
    terms: Vector


def by_language(examples: Sequence[Example]) -> dict[str, NDArray[np.int64]]:
    """Return the places of the examples of each language."""
    places: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        places.setdefault(example.language, []).append(place)
    return {language: np.array(some) for language, some in sorted(places.items())}


def bucket_matrix(examples: Sequence[Example]) -> Matrix:
    """Return the n-gram features, ``(n_examples, n_buckets)``, over the root of a row's size."""
    rows, columns, values = [], [], []
    for language, places in by_language(examples).items():
        for start in range(0, len(places), BATCH):
            some = places[start : start + BATCH]
            stream = read_stream([examples[place].text for place in some])
            for number, where, bucket in buckets(stream, language):
                rows.append(some[where].astype(np.int32))
                columns.append((bucket + BUCKET_STARTS[number]).astype(np.int32))
                values.append(np.full(len(where), BLOCKS[number].gain, np.float32))
    row = np.concatenate(rows)
    sizes = np.maximum(np.bincount(row, minlength=len(examples)), LEAST_FEATURES)
    shape = (len(examples), int(BUCKET_STARTS[-1]))
    matrix = sparse.csr_matrix(
        (np.concatenate(values), (row, np.concatenate(columns))), shape=shape
    )
    return sparse.diags((1 / np.sqrt(sizes)).astype(np.float32)).dot(matrix).tocsr()


def term_matrix(examples: Sequence[Example], terms: Mapping[str, Terms]) -> Matrix:
    """Return the term features; languages without spaces have columns of their own."""
    matrix = np.zeros((len(examples), 2 * N_COLUMNS), np.float32)
    for language, places in by_language(examples).items():
        first = 0 if LANGUAGES[language].spaced else N_COLUMNS
        for start in range(0, len(places), BATCH):
            some = places[start : start + BATCH]
            stream = read_stream([examples[place].text for place in some])
            columns = term_columns(stream, terms[language], len(some))
            for number, column in enumerate(columns):
                matrix[some, first + number] = column
    return sparse.csr_matrix(matrix)


def _intercepts(examples: Sequence[Example], names: Sequence[str], gain: float) -> Matrix:
    """Return a column for each of ``names``: the languages or the labelled sources."""
    numbers = {name: number for number, name in enumerate(names)}
    keys = [numbers.get(e.language, numbers.get(e.source, -1)) for e in examples]
    known = np.flatnonzero(np.array(keys) >= 0)
    values = np.full(len(known), gain, np.float32)
    places = (known, np.array(keys)[known])
    return sparse.csr_matrix((values, places), shape=(len(examples), len(names)))


def fit(
    examples: Sequence[Example], features: tuple[Matrix, Matrix], weights: Vector
) -> Coefficients:
    """Return the coefficients of a logistic regression on soft targets.

    Each labelled source has an intercept of its own that is thrown away afterwards: what counts as
    toxic differs between them, what is more toxic does not.
    """
    seen = np.bincount(features[0].indices, minlength=features[0].shape[1]) >= LEAST_TEXTS
    kept = np.flatnonzero(seen)
    languages = sorted(LANGUAGES)
    sources = sorted({e.source for e in examples} - set(WEIGHTS))
    parts = [
        features[0][:, kept],
        _intercepts(examples, languages, _LANGUAGE_GAIN),
        _intercepts([e._replace(language="") for e in examples], sources, 1.0),
        features[1],
    ]
    solution = _solve(sparse.hstack(parts).tocsr(), np.array([e.target for e in examples]), weights)
    table = np.zeros(len(seen), np.float32)
    table[kept] = solution[: len(kept)]
    offsets = _LANGUAGE_GAIN * solution[len(kept) : len(kept) + len(languages)]
    return Coefficients(table, offsets, solution[-features[1].shape[1] :])


def _solve(matrix: Matrix, targets: Vector, weights: Vector) -> Vector:
    """Return averaged SGD's minimum; an example with a soft target counts on both sides."""
    soft = np.flatnonzero((targets > 0.08) & (targets < 0.92))
    certain = np.where((targets > 0.08) & (targets < 0.92), targets, 1.0)
    repeated = sparse.vstack([matrix, matrix[soft]]).tocsr().astype(np.float32)
    labels = np.concatenate([targets > 0.08, np.zeros(len(soft), bool)])
    importance = np.concatenate([weights * certain, weights[soft] * (1 - targets[soft])])
    model = SGDClassifier(
        loss="log_loss",
        alpha=PENALTY / importance.sum(),
        average=True,
        max_iter=EPOCHS,
        tol=None,
        random_state=0,
        learning_rate="invscaling",
        eta0=10.0,
        power_t=0.25,
        fit_intercept=False,
    )
    model.fit(repeated, labels, sample_weight=importance / importance.mean())
    logger.info("fitted %d examples, %d non-zeros", *repeated.shape[:1], repeated.nnz)
    solution: Vector = model.coef_[0].astype(np.float64)
    return solution


def logits(features: tuple[Matrix, Matrix], coefficients: Coefficients) -> Vector:
    """Return the uncalibrated score of each example, without the offset of its language."""
    values: Vector = features[0] @ coefficients.buckets + features[1] @ coefficients.terms
    return values.astype(np.float64)
