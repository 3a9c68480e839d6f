"""`detox-bench train-dpo`: TRL's DPO on English preference pairs, checked, recorded and resumable.

The steps of a run, in their order: arguments, model, pairs, folder, trainer, training, record.
"""

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.fingerprint import weights_sha256
from detox_bench.trainers.arguments import Arguments, parse
from detox_bench.trainers.checks import check_arguments
from detox_bench.trainers.output import TrainingFolder
from detox_bench.trainers.preparation import (
    LoadedModel,
    PreparedPairs,
    base_model,
    check_pairs_usable,
    load_model,
    prepare_pairs,
)

logger = logging.getLogger(__name__)

_LIBRARIES = ("detox-bench", "trl", "transformers", "peft", "accelerate", "torch", "datasets")
#: Arguments of TRL that decide the trained weights; a run is continued only with the same ones.
_DECIDING = (
    *("learning_rate", "optim", "optim_args", "weight_decay", "max_grad_norm", "adam_beta1"),
    *("adam_beta2", "adam_epsilon", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps"),
    *("num_train_epochs", "max_steps", "per_device_train_batch_size", "seed", "data_seed"),
    *("gradient_accumulation_steps", "train_sampling_strategy", "bf16", "fp16", "max_length"),
    *("loss_type", "loss_weights", "beta", "ld_alpha", "label_smoothing", "f_divergence_type"),
    *("use_weighting", "sync_ref_model", "disable_dropout", "neftune_noise_alpha"),
    *("load_best_model_at_end", "metric_for_best_model", "eval_steps", "save_steps"),
)
_DECIDING_LORA = (
    *("use_peft", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_rslora"),
    *("use_dora", "lora_modules_to_save", "load_in_4bit", "load_in_8bit", "dtype"),
)
_DECIDING_OURS = (
    "prompt_length",
    "prompt_keep",
    "append_eos",
    "early_stopping_patience",
    "train_only",
)


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
    report.notes([*loaded.notes, *(each.sentence() for each in pairs.overlaps)])
    report.pairs(pairs)
    check_pairs_usable(pairs, arguments.ours)
    folder = _claim(arguments, identity(arguments, loaded, pairs))
    if folder.finished:
        report.notes([f"{folder.path} holds this very run, finished: nothing to do."])
    else:
        _run(arguments, loaded, pairs, folder)
    return Trained(folder.path, folder.record, _merge(arguments, folder, loaded))


def _claim(arguments: Arguments, wanted: Mapping[str, Any]) -> TrainingFolder:
    """Return the output folder; of several processes the first one goes first, and may delete."""
    from accelerate import PartialState

    state = PartialState()
    overwrite = arguments.ours.overwrite and state.is_main_process
    with state.main_process_first():
        return TrainingFolder(Path(arguments.dpo.output_dir), wanted, overwrite)


def identity(arguments: Arguments, loaded: LoadedModel, pairs: PreparedPairs) -> dict[str, Any]:
    """Return what must be equal for a run to be continued, as JSON."""
    ours, dpo, model = arguments
    chosen: dict[str, Any] = {
        "base_weights_sha256": loaded.weights,
        "pairs_sha256": pairs.train.fingerprint,
        "validation_sha256": pairs.validation.fingerprint,
    }
    chosen |= {name: getattr(dpo, name, None) for name in _DECIDING}
    chosen |= {name: getattr(model, name, None) for name in _DECIDING_LORA}
    chosen |= {name: getattr(ours, name) for name in _DECIDING_OURS}
    return {name: _plain(value) for name, value in chosen.items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it after being written and read."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    value = getattr(value, "value", value)  # of an enumeration
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _run(
    arguments: Arguments, loaded: LoadedModel, pairs: PreparedPairs, folder: TrainingFolder
) -> None:
    from detox_bench.trainers.build import build_trainer

    checkpoint = arguments.dpo.resume_from_checkpoint or folder.last_checkpoint()
    try:
        trainer, watch = build_trainer(arguments, loaded, pairs)
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DetoxBenchError(f"TRL cannot train with these arguments: {reason}") from error
    if trainer.accelerator.is_main_process:
        folder.write(**_beginning(arguments, loaded, pairs))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _save(trainer, folder)
    if trainer.accelerator.is_main_process:
        folder.finish(**_ending(trainer, watch))
    trainer.accelerator.wait_for_everyone()


def _save(trainer: Any, folder: TrainingFolder) -> None:
    try:
        trainer.save_model(str(folder.path))
    except OSError as error:
        raise DetoxBenchError(
            f"The trained model could not be written to {folder.path}: {error.strerror or error}. "
            "Make room and give the same command again: it goes on from the last checkpoint."
        ) from error


def _beginning(arguments: Arguments, loaded: LoadedModel, pairs: PreparedPairs) -> dict[str, Any]:
    ours, dpo, _ = arguments
    return {
        "model": ours.model,
        "recipe": ours.recipe,
        "arguments": asdict(ours),
        "notes": list(loaded.notes),
        "pairs": {
            "counts": dict(pairs.counts),
            "dropped_share": pairs.dropped_share,
            "languages": dict(pairs.languages),
            "cutting": asdict(pairs.cutting),
            "overlap": [asdict(each) for each in pairs.overlaps],
        },
        "seed": dpo.seed,
        "versions": {name: version(name) for name in _LIBRARIES}
        | {"python": platform.python_version()},
    }


def _ending(trainer: Any, watch: Any) -> dict[str, Any]:
    state = trainer.state
    first = trainer.first_step
    found = {
        "steps": state.global_step,
        "epochs": state.epoch,
        "best_checkpoint": Path(state.best_model_checkpoint).name
        if state.best_model_checkpoint
        else None,
        "best_metric": state.best_metric,
        "reference_was_cached": trainer.reference_was_cached,
        "stopped_because": getattr(watch, "stopped_because", None),
        "result_weights_sha256": weights_sha256(trainer.accelerator.unwrap_model(trainer.model)),
        "curves": state.log_history,
    }
    return found | ({"first_step": first.as_json()} if first else {})


def _merge(arguments: Arguments, folder: TrainingFolder, loaded: LoadedModel) -> Path | None:
    """Write the whole model beside the adapter, if asked for and not there yet."""
    target = folder.path / "merged"
    if not (arguments.ours.merge and arguments.model.use_peft):
        return None
    if not (target / "config.json").is_file():
        from accelerate import PartialState

        if PartialState().is_main_process:
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
