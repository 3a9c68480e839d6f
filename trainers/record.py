"""What `detox_run.json` says: the identity of a run, what it began with, and how it ended."""

import hashlib
import platform
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from detox_bench.trainers.arguments import Arguments
from detox_bench.trainers.preparation import LoadedModel, PreparedPairs

_LIBRARIES = ("detox-bench", "trl", "transformers", "peft", "accelerate", "torch", "datasets")
#: Arguments that do not decide the trained weights; a run is continued only if all others agree.
_NOT_DECIDING = frozenset(
    (
        *("output_dir", "run_name", "project", "report_to", "logging_dir", "log_level"),
        *("log_level_replica", "log_on_each_node", "logging_steps", "logging_strategy"),
        *("logging_first_step", "logging_nan_inf_filter", "disable_tqdm", "save_total_limit"),
        *("save_on_each_node", "save_only_model", "resume_from_checkpoint", "push_to_hub"),
        *("hub_model_id", "hub_strategy", "hub_token", "hub_private_repo", "hub_always_push"),
        *("hub_revision", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
        *("dataloader_num_workers", "dataloader_pin_memory", "dataloader_prefetch_factor"),
        *("dataloader_persistent_workers", "dataloader_multiprocessing_context", "debug"),
        *("dataset_num_proc", "skip_memory_metrics", "include_num_input_tokens_seen", "use_cpu"),
        *("eval_accumulation_steps", "per_device_eval_batch_size", "precompute_ref_batch_size"),
        *("precompute_ref_log_probs", "max_length", "model_init_kwargs", "ddp_timeout"),
        *("torch_empty_cache_steps", "local_rank", "restore_callback_states_from_checkpoint"),
        *("model_name_or_path", "model_revision", "gradient_checkpointing_kwargs", "use_cache"),
        *("activation_checkpointing_kwargs", "deepspeed_plugin", "distributed_state"),
    )
)
_OURS_DECIDING = (
    *("prompt_length", "prompt_keep", "append_eos", "early_stopping_patience", "train_only"),
    *("watch_every", "watch_target", "watch_perplexity"),
)


def identity(arguments: Arguments, loaded: LoadedModel, pairs: PreparedPairs) -> dict[str, Any]:
    """Return what must be equal for a run to be continued, as JSON."""
    ours, dpo, model = arguments
    chosen: dict[str, Any] = {
        "base_weights_sha256": loaded.weights,
        "base_configuration": loaded.configuration,
        "pairs_sha256": pairs.train.fingerprint,
        "validation_sha256": pairs.validation.fingerprint,
        "processes": dpo.world_size,
    }
    for part in (dpo, model):
        names = [field.name for field in fields(part) if field.name not in _NOT_DECIDING]
        chosen |= {name: getattr(part, name) for name in names}
    chosen |= {name: getattr(ours, name) for name in _OURS_DECIDING}
    return {name: _plain(value) for name, value in chosen.items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it after being written and read."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    value = getattr(value, "value", value)  # of an enumeration
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def beginning(arguments: Arguments, loaded: LoadedModel, pairs: PreparedPairs) -> dict[str, Any]:
    """Return what a run begins with, as JSON."""
    ours, dpo, _ = arguments
    return {
        "model": ours.model,
        "recipe": ours.recipe,
        "arguments": asdict(ours),
        "trl_arguments": {name: _plain(value) for name, value in dpo.to_dict().items()},
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


def ending(trainer: Any, watch: Any, folder: Path) -> dict[str, Any]:
    """Return how a run went, as JSON."""
    state = trainer.state
    return {
        "steps": state.global_step,
        "epochs": state.epoch,
        "best_checkpoint": Path(state.best_model_checkpoint).name
        if state.best_model_checkpoint
        else None,
        "best_metric": state.best_metric,
        "reference_was_cached": trainer.reference_was_cached,
        "stopped_because": getattr(watch, "stopped_because", None),
        "result_sha256": _hashes(folder),
        "curves": state.log_history,
    }


def _hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of weights."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as content:
            found[file.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return found
