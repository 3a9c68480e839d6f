"""An intervention that stays on a model for good, and what results say of it."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detox_bench.neurons.edit.editing import base_model_of, check_made_for, edited
from detox_bench.neurons.edit.interventions import BaseModel, Intervention, read_intervention


@dataclass(frozen=True, slots=True)
class Applied:
    """An ``intervention`` that edits the model ``onto`` until ``hooks`` is closed.

    ``forced_over`` says in words why it was made for another model, where that was overruled.
    """

    intervention: Intervention
    onto: BaseModel
    forced_over: str | None
    hooks: ExitStack

    @classmethod
    def to(cls, model: Any, name: str, file: Path, force: bool = False) -> "Applied":
        """Put the intervention in ``file`` on ``model``; raises ``BadIntervention``."""
        found, onto = read_intervention(file), base_model_of(model, name)
        difference = check_made_for(found, onto, force)
        hooks = ExitStack()
        hooks.enter_context(edited(model, found))
        return cls(found, onto, difference, hooks)

    @property
    def everywhere(self) -> bool:
        """Whether it acts on prompts too."""
        return self.intervention.positions == "all"

    @property
    def identity(self) -> dict[str, str]:
        """Return what texts depend on."""
        return {"intervention": self.intervention.sha256}

    def as_json(self) -> dict[str, Any]:
        """Return what results record: all but the neurons, which the hash stands for."""
        found = self.intervention.as_json()
        edits = found.pop("edits")
        return {
            **found,
            "sha256": self.intervention.sha256,
            "n_neurons": len(edits),
            "applied_to": asdict(self.onto),
            "forced_over": self.forced_over,
        }
