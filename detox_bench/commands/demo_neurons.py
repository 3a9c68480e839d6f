"""The second half of ``detox-bench demo``: toxic neurons found, edited, and folded into weights."""

from pathlib import Path

from rich.console import Console

from detox_bench.commands.neurons_find import find
from detox_bench.commands.neurons_fold import export_intervention
from detox_bench.commands.neurons_make import make
from detox_bench.commands.neurons_probe import probe
from detox_bench.commands.neurons_sweep import sweep

#: The strengths that are shown, and the one that is folded (docs/neurons.md).
STRENGTHS = "-0.5,-1"
FOLDED = -1.0
TAKE = "all"
_PROMPTS = 6  # a language, in the sweep


def folded_model(model: Path, pairs: Path, folder: Path) -> Path:
    """Find the toxic neurons of ``model`` by English pairs, edit them, and fold the edit.

    Returns the checkpoint. What ``folder`` holds from an earlier time is used again.
    """
    folded = folder / "folded"
    if folded.exists():
        return folded
    console = Console()
    found, edit = folder / "found.json", folder / "edit.json"
    console.print("\nWhich neurons write rude words? A probe on the English pairs, and its likes:")
    probe(str(model), [pairs], folder / "probe")
    find(str(model), found, folder / "probe", prompts="sample")
    console.print("\nThe 100 turned down, beside as many random neurons:")
    sweep(
        str(model),
        str(found),
        folder / "sweep",
        values=STRENGTHS,
        take=TAKE,
        prompts="sample",
        subset="all",
        limit=_PROMPTS,
    )
    console.print("\nFolded into plain weights, which any engine runs, and proved:")
    make(edit, "add", str(model), found=str(found), take=TAKE, value=FOLDED)
    export_intervention(str(model), edit, folded)
    return folded
