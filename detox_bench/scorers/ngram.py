"""The scorer ``ngram``: a linear model of hashed n-grams, embedded in the package, no network.

Its weights, ``ngram.npz``, come from ``python -m detox_bench.scorers.build_ngram``; what they were
fitted on and how well they do in each language is in ``ngram.md`` and ``ngram.json`` beside it.
"""

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detox_bench.errors import ScorerUnavailable
from detox_bench.languages import LANGUAGES, language
from detox_bench.scorers.ngram_features import BLOCKS, buckets
from detox_bench.types import ToxicityScore

VERSION = "1"
BATCH_CHARACTERS = 200_000
LEAST_FEATURES = 8
"""Texts with fewer features are normalised as if they had so many."""


@dataclass(frozen=True, slots=True)
class NgramWeights:
    """What was fitted: a table of bytes a block, and an affine calibration a language.

    ``scales`` turns the bytes of each block into weights; ``slopes`` and ``offsets`` hold one
    number for each language in the order of ``languages``.
    """

    tables: tuple[NDArray[np.int8], ...]
    scales: NDArray[np.float64]
    slopes: dict[str, float]
    offsets: dict[str, float]


class NgramScorer:
    """Scores texts in the 28 languages of RTP-LX; 0.5 stands for a human Toxicity of 3 of 5.

    A text without a letter or symbol has no features: it gets the score of its language's offset.
    """

    name: ClassVar[str] = "ngram"
    threshold: float = 0.5

    def __init__(self, weights: NgramWeights, digest: str) -> None:
        self.weights = weights
        self.id = f"{self.name}@{VERSION}#{digest[:12]}"
        self.languages = frozenset(weights.offsets)

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:
        """Return the toxicity of each of ``texts``, in [0, 1]. Raises ``UnknownName``."""
        code = _known_language(language)
        logits = [value for batch in _batches(texts) for value in self._logits(batch, code)]
        return [ToxicityScore(round(_logistic(value), 6)) for value in logits]

    def _logits(self, texts: Sequence[str], code: str) -> list[float]:
        sums = np.zeros(len(texts))
        counts = np.zeros(len(texts))
        for number, rows, places in buckets(texts):
            values = self.weights.tables[number][places]
            # whole numbers below 2 ** 53 add up exactly, in any order
            sums += np.bincount(rows, values, len(texts)) * self.weights.scales[number]
            counts += np.bincount(rows, minlength=len(texts))
        logits = sums / np.sqrt(np.maximum(counts, LEAST_FEATURES))
        calibrated = logits * self.weights.slopes[code] + self.weights.offsets[code]
        return [float(value) for value in calibrated]


def load_ngram() -> NgramScorer:
    """Return the embedded scorer. Raises ``ScorerUnavailable`` if its weights are missing."""
    try:
        content = files("detox_bench.scorers").joinpath("ngram.npz").read_bytes()
    except FileNotFoundError as error:
        raise ScorerUnavailable(
            "The weights of the scorer 'ngram' (ngram.npz) are missing from the installed package. "
            "Install detox-bench again."
        ) from error
    return NgramScorer(read_weights(content), hashlib.sha256(content).hexdigest())


def read_weights(content: bytes) -> NgramWeights:
    """Return the weights in ``content``, the bytes of an ``.npz`` file without pickled objects."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        codes = [str(code) for code in stored["languages"]]
        return NgramWeights(
            tables=tuple(stored[block.name] for block in BLOCKS),
            scales=stored["scales"].astype(np.float64),
            slopes=dict(zip(codes, stored["slopes"].tolist(), strict=True)),
            offsets=dict(zip(codes, stored["offsets"].tolist(), strict=True)),
        )


def _known_language(code: str) -> str:
    return code if code in LANGUAGES else language(code).code


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield ``texts`` in order, in lists of about ``BATCH_CHARACTERS`` characters."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text) + 1
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else 1 - 1 / (1 + math.exp(value))
