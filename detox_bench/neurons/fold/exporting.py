"""An export from beginning to end: nothing is there under its name before it is verified.

Everything is written to ``DIR.partial``. Only an export that has been loaded again and compared
with the edited model gets its name; one that fails is removed, and what a killed process leaves
behind is removed by the next export to the same place. A lock file tells it from what is not ours,
which is never touched.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from detox_bench import __version__
from detox_bench.errors import BadData, DetoxBenchError, unknown_name
from detox_bench.neurons.edit.editing import check_made_for
from detox_bench.neurons.edit.interventions import Intervention, read_intervention
from detox_bench.neurons.fold.card import FILE as CARD
from detox_bench.neurons.fold.card import card
from detox_bench.neurons.fold.checkpoint import INDEX
from detox_bench.neurons.fold.exports import FORMATS, check_exportable, format_of, recorded, running
from detox_bench.neurons.fold.fold_to_hf import DTYPES, checked_dtype, stored_dtypes
from detox_bench.neurons.fold.fold_to_peft import ADAPTER_DTYPE
from detox_bench.neurons.fold.model_files import ModelFiles, copy_other_files, model_files
from detox_bench.neurons.fold.proof import NEW_TOKENS, Reference
from detox_bench.neurons.fold.verification import (
    Agreement,
    VerificationSettings,
    agreement,
    reference_of,
)
from detox_bench.runs import write_json

INTERVENTION = "intervention.json"
VERIFICATION = "verification.json"
#: A name that only we use: a folder without it is not ours to empty.
_LOCK = ".detox-bench-export.lock"


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What to export where.

    Args:
        model: A folder, or a name on the Hub.
        intervention: The JSON file.
        to: A row of ``FORMATS``.
        output: The folder to be; empty or not there.
        dtype: A name of ``DTYPES`` to store a checkpoint in a finer type.
        force: Go on where the intervention was made for other weights.
        device: Where models run while they are compared.
        texts: Prompts to compare on.
        tolerance: How far logits may be apart; by the type if None.
        new_tokens: Greedy tokens behind each prompt.
    """

    model: str
    intervention: Path
    to: str
    output: Path
    texts: Sequence[str]
    dtype: str | None = None
    force: bool = False
    device: str | None = None
    tolerance: float | None = None
    new_tokens: int = NEW_TOKENS


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export: how it compares with the edited model, and what should be known of it."""

    agreement: Agreement
    notes: tuple[str, ...]


def export(asked: ExportSettings) -> Exported:
    """Write an export, verify it, and give it its name.

    Raises ``DetoxBenchError`` where anything is wrong, a failed verification included; nothing is
    then at the place of the output.
    """
    format_of(asked.to)
    if asked.dtype is not None and asked.dtype not in DTYPES:
        raise unknown_name("type to store in", asked.dtype, DTYPES)
    made = read_intervention(asked.intervention)
    with partial_folder(asked.output, asked.model, asked.intervention) as folder:
        with model_files(asked.model, folder) as files:
            forced = check_made_for(made, files.shape_only, asked.force)
            check_exportable(files, made, asked.to)
            dtype = checked_dtype(files, made, asked.dtype) if asked.dtype else None
            coarsest = max(stored_dtypes(files, made), key=lambda each: torch.finfo(each).eps)
            found, forced = _hooked(asked, made)
            notes = _write(asked, files, made, folder, dtype)
        kept = ADAPTER_DTYPE if not FORMATS[asked.to].whole else dtype or coarsest
        agreed = _verified(asked, found, folder, kept)
        record = {"detox_bench": __version__, "model": files.known_as, "dtype": asked.dtype}
        recorded(made, asked.to, forced, record).write(folder / INTERVENTION)
        write_json(folder / VERIFICATION, agreed.as_json())
    told = [f"Made for another model, and forced: {forced}."] if forced else []
    return Exported(agreed, (*told, *notes))


@contextmanager
def partial_folder(output: Path, model: str, intervention: Path) -> Iterator[Path]:
    """Give a folder to write to, which becomes ``output`` when the ``with`` is left without error.

    Raises ``DetoxBenchError`` where ``output`` is something already, lies in the model's own
    folder, cannot be written, or is being written by another process; and where what lies at the
    folder's place was not left there by an export, which alone has our lock file in it.
    """
    target = output.resolve()
    folder = target.with_name(f"{target.name}.partial")
    _check_free(output, folder, model, intervention)
    try:
        folder.mkdir(parents=True, exist_ok=_left_by_an_export(folder))
        with FileLock(folder / _LOCK, timeout=0):
            try:
                _empty(folder)
                yield folder
                if target.is_dir():
                    target.rmdir()
                folder.rename(target)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            (target / _LOCK).unlink()
    except Timeout as error:
        raise DetoxBenchError(
            f"Another process is writing to {folder}. Wait for it, or name another folder."
        ) from error
    except OSError as error:
        raise DetoxBenchError(_stopped(output, error)) from error


def _left_by_an_export(folder: Path) -> bool:
    return (folder / _LOCK).is_file() and not folder.is_symlink()


def _check_free(output: Path, folder: Path, model: str, intervention: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BadData(f"{output} is not empty. Name a new folder; nothing is overwritten.")
    if Path(model).is_dir() and output.resolve().is_relative_to(Path(model).resolve()):
        raise BadData(f"{output} lies in the model's own folder. Name one outside of it.")
    sources = (Path(model), intervention)
    if (os.path.lexists(folder) and not _left_by_an_export(folder)) or any(
        each.resolve().is_relative_to(folder) for each in sources
    ):
        raise BadData(
            f"An export to {output} is first written to {folder}, and something of yours is there. "
            "Move it, or name another output; nothing is overwritten."
        )


def _stopped(output: Path, error: OSError) -> str:
    """Return in words what an export stopped at: the files the error is about, where it says."""
    files = [str(each) for each in (error.filename, error.filename2) if each is not None]
    place = f" at {' and '.join(files)}" if files else ""
    what = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"The export to {output} stopped{place}: {what}. Nothing was written. Free the disk or "
        "mend what is named, or name another output."
    )


def _empty(folder: Path) -> None:
    """Remove what a killed process left."""
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != _LOCK:
            each.unlink()


def _hooked(asked: ExportSettings, made: Intervention) -> tuple[Reference, str | None]:
    """Run the edited model; return it and how the model differs from the one edited for."""
    compared = VerificationSettings(
        first=asked.model,
        second=str(asked.output),
        texts=asked.texts,
        intervention=made,
        force=asked.force,
        device=asked.device,
        new_tokens=asked.new_tokens,
    )
    return reference_of(compared)


def _write(
    asked: ExportSettings,
    files: ModelFiles,
    made: Intervention,
    folder: Path,
    dtype: torch.dtype | None,
) -> list[str]:
    """Write the export; return what should be known of it."""
    row = FORMATS[asked.to]
    row.write(files, made, folder, dtype)
    left_out = set(copy_other_files(files.folder, folder, row.copied))
    if not row.whole:
        same = f"--dtype is for --to hf; --to {asked.to} is stored in float32 anyway."
        return [same] if dtype is not None else []
    (folder / CARD).write_text(card(files.known_as, made), "utf-8")
    if files.checkpoint.folder != files.folder:
        return ["Its weights were pickled; the export has them as safetensors."]
    lost = ", ".join(sorted(left_out - {INDEX, *files.checkpoint.shards}))
    return [f"Not copied, since they hold weights without the edit: {lost}."] if lost else []


def _verified(
    asked: ExportSettings, found: Reference, folder: Path, dtype: torch.dtype
) -> Agreement:
    with running(folder, asked.model, asked.device) as model:
        agreed = agreement(found, model, dtype, asked.tolerance)
    failure = agreed.failure()
    if failure:
        finer = " Try --dtype float32." if torch.finfo(dtype).bits < 32 else ""
        raise DetoxBenchError(
            f"The export is not the edited model: {failure}. Nothing was written to {asked.output}."
            + finer
        )
    return agreed
