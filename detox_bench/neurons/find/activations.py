"""The mean activation of neurons over the tokens that a model goes on with, prompt by prompt.

An activation is the input of the down projection at the last position, the one that makes the next
token. Hooks only read. Inside ``editing.edited`` it is the edited activation that they see.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from detox_bench.modeling.architectures import down_projections
from detox_bench.modeling.finite import check_finite
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.greedy import GreedyStep, encode_prompts, greedy
from detox_bench.modeling.loading import LoadedModel
from detox_bench.types import NeuronId

Activations = NDArray[np.float32]


def mean_activations(
    loaded: LoadedModel,
    neurons: Sequence[NeuronId],
    texts: Sequence[str],
    new_tokens: int = 20,
    batch_size: int = 16,
) -> Activations:
    """Return ``(n_prompts, n_neurons)``: the mean over the next greedily decoded tokens.

    The pass over the prompt makes the first token and is step 1; the mean is over the steps up to
    and including the one that makes a stop token. The paper (arXiv 2406.16235, section 5.1) takes
    all 20 steps whatever they make; the number is its own. Prompts are cut on the left where they
    leave no room for the new tokens. Raises ``DetoxBenchError`` where no prompt would fit, and for
    activations or logits that are not finite.
    """
    prompts = encode_prompts(loaded, texts, new_tokens)
    model = CausalModel(loaded.model)
    sums, steps = np.zeros((len(texts), len(neurons))), np.zeros((len(texts), 1))
    with (
        last_activations(loaded.model, neurons) as read,
        tqdm(total=len(texts), desc="Activations", unit=" prompts", disable=None, delay=2) as bar,
    ):

        def add(step: GreedyStep) -> None:
            running = step.running.cpu().numpy()
            rows = np.asarray(step.places)[running]
            found = read(len(step.places))[running]
            check_finite(found, "activations")
            sums[rows] += found
            steps[rows] += 1

        for batch in greedy(model, prompts, new_tokens, loaded.stop_tokens, add, batch_size):
            bar.update(len(batch))
    return np.asarray(sums / steps, dtype=np.float32)


@contextmanager
def last_activations(
    model: Any, neurons: Sequence[NeuronId]
) -> Iterator[Callable[[int], Activations]]:
    """Keep what goes into the down projections; the hooks come off when the ``with`` is left.

    What it yields, called with the rows of the latest pass, returns ``(rows, n_neurons)``: the
    activations of ``neurons``, in their order, at the last column.
    """
    kept: dict[int, Tensor] = {}
    places: dict[int, list[int]] = {}
    for place, each in enumerate(neurons):
        places.setdefault(each.layer, []).append(place)

    def read(rows: int) -> Activations:
        found = np.empty((rows, len(neurons)), dtype=np.float32)
        for layer, own in places.items():
            # Some models run rows and columns as one.
            last = kept[layer].reshape(rows, -1, len(own))[:, -1]
            found[:, own] = last.float().cpu().numpy()
        return found

    projections = down_projections(model)
    with ExitStack() as hooks:
        for layer, own in places.items():
            keep = _keeper(kept, layer, [neurons[place].neuron for place in own])
            hooks.callback(projections[layer].register_forward_pre_hook(keep).remove)
        yield read


def _keeper(
    kept: dict[int, Tensor], layer: int, neurons: list[int]
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """Return the hook of one down projection."""

    def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        kept[layer] = args[0][..., torch.tensor(neurons, device=args[0].device)]

    return keep
