"""The file of weights of the scorer ``ngram``: small whole numbers, compressed, without pickle."""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detox_bench.languages import LANGUAGES
from detox_bench.scorers.build_checks import Calibration
from detox_bench.scorers.build_fit import BUCKET_STARTS, Coefficients
from detox_bench.scorers.ngram_features import BLOCKS
from detox_bench.scorers.ngram_terms import Terms

LEVELS = 40
"""Weights become whole numbers from ``-LEVELS`` to ``LEVELS``."""
CLIPPED = 0.999
"""The quantile of the sizes of a block's weights that becomes ``LEVELS``."""


def pack_weights(
    coefficients: Coefficients,
    terms: Mapping[str, Terms],
    calibration: Calibration,
) -> bytes:
    """Return the content of an ``.npz`` file with everything the scorer needs."""
    arrays, scales = {}, []
    for number, block in enumerate(BLOCKS):
        own = coefficients.buckets[BUCKET_STARTS[number] : BUCKET_STARTS[number + 1]] * block.gain
        arrays[block.name], scale = _whole_numbers(own)
        scales.append(scale)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        allow_pickle=False,
        **arrays,
        **pack_terms({code: terms[code] for code in LANGUAGES}),
        scales=np.array(scales),
        term_weights=coefficients.terms,
        slopes=np.array([calibration.slopes[code] for code in LANGUAGES]),
        offsets=np.array([calibration.offsets[code] for code in LANGUAGES]),
        curve=np.stack([calibration.curve_from, calibration.curve_to]),
        languages=np.array(list(LANGUAGES)),
    )
    return content.getvalue()


def _whole_numbers(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], float]:
    sizes = np.abs(weights[weights != 0])
    scale = float(np.quantile(sizes, CLIPPED)) / LEVELS if len(sizes) else 1.0
    return np.clip(np.round(weights / scale), -LEVELS, LEVELS).astype(np.int8), scale


def pack_terms(terms: Mapping[str, Terms]) -> dict[str, NDArray[np.generic]]:
    """Return the terms of all languages as one array a field, in the order of ``terms``."""
    numbers = [np.full(len(own.hashes), n, np.uint8) for n, own in enumerate(terms.values())]
    joined = [np.concatenate(parts) for parts in zip(*terms.values(), strict=True)]
    packed = {f"term_{field}": own for field, own in zip(Terms._fields, joined, strict=True)}
    return {"term_languages": np.concatenate(numbers), **packed}
