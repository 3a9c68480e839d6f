"""Neurons to compare chosen ones with: as many of the same layers, picked by another rule.

To support another control, add a row to ``CONTROLS``.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.types import NeuronId

#: Returns the neuron to take instead of each of ``chosen`` of one layer, out of ``others``.
Control = Callable[[Any, Sequence[NeuronId], Sequence[NeuronId], Random], list[NeuronId]]


def control(
    name: str, chosen: Sequence[NeuronId], model: Any, n_neurons: int, seed: int = 0
) -> list[NeuronId]:
    """Return the neuron to take instead of each of ``chosen``, each once, in the same layers.

    Args:
        name: A row of ``CONTROLS``.
        chosen: Different neurons.
        model: Holds the value vectors; a control that needs none takes None.
        n_neurons: How many a layer has.
        seed: Decides what is drawn.

    None of ``chosen`` is among them where a layer has enough others; where more than half of it is
    chosen (AurA), all its neurons take part, and only who gets which value is left to chance.
    Raises ``UnknownName``.
    """
    if name not in CONTROLS:
        raise unknown_name("control", name, CONTROLS)
    random = Random(seed)
    instead: dict[NeuronId, NeuronId] = {}
    for layer in sorted({each.layer for each in chosen}):
        own = [each for each in chosen if each.layer == layer]
        every = [NeuronId(layer, neuron) for neuron in range(n_neurons)]
        others = [each for each in every if each not in set(own)]
        pool = others if len(others) >= len(own) else every
        instead |= dict(zip(own, CONTROLS[name](model, own, pool, random), strict=True))
    return [instead[each] for each in chosen]


def _random(
    model: Any,  # noqa: ARG001
    chosen: Sequence[NeuronId],
    others: Sequence[NeuronId],
    random: Random,
) -> list[NeuronId]:
    return random.sample(others, len(chosen))


def _norm(
    model: Any, chosen: Sequence[NeuronId], others: Sequence[NeuronId], random: Random
) -> list[NeuronId]:
    """Take, for one neuron after the other in random order, the nearest norm that is left."""
    if model is None:
        raise DetoxBenchError("The control `norm` compares value vectors: name the model.")
    import torch

    from detox_bench.modeling.architectures import down_projections, value_vectors

    vectors = value_vectors(down_projections(model)[chosen[0].layer])
    norms = torch.linalg.vector_norm(vectors.float(), dim=-1)
    left = norms[[each.neuron for each in others]]
    found: dict[NeuronId, NeuronId] = {}
    for each in random.sample(chosen, len(chosen)):
        place = int((left - norms[each.neuron]).abs().argmin())
        found[each], left[place] = others[place], torch.inf
    return [found[each] for each in chosen]


CONTROLS: dict[str, Control] = {"random": _random, "norm": _norm}
