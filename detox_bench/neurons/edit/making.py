"""Interventions from lists of neurons: which neurons, what value for each, or a control instead."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from detox_bench.errors import BadIntervention
from detox_bench.neurons.edit.controls import control
from detox_bench.neurons.edit.interventions import (
    BaseModel,
    Intervention,
    check_same_model,
    check_value,
    intervention,
)
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


def check_values(chosen: Chosen, edit: Edit) -> None:
    """Raise ``BadIntervention`` where a neuron has no value, or one that is no finite number."""
    for each in chosen.neurons:
        check_value(each, _value(each, chosen, edit), edit.operator)


def check_found_in(made_for: BaseModel, model: BaseModel, force: bool = False) -> dict[str, Any]:
    """Return what an edit of ``model`` must tell of neurons that were found in another one.

    Raises ``BadIntervention`` where it is another model, unless forced.
    """
    remedy = "Find them in this one: `detox-bench neurons find`"
    difference = check_same_model("list of neurons", made_for, model, remedy, force)
    return {"forced_over": difference, "found_in": asdict(made_for)} if difference else {}


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
