"""An intervention: which neurons of which model are edited, how, and where that comes from; JSON.

::

    {"schema": 1,
     "base_model": {"name": "gpt2", "model_type": "gpt2", "layers": 12, "neurons": 3072,
                    "fingerprint": "<16 hex digits>"},
     "operator": "scale", "positions": "all",
     "edits": [[3, 17, 0.25], [7, 1020, 0.25]],
     "provenance": {"command": "..."}}

An edit is layer, neuron, value. Nothing but numbers and names is in it, so that it can be read, and
reviewed, before it is used.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detox_bench.errors import BadIntervention, unknown_name
from detox_bench.neurons.edit.operators import Affine, operator
from detox_bench.runs import digest, write_json
from detox_bench.types import NeuronId

_SCHEMA = 1
#: Where an edit acts: at every position, or from the one on that makes the first new token.
POSITIONS = ("all", "generated")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model an intervention is made for.

    ``fingerprint`` is of its weights (``modeling.fingerprint.weights_fingerprint``); None where
    they were not at hand, as for numbers out of a paper: then only the shape is compared.
    """

    name: str
    model_type: str
    layers: int
    neurons: int
    fingerprint: str | None = None

    def difference(self, other: "BaseModel") -> str | None:
        """Return in words what makes ``other`` another model; None if it is this one."""
        for column in ("model_type", "layers", "neurons"):
            mine, its = getattr(self, column), getattr(other, column)
            if mine != its:
                return f"{column.replace('_', ' ')} {mine!r}, not {its!r}"
        if self.fingerprint and other.fingerprint and self.fingerprint != other.fingerprint:
            return f"weights {self.fingerprint}, not {other.fingerprint}"
        return None


@dataclass(frozen=True, slots=True)
class Intervention:
    """An edit of some neurons of one model.

    Args:
        base_model: The model it is made for.
        operator: A row of ``operators.OPERATORS``.
        neurons: Each once, sorted.
        values: The operator's value for each of ``neurons``.
        positions: One of ``POSITIONS``.
        provenance: Where it comes from: JSON, for people and reports.
    """

    base_model: BaseModel
    operator: str
    neurons: tuple[NeuronId, ...]
    values: tuple[float, ...]
    positions: str = "all"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The first 16 hex digits of the hash over all that decides what the edit does."""
        value = self.as_json()
        name = {k: v for k, v in value["base_model"].items() if k != "name"}
        return digest({**value, "base_model": name, "provenance": None})

    def by_layer(self) -> dict[int, list[tuple[int, Affine]]]:
        """Return, for each edited layer, its neurons with what is done to them."""
        affine = operator(self.operator).affine
        found: dict[int, list[tuple[int, Affine]]] = {}
        for (layer, neuron), value in zip(self.neurons, self.values, strict=True):
            found.setdefault(layer, []).append((neuron, affine(value)))
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of the file."""
        return {
            "schema": _SCHEMA,
            "base_model": asdict(self.base_model),
            "operator": self.operator,
            "positions": self.positions,
            "edits": [[*id_, v] for id_, v in zip(self.neurons, self.values, strict=True)],
            "provenance": dict(self.provenance),
        }

    def write(self, file: Path) -> None:
        """Write the JSON file."""
        write_json(file, self.as_json())


def intervention(
    base_model: BaseModel,
    operator_name: str,
    edits: Iterable[tuple[NeuronId, float]],
    positions: str = "all",
    provenance: Mapping[str, Any] | None = None,
) -> Intervention:
    """Return a checked intervention.

    Raises ``BadIntervention`` for a neuron or layer out of range, a value that is no finite number
    (or no AUROC, for ``aura``), two values for one neuron, and no neuron at all; ``UnknownName``
    for another operator or positions.
    """
    operator(operator_name)
    if positions not in POSITIONS:
        raise unknown_name("positions", positions, POSITIONS)
    values: dict[NeuronId, float] = {}
    for neuron, value in edits:
        check_range(neuron, base_model)
        check_value(neuron, value, operator_name)
        if values.setdefault(neuron, value) != value:
            raise BadIntervention(
                f"Neuron {neuron} is given twice, with {values[neuron]:g} and {value:g}. "
                "Keep one of them."
            )
    if not values:
        raise BadIntervention("The intervention names no neuron. Give at least one layer:neuron.")
    neurons = tuple(sorted(values))
    ordered = tuple(float(values[each]) for each in neurons)
    return Intervention(
        base_model, operator_name, neurons, ordered, positions, dict(provenance or {})
    )


