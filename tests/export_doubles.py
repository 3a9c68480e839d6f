"""A small model and an edit of it on disk, and exports of them."""

from pathlib import Path
from typing import Any

from conftest import byte_tokenizer

from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.edit.interventions import Intervention, intervention
from detox_bench.neurons.fold.exporting import Exported, ExportSettings, export
from detox_bench.types import NeuronId

#: In no layer 0, which control vectors do not have.
LATER = [(NeuronId(1, 5), 0.9), (NeuronId(1, 7), 0.6), (NeuronId(2, 3), 0.75)]
TEXTS = ("prompt 0 en",)


def saved(model: Any, folder: Path, **options: Any) -> Path:
    """Save a model with the byte tokenizer."""
    model.save_pretrained(folder, **options)
    byte_tokenizer().save_pretrained(folder)
    return folder


def made(
    model: Any,
    file: Path,
    operator: str = "add",
    edits: Any = LATER,
    positions: str = "all",
) -> Intervention:
    """Write an intervention for ``model``."""
    edit = intervention(base_model_of(model, "tiny"), operator, edits, positions, {"command": "x"})
    edit.write(file)
    return edit


class Asking:
    """Exports of one model, which lies in ``folder / "base"``; the edit is ``edit.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base, self.edit = folder, folder / "base", folder / "edit.json"
        self.done: Exported | None = None

    def left(self) -> list[str]:
        """Return what lies in the folder."""
        return sorted(each.name for each in self.folder.iterdir())

    def __call__(self, model: Any, operator: str = "add", to: str = "hf", **settings: Any) -> Path:
        """Export ``model``, saved first unless it is, and return the folder."""
        if not self.base.exists():
            saved(model, self.base, **settings.pop("save", {}))
        edits = settings.pop("edits", LATER)
        made(model, self.edit, operator, edits, settings.pop("positions", "all"))
        asked = {"output": self.folder / f"out-{to}", "texts": TEXTS, "new_tokens": 3} | settings
        self.done = export(ExportSettings(str(self.base), self.edit, to, **asked))
        return asked["output"]
