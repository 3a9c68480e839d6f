"""Neurons that were looked for and ranked: the file between ``neurons find`` and ``neurons make``.

::

    {"schema": 1, "base_model": {...}, "by": "cosine",
     "neurons": [{"layer": 13, "neuron": 2337, "cosine": 0.31, "activation": 0.02, "source": true},
                 ...],
     "settings": {...}}

The first is the highest. A measure that was not taken is left out, never 0.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.runs import write_json
from detox_bench.types import NeuronId

_SCHEMA = 1
#: Lists in the package, by the name that stands for their file.
PACKAGED = {"paper-mgpt": "paper_mgpt.json"}
_NOT_MEASURES = ("layer", "neuron", "source")


@dataclass(frozen=True, slots=True)
class FoundNeuron:
    """One neuron with what was measured of it.

    ``measures`` may hold ``cosine`` (of its value vector with a probe), ``activation`` (its mean
    over generated tokens) and ``auroc`` (of its activation as a toxicity detector). ``source`` says
    whether it is an actual source of toxicity, None where that was not asked.
    """

    id: NeuronId
    measures: Mapping[str, float]
    source: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object, without ``source`` where that is not known."""
        source = {} if self.source is None else {"source": self.source}
        return {**self.id._asdict(), **self.measures, **source}


@dataclass(frozen=True, slots=True)
class FoundNeurons:
    """Neurons of one model, the highest by the measure ``by`` first."""

    base_model: BaseModel
    by: str
    neurons: tuple[FoundNeuron, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def taken(self, which: str) -> tuple[FoundNeuron, ...]:
        """Return the ``sources``, ``all``, or the first so many of them (``36``).

        Raises ``DetoxBenchError`` for anything else, for more than there are, and for none.
        """
        if which == "all":
            return self.neurons
        if which == "sources":
            found = tuple(each for each in self.neurons if each.source)
            if not found:
                raise DetoxBenchError(
                    f"None of the {len(self.neurons)} neurons is an actual source. Take the first "
                    "of them by number, or `all`."
                )
            return found
        if not which.isdecimal() or not 0 < int(which) <= len(self.neurons):
            raise DetoxBenchError(
                f"{which!r} of {len(self.neurons)} neurons cannot be taken. Say `sources`, `all`, "
                f"or a number up to {len(self.neurons)}."
            )
        return self.neurons[: int(which)]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of the file."""
        return {
            "schema": _SCHEMA,
            "base_model": asdict(self.base_model),
            "by": self.by,
            "settings": dict(self.settings),
            "neurons": [each.as_json() for each in self.neurons],
        }

    def write(self, file: Path) -> None:
        """Write the JSON file."""
        write_json(file, self.as_json())


def read_found(source: str | Path) -> FoundNeurons:
    """Read a file of ranked neurons, or one of ``PACKAGED`` by its name; raises ``BadData``."""
    try:
        if source in PACKAGED:
            text = (
                files("detox_bench.neurons.find").joinpath(PACKAGED[str(source)]).read_text("utf-8")
            )
        else:
            text = Path(source).read_text("utf-8")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"{source} cannot be read as JSON: {error}.") from error
    try:
        if found["schema"] != _SCHEMA:
            raise ValueError(f"schema {found['schema']!r}, and this version reads {_SCHEMA}")
        if not isinstance(settings := found.get("settings", {}), dict):
            raise ValueError(f"settings are {settings!r}, and no object")
        rows = tuple(_neuron(row) for row in found["neurons"])
        model = BaseModel(**found["base_model"])
        return FoundNeurons(model, found["by"], rows, settings)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(
            f"{source} is no file of ranked neurons ({type(error).__name__}: {error}). "
            "`detox-bench neurons find` writes one."
        ) from error


def _neuron(row: Mapping[str, Any]) -> FoundNeuron:
    measures = {name: float(value) for name, value in row.items() if name not in _NOT_MEASURES}
    return FoundNeuron(NeuronId(int(row["layer"]), int(row["neuron"])), measures, row.get("source"))
