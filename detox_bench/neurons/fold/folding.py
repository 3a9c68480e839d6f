"""An edit folded into the weights of a down projection: columns times a factor, the rest its bias.

With v_i the value vector of neuron i (column i of W) and its activation edited to m_i a_i + c_i,
the projection writes ``W (m * a + c) + b = (W diag(m)) a + (b + sum_i c_i v_i)``: the same numbers
from other weights, at every position. A bias that is there is added to.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from detox_bench.errors import BadIntervention
from detox_bench.neurons.edit.interventions import Intervention


class LayerEdit(NamedTuple):
    """What is done to ``neurons`` of one layer: each ``(n_edited,)``, the numbers in float64."""

    neurons: Tensor
    factors: Tensor
    offsets: Tensor

    @property
    def scaled(self) -> Tensor:
        """Which of the neurons are multiplied by something else than 1: ``(n_edited,)`` bool."""
        return self.factors != 1


def layer_edits(intervention: Intervention) -> dict[int, LayerEdit]:
    """Return the edit of each edited layer."""
    found = {}
    for layer, edits in intervention.by_layer().items():
        neurons = torch.tensor([neuron for neuron, _ in edits])
        factors, offsets = torch.tensor([each for _, each in edits], dtype=torch.float64).T
        found[layer] = LayerEdit(neurons, factors, offsets)
    return found


def has_offsets(intervention: Intervention) -> bool:
    """Return whether the edit adds anything, so that its fold needs a bias."""
    return any(bool(edit.offsets.any()) for edit in layer_edits(intervention).values())


def has_factors(intervention: Intervention) -> bool:
    """Return whether the edit multiplies any activation by something else than 1."""
    return any(bool(edit.scaled.any()) for edit in layer_edits(intervention).values())


def edited_value_vectors(weight: Tensor, neurons: Tensor, rows: bool) -> Tensor:
    """Return the value vectors ``(n_edited, hidden_size)`` of a stored weight, in float64.

    ``rows`` says that value vectors are its rows, as in GPT-2, not its columns.
    """
    vectors = weight if rows else weight.T
    return vectors.index_select(0, neurons).double()


def written(weight: Tensor, edit: LayerEdit, rows: bool) -> Tensor:
    """Return what the offsets write, sum_i c_i v_i, ``(hidden_size,)`` in float64."""
    return edit.offsets @ edited_value_vectors(weight, edit.neurons, rows)


def folded_weight(weight: Tensor, edit: LayerEdit, rows: bool) -> Tensor:
    """Return a stored weight with the factors in it, in its own type.

    Raises ``BadIntervention`` where a number is too large for the type.
    """
    folded = weight.clone()
    vectors = edited_value_vectors(weight, edit.neurons, rows) * edit.factors[:, None]
    rounded = stored_as(vectors, weight.dtype)
    folded.index_copy_(0 if rows else 1, edit.neurons, rounded if rows else rounded.T)
    return folded


def folded_bias(bias: Tensor, weight: Tensor, edit: LayerEdit, rows: bool) -> Tensor:
    """Return a stored bias ``(hidden_size,)`` with the offsets added, in its own type.

    ``weight`` is the unedited one. Raises as ``folded_weight``.
    """
    return stored_as(bias.double() + written(weight, edit, rows), bias.dtype)


def stored_as(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """Return ``numbers`` in another type; raises ``BadIntervention`` where one is too large."""
    found = numbers.to(dtype)
    narrower = torch.finfo(dtype).max < torch.finfo(numbers.dtype).max
    if narrower and bool((found.isinf() & ~numbers.isinf()).any()):
        largest = float(numbers.abs().max())
        fits = largest <= torch.finfo(torch.float32).max
        raise BadIntervention(
            f"The edit makes weights up to {largest:.3g}, too large for {dtype_name(dtype)}. "
            f"Take smaller values{', or store it with --dtype float32' if fits else ''}."
        )
    return found


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a type as configurations have it: ``bfloat16``."""
    return str(dtype).removeprefix("torch.")
