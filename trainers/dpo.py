"""`detox-bench train-dpo`: TRL's DPO on English preference pairs, checked, recorded and resumable.

The steps of a run, in their order: arguments, model, pairs, folder, trainer, training, record.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError

from detox_bench.errors import BadRunFolder, DetoxBenchError
from detox_bench.trainers.arguments import Arguments
from detox_bench.trainers.checks import check_arguments, plan_notes
from detox_bench.trainers.output import TrainingFolder
from detox_bench.trainers.parsing import parse
from detox_bench.trainers.preparation import (
    LoadedModel,
    PreparedPairs,
    base_model,
    check_pairs_usable,
    load_model,
    prepare_pairs,
)
from detox_bench.trainers.record import beginning, ending, identity

logger = logging.getLogger(__name__)


class Trained(NamedTuple):
    """The outcome of a run: its folder, and what the record says."""

    folder: Path
    record: Mapping[str, Any]
    merged: Path | None


class Report(NamedTuple):
    """How a run tells what it is about to do; the command prints, a library caller need not."""

    notes: Callable[[Sequence[str]], None]
    pairs: Callable[[PreparedPairs], None]


def _silent(_: Any) -> None:
    return None


QUIET = Report(_silent, _silent)


def train(command_line: Sequence[str], report: Report = QUIET) -> Trained:
    """Train as the arguments say, and return what came of it.

    A run that was interrupted goes on from its last whole checkpoint; one that is finished is
    left as it is. Raises ``DetoxBenchError`` for whatever a user can mend.
    """
    arguments = parse(command_line)
    check_arguments(arguments)
    loaded = load_model(arguments)
    pairs = prepare_pairs(arguments, loaded)
    overlaps = [each.sentence() for each in pairs.overlaps]
    report.notes([*loaded.notes, *overlaps, *plan_notes(arguments, len(pairs.train.pairs))])
    report.pairs(pairs)
    check_pairs_usable(pairs, arguments.ours)
    folder = _claim(arguments, identity(arguments, loaded, pairs))
    if folder.finished:
        report.notes([f"{folder.path} holds this very run, finished: nothing to do."])
    else:
        _run(arguments, loaded, pairs, folder, report)
    return Trained(folder.path, folder.record, _merge(arguments, folder, loaded))


def _claim(arguments: Arguments, wanted: Mapping[str, Any]) -> TrainingFolder:
    """Return the output folder; of several processes the first one goes first."""
    from accelerate import PartialState

    with PartialState().main_process_first():
        return TrainingFolder(Path(arguments.dpo.output_dir), wanted, arguments.ours.overwrite)


def _run(
    arguments: Arguments,
    loaded: LoadedModel,
    pairs: PreparedPairs,
    folder: TrainingFolder,
    report: Report,
) -> None:
    from detox_bench.trainers.build import build_trainer

    checkpoint = arguments.dpo.resume_from_checkpoint or folder.last_checkpoint()
    if checkpoint:
        report.notes([f"Going on from {Path(checkpoint).name}."])
    if checkpoint and arguments.dpo.sync_ref_model:
        raise DetoxBenchError(
            "A run with --sync_ref_model cannot go on: its reference is in no checkpoint. Give "
            "--overwrite to begin anew."
        )
    # Building refuses arguments by any error; a RuntimeError later is a fault, to be seen whole.
    with _told_in_a_sentence(RuntimeError):
        trainer, watch = build_trainer(
            arguments, loaded, pairs, lambda found: folder.write(first_step=found.as_json())
        )
    if trainer.accelerator.is_main_process:
        folder.clear()
        folder.write(**beginning(arguments, loaded, pairs))
    with _told_in_a_sentence():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _save(trainer, folder)
    if trainer.accelerator.is_main_process:
        folder.finish(**ending(trainer, watch, folder.path))
    trainer.accelerator.wait_for_everyone()


@contextmanager
def _told_in_a_sentence(*more: type[Exception]) -> Iterator[None]:
    """Turn what TRL and transformers refuse, and errors of ``more`` kinds, into one sentence."""
    import torch

    refusals: tuple[type[Exception], ...]
    refusals = (ValueError, TypeError, NotImplementedError, ImportError, *more)
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DetoxBenchError(
            "The device has too little memory. Halve --per_device_train_batch_size and double "
            "--gradient_accumulation_steps, or give --gradient_checkpointing true; the same "
            "result comes out. Or train LoRA: --use_peft true."
        ) from error
    except OSError as error:
        raise BadRunFolder(f"A file could not be read or written: {error}.") from error
    except refusals as error:
        reason = str(error).strip().split("\n")[0]
        logger.debug("while training", exc_info=True)
        raise DetoxBenchError(f"TRL cannot train with these arguments: {reason}") from error


def _save(trainer: Any, folder: TrainingFolder) -> None:
    with _whole(f"The trained model could not be written to {folder.path}", folder):
        trainer.save_model(str(folder.path))


@contextmanager
def _whole(what: str, folder: TrainingFolder) -> Iterator[None]:
    """Say what a write that failed (a full disk) cost, and what to do."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        there = folder.last_checkpoint()
        on = f"goes on from {there.name}" if there else "begins anew, as there is no checkpoint"
        raise BadRunFolder(
            f"{what}: {error}. Make room and give the same command again: it {on}."
        ) from error


def _merge(arguments: Arguments, folder: TrainingFolder, loaded: LoadedModel) -> Path | None:
    """Write the whole model beside the adapter, if asked for and not there yet."""
    target = folder.path / "merged"
    if not (arguments.ours.merge and arguments.model.use_peft):
        return None
    if not (target / "config.json").is_file():
        from accelerate import PartialState

        if PartialState().is_main_process:
            with _whole(f"The merged model could not be written to {target}", folder):
                _write_merged(folder.path, target, arguments, loaded.tokenizer)
    return target


def _write_merged(adapter: Path, target: Path, arguments: Arguments, tokenizer: Any) -> None:
    """Put the adapter into the base as it is stored, not as it was quantised for training."""
    from peft import PeftModel

    merged = PeftModel.from_pretrained(base_model(arguments), adapter).merge_and_unload(
        safe_merge=True
    )
    temporary = target.with_name(".merged")
    merged.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    temporary.replace(target)