def read_intervention(file: Path) -> Intervention:
    """Read the JSON file of an intervention; raises ``BadIntervention`` for anything else."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadIntervention(f"{file} cannot be read as JSON: {error}.") from error
    try:
        if found["schema"] != _SCHEMA:
            raise BadIntervention(
                f"{file} has schema {found['schema']!r}, and this version reads {_SCHEMA}."
            )
        return intervention(
            BaseModel(**found["base_model"]),
            found["operator"],
            [_edit(each) for each in found["edits"]],
            found["positions"],
            found.get("provenance"),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadIntervention(
            f"{file} is not an intervention ({type(error).__name__}: {error}). "
            "`detox-bench neurons make` writes one."
        ) from error


def check_same_model(
    what: str, made_for: BaseModel, model: BaseModel, remedy: str, force: bool = False
) -> str | None:
    """Return in words how ``model`` differs from the one that ``what`` is made for, or None.

    Raises ``BadIntervention`` with the ``remedy`` where it differs, unless ``force``; always where
    the numbers of layers or neurons do.
    """
    difference = made_for.difference(model)
    fits = (made_for.layers, made_for.neurons) == (model.layers, model.neurons)
    if difference is None or (force and fits):
        return difference
    told = f"The {what} was made for another model ({made_for.name}): {difference}. {remedy}"
    if not fits:
        raise BadIntervention(f"{told}.")
    raise BadIntervention(
        f"{told}, or force it (--force, force_intervention=True), which is recorded. A model "
        "stored in float32 and loaded in float16 counts as another one."
    )


def parse_neurons(text: str) -> list[NeuronId]:
    """Return the neurons of ``3:17,7:1020``; raises ``BadIntervention`` for anything else."""
    found = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        layer, colon, neuron = part.partition(":")
        if not (colon and layer.strip().isdecimal() and neuron.strip().isdecimal()):
            raise BadIntervention(f"{part!r} is no neuron. Write layer:neuron, as in 3:17,7:1020.")
        found.append(NeuronId(int(layer), int(neuron)))
    return found


def _edit(row: Sequence[Any]) -> tuple[NeuronId, float]:
    layer, neuron, value = row
    if not all(type(number) is int for number in (layer, neuron)):
        raise ValueError(f"{row!r} is not layer, neuron, value")
    return NeuronId(layer, neuron), float(value)


def check_range(neuron: NeuronId, model: BaseModel) -> None:
    """Raise ``BadIntervention`` for a neuron that ``model`` does not have."""
    limits = {"layer": model.layers, "neuron": model.neurons}
    for column, limit in limits.items():
        number = getattr(neuron, column)
        if not 0 <= number < limit:
            raise BadIntervention(
                f"Neuron {neuron}: {model.name} has {column}s 0 to {limit - 1}, not {number}."
            )


def check_value(neuron: NeuronId, value: float, operator_name: str) -> None:
    """Raise ``BadIntervention`` for what is no finite number, or no AUROC for ``aura``."""
    if not math.isfinite(value):
        raise BadIntervention(f"The value of neuron {neuron} is {value}. Give a finite number.")
    if operator_name == "aura" and not 0 <= value <= 1:
        raise BadIntervention(
            f"The value of neuron {neuron} is {value:g}, and for aura it is an AUROC: 0 to 1."
        )
