"""An intervention at work: the input of each edited down projection is changed while a model runs.

Whatever runs the model runs it edited: generation, log-likelihoods, hidden states, with adapters or
without. The hooks come off when the ``with`` is left, also after an error in it or in putting them
on.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detox_bench.errors import BadIntervention
from detox_bench.modeling.architectures import (
    causal_model,
    down_projections,
    neuron_shape,
    trunk,
)
from detox_bench.modeling.fingerprint import weights_fingerprint
from detox_bench.modeling.positions import begins
from detox_bench.neurons.edit.interventions import BaseModel, Intervention, check_same_model
from detox_bench.neurons.edit.operators import Affine

#: Called with the layer, and the edited activations ``(rows, columns, edited)`` before and after.
Seen = Callable[[int, Tensor, Tensor], None]


def base_model_of(model: Any, name: str) -> BaseModel:
    """Return what an intervention says of ``model``; of a folder's path only its name is kept."""
    shape = neuron_shape(model)
    kind = causal_model(model).config.model_type
    known_as = Path(name).resolve().name if Path(name).exists() else name
    return BaseModel(known_as, kind, shape.layers, shape.neurons, weights_fingerprint(model))


def check_made_for(intervention: Intervention, model: BaseModel, force: bool = False) -> str | None:
    """Return in words how ``model`` differs from the one ``intervention`` is made for, or None.

    Raises ``BadIntervention`` where it differs, unless ``force``; and always where the neurons do
    not exist in it.
    """
    remedy = "Make one for this model: `detox-bench neurons make`"
    return check_same_model("intervention", intervention.base_model, model, remedy, force)


@contextmanager
def edited(model: Any, intervention: Intervention, seen: Seen | None = None) -> Iterator[Any]:
    """Run ``model`` with ``intervention`` for the length of the ``with``.

    Args:
        model: A causal language model of transformers, PEFT-wrapped or not.
        intervention: Made for it (``check_made_for``).
        seen: Told of every edit as it happens; slow, for proofs.
    """
    projections = down_projections(model)
    with ExitStack() as hooks:
        columns = None
        if intervention.positions == "generated":
            columns = _Columns()
            handle = trunk(model).register_forward_pre_hook(columns.look, with_kwargs=True)
            hooks.callback(handle.remove)
        for layer, edits in intervention.by_layer().items():
            edit = _Edit(layer, edits, columns, seen)
            hooks.callback(projections[layer].register_forward_pre_hook(edit).remove)
        yield model


class _Columns:
    """Which columns of the present pass are the continuation."""

    def __init__(self) -> None:
        self.shape: tuple[int, int] = (0, 0)  # rows, columns
        self.cached = False

    def look(self, _: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Remember the shape of the pass, and whether it goes on behind a cache."""
        given = [*args[:1], kwargs.get("input_ids"), kwargs.get("inputs_embeds")]
        inputs = next(each for each in given if isinstance(each, Tensor))
        self.shape = inputs.shape[0], inputs.shape[1]
        cache = kwargs.get("past_key_values")
        self.cached = cache is not None and cache.get_seq_length() > 0

    def chosen(self, device: torch.device) -> Tensor | None:
        """Return the mask ``(rows, columns, 1)`` of what is to be edited; None for all."""
        told = begins()
        if told is None and self.cached:
            return None
        rows, columns = self.shape
        first = torch.tensor(told or [columns - 1] * rows, device=device)
        return (torch.arange(columns, device=device) >= first[:, None])[..., None]


class _Edit:
    """The hook of one down projection."""

    def __init__(
        self,
        layer: int,
        edits: Sequence[tuple[int, Affine]],
        columns: _Columns | None,
        seen: Seen | None,
    ) -> None:
        self.layer, self.columns, self.seen = layer, columns, seen
        self.neurons = [neuron for neuron, _ in edits]
        self.affine = [each for _, each in edits]
        self.tensors: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(self, _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        activations, *rest = args
        neurons, factor, offset = self._tensors(activations)
        before = activations.index_select(-1, neurons)
        after = torch.addcmul(offset, before, factor)
        if self.columns is not None:
            after = self._where_chosen(before, after)
        if self.seen is not None:
            self.seen(self.layer, before, after)
        return (activations.index_copy(-1, neurons, after), *rest)

    def _tensors(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return neurons, factors and offsets where ``like`` is, in its type."""
        place = (like.device, like.dtype)
        if place not in self.tensors:
            # What is made in inference mode could not be used outside of it.
            with torch.inference_mode(False):
                numbers = torch.tensor(self.affine, dtype=torch.float64).to(*place)
                if not numbers.isfinite().all():
                    raise BadIntervention(
                        f"The intervention has values too large for {like.dtype}. Edit with "
                        "smaller ones."
                    )
                factor, offset = numbers.T
                self.tensors[place] = torch.tensor(self.neurons).to(like.device), factor, offset
        return self.tensors[place]

    def _where_chosen(self, before: Tensor, after: Tensor) -> Tensor:
        """Keep ``before`` outside the continuation; some models run rows and columns as one."""
        assert self.columns is not None
        chosen = self.columns.chosen(before.device)
        if chosen is None:
            return after
        shape = (*self.columns.shape, before.shape[-1])
        kept = torch.where(chosen, after.reshape(shape), before.reshape(shape))
        return kept.reshape(before.shape)
