"""Interventions from lists of neurons: which neurons, what value for each, or a control instead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detox_bench.errors import BadIntervention, DetoxBenchError
from detox_bench.neurons.edit.controls import control
from detox_bench.neurons.edit.interventions import BaseModel, Intervention, intervention
from detox_bench.types import NeuronId


@dataclass(frozen=True, slots=True)
class Chosen:
    """Neurons to edit, with the AUROC of each where it was measured, and where they come from."""

    neurons: tuple[NeuronId, ...]
    auroc: Mapping[NeuronId, float]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be done to chosen neurons; ``value`` is the operator's, for all of them.

    AurA takes each neuron's AUROC where no value is given. ``control`` is a row of
    ``controls.CONTROLS``: as many other neurons take the place of the chosen ones.
    """

    operator: str
    value: float | None = None
    positions: str = "all"
    control: str | None = None
    seed: int = 0


def made(
    chosen: Chosen, edit: Edit, base_model: BaseModel, model: Any | None = None
) -> Intervention:
    """Return the intervention; ``model`` is needed for controls that look at value vectors.

    Raises as ``intervention`` and ``control``, and ``BadIntervention`` where a value is missing.
    """
    values = [_value(each, chosen, edit) for each in chosen.neurons]
    intervention(base_model, edit.operator, zip(chosen.neurons, values, strict=True))
    neurons: Sequence[NeuronId] = chosen.neurons
    provenance = dict(chosen.provenance)
    if edit.control is not None:
        neurons = control(edit.control, neurons, model, base_model.neurons, edit.seed)
        provenance |= {"control": edit.control, "seed": edit.seed}
    edits = zip(neurons, values, strict=True)
    return intervention(base_model, edit.operator, edits, edit.positions, provenance)


def check_same_model(made_for: BaseModel, model: BaseModel, force: bool = False) -> None:
    """Raise ``DetoxBenchError`` where neurons found in one model are to be edited in another."""
    difference = made_for.difference(model)
    if difference and not force:
        raise DetoxBenchError(
            f"The neurons were found in another model ({made_for.name}): {difference}. Find them "
            "in this one (`detox-bench neurons find`), or --force it."
        )


def _value(neuron: NeuronId, chosen: Chosen, edit: Edit) -> float:
    if edit.value is not None:
        return edit.value
    if edit.operator == "aura" and neuron in chosen.auroc:
        return chosen.auroc[neuron]
    wanted = (
        "an AUROC for each neuron: neurons of `neurons find --by auroc`"
        if edit.operator == "aura"
        else "a --value"
    )
    raise BadIntervention(f"The operator {edit.operator!r} needs {wanted}.")
