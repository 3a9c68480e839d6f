"""Value vectors measured against a probe, layer by layer, and the highest of all layers.

Potential sources of toxicity are the neurons whose value vectors are most like the direction of a
toxicity probe (arXiv 2406.16235, section 5.1, after Lee et al. 2024, arXiv 2401.01967).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.architectures import down_projections, value_vectors
from detox_bench.types import NeuronId

_AT_ONCE = 1024  # value vectors turned into float32 at once

Measured = NDArray[np.float32]


class VectorMeasures(NamedTuple):
    """Of every value vector, ``(layers, neurons)``: its length, and its cosine with a probe.

    A vector of length 0 has no cosine: NaN.
    """

    norms: Measured
    cosines: Measured

    @property
    def n_zero(self) -> int:
        """How many value vectors are 0."""
        return int((self.norms == 0).sum())


def measure_vectors(model: Any, direction: NDArray[np.float32]) -> VectorMeasures:
    """Measure all value vectors against ``direction`` ``(hidden_size,)``.

    The weights are looked at where they lie, a thousand vectors at a time: two numbers a neuron is
    all that is kept. What adapters add to the weights is in it. In blocks that normalise what the
    MLP wrote (``Architecture.post_norm``) the vector is the one before that.

    Raises ``DetoxBenchError`` for a direction without a length, and for weights that are not
    numbers.
    """
    wanted = torch.from_numpy(np.asarray(direction, dtype=np.float32))
    if not (torch.isfinite(wanted).all() and wanted.any()):
        raise DetoxBenchError(
            "The probe's vector is zero or not of numbers, and has no direction. Fit it again: "
            "`detox-bench neurons probe`."
        )
    projections = down_projections(model)
    bar = tqdm(projections, desc="Value vectors", unit=" layers", disable=None, delay=2)
    layers = [_measure_layer(each, wanted / wanted.norm()) for each in bar]
    norms, products = (np.stack(column) for column in zip(*layers, strict=True))
    if not np.isfinite(norms).all():
        raise DetoxBenchError(
            "Value vectors hold values that are not numbers (NaN or infinite). The weights are "
            "damaged: load the model again, or in another type."
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        return VectorMeasures(norms, np.divide(products, norms))


def highest(values: NDArray[Any], top: int | None = 100, above: float = -np.inf) -> list[NeuronId]:
    """Return the ``top`` neurons by ``values`` ``(layers, neurons)``, the highest first.

    NaN and what is not ``above`` are left out; all others are taken where ``top`` is None. Of equal
    ones the first of the first layer comes first.
    """
    flat = values.ravel()
    known = np.flatnonzero(flat > above)
    order = known[np.argsort(-flat[known], kind="stable")][:top]
    return [NeuronId(*divmod(int(place), values.shape[1])) for place in order]


def vectors_of(model: Any, neurons: Sequence[NeuronId]) -> Tensor:
    """Return the value vectors of ``neurons`` in float32, ``(n_neurons, hidden_size)``."""
    projections = down_projections(model)
    by_layer: dict[int, list[int]] = {}
    for place, each in enumerate(neurons):
        by_layer.setdefault(each.layer, []).append(place)
    found: dict[int, Tensor] = {}
    for layer, places in by_layer.items():
        vectors = value_vectors(projections[layer])
        found.update((place, vectors[neurons[place].neuron].float()) for place in places)
    return torch.stack([found[place] for place in range(len(neurons))])


@torch.no_grad()
def _measure_layer(projection: nn.Module, direction: Tensor) -> tuple[Measured, Measured]:
    """Return the lengths of a layer's vectors and their products with ``direction``."""
    vectors = value_vectors(projection)
    direction = direction.to(vectors.device)
    norms, products = [], []
    for part in vectors.split(_AT_ONCE):
        exact = part.float()
        norms.append(torch.linalg.vector_norm(exact, dim=-1))
        products.append(exact @ direction)
    return torch.cat(norms).cpu().numpy(), torch.cat(products).cpu().numpy()
