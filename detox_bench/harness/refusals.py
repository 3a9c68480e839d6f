"""What ``detox-bench eval`` refuses before anything is loaded, and checks when all is done."""

from pathlib import Path
from typing import Any

from detox_bench.errors import DetoxBenchError
from detox_bench.neurons.edit.interventions import read_intervention
from detox_bench.runs import check_writable

#: Why lm-eval's ``--model steered`` is not asked for hidden states.
STEERED = (
    "The hooks of lm-eval's steered model are not on while hidden states are made, so that these "
    "would be those of the model as it was. Use --model detox-hf with an intervention."
)
_FROM_FOLDERS = ("hf", "hf-auto", "huggingface", "detox-hf")


def check(args: Any, config: dict[str, Any]) -> None:
    """Refuse what would fail, or mislead, only after hours."""
    if getattr(args, "cache_requests", None):
        raise DetoxBenchError(
            "--cache_requests forgets sampling settings (lm-eval issue 3881) and would reuse stale "
            "ones. Leave it out; detox-hf keeps its continuations in the output folder."
        )
    model, output, model_args = given(args, config)
    if getattr(args, "log_samples", None) and not output:
        raise DetoxBenchError("--log_samples needs --output_path, the folder to write to.")
    if output:
        check_writable(folder_of(output))
    if model in _FROM_FOLDERS and isinstance(model_args or {}, dict):
        _check_pretrained(str((model_args or {}).get("pretrained", "")))
    if model == "steered" and "_retrieval" in str(args.tasks or config.get("tasks")):
        raise DetoxBenchError(STEERED)
    if isinstance(model_args, dict) and model_args.get("intervention"):
        _check_intervention(model, Path(str(model_args["intervention"])))


def check_saved(output: Path, since: float) -> None:
    """Raise ``DetoxBenchError`` if lm-eval, which hides such errors, could not write results."""
    pattern = f"{output.stem}_*.json" if output.suffix == ".json" else "results_*.json"
    written = (file.stat().st_mtime for file in folder_of(output).rglob(pattern))
    if not any(when >= since for when in written):
        raise DetoxBenchError(
            f"lm-eval could not write its results below {output}. The continuations are in "
            f"{folder_of(output) / 'run'}: free the disk and give the same command again."
        )


def given(args: Any, config: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return model, output path and model arguments, from the command line or ``--config``."""
    names = ("model", "output_path", "model_args")
    model, output, model_args = (getattr(args, name) or config.get(name) for name in names)
    return model or "hf", output, model_args


def folder_of(output: str | Path) -> Path:
    """Return the folder lm-eval writes to: a path that ends in ``.json`` names a file in it."""
    path = Path(output)
    return path.parent if path.suffix == ".json" else path


def _check_intervention(model: str, file: Path) -> None:
    """Raise ``DetoxBenchError`` for a file that is no intervention, or a model that takes none."""
    if model != "detox-hf":
        raise DetoxBenchError(
            f"--model {model} takes no intervention. Use --model detox-hf, or fold it into weights "
            "that every engine runs: detox-bench neurons export."
        )
    read_intervention(file)


def _check_pretrained(name: str) -> None:
    """Raise ``DetoxBenchError`` for what can only be a folder but is no model's."""
    if not name:
        raise DetoxBenchError(
            "No model was named: --model_args pretrained=… takes a model's folder or its name on "
            "the Hub."
        )
    folder = Path(name).expanduser()
    if name.startswith((".", "/", "~")) and not (folder / "config.json").is_file():
        found = "has no config.json" if folder.is_dir() else "does not exist"
        raise DetoxBenchError(
            f"pretrained={name} {found}. Give a model's folder or its name on the Hub."
        )
