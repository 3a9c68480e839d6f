"""From arguments, model and pairs to a trainer that is ready."""

from collections.abc import Callable
from typing import Any

from datasets import Dataset
from transformers import EarlyStoppingCallback
from transformers.pytorch_utils import Conv1D
from trl import get_peft_config

from detox_bench.trainers.arguments import Arguments
from detox_bench.trainers.checks import ends_names
from detox_bench.trainers.preparation import (
    LoadedModel,
    PreparedPairs,
    base_model,
    loading_options,
    reference_cache,
)
from detox_bench.trainers.progress import tell_briefly
from detox_bench.trainers.tokens import TokenPairs
from detox_bench.trainers.trainer import DetoxDPOTrainer, FirstStep, ReferenceSource
from detox_bench.trainers.watch import WatchOptions, watch_training


def build_trainer(
    arguments: Arguments,
    loaded: LoadedModel,
    pairs: PreparedPairs,
    on_first_step: Callable[[FirstStep], None] | None = None,
) -> tuple[DetoxDPOTrainer, Any]:
    """Return the trainer, and the watch on toxicity or None."""
    ours, dpo, model = arguments
    _settle(arguments, pairs)
    key: dict[str, object] = {
        "weights": loaded.weights,
        "configuration": loaded.configuration,
        "dtype": str(loaded.model.dtype),
        "autocast": "bf16" if dpo.bf16 else "fp16" if dpo.fp16 else None,
    }
    trainer = DetoxDPOTrainer(
        model=loaded.model,
        args=dpo,
        train_dataset=_dataset(pairs.train),
        eval_dataset=_dataset(pairs.validation) if pairs.validation.pairs else None,
        processing_class=loaded.tokenizer,
        peft_config=_adapter(model, loaded.model),
        reference=ReferenceSource(reference_cache(arguments), key),
        on_first_step=on_first_step,
    )
    tell_briefly(trainer)
    if ours.early_stopping_patience:
        trainer.add_callback(EarlyStoppingCallback(ours.early_stopping_patience))
    return trainer, _watch(arguments, trainer)


def _settle(arguments: Arguments, pairs: PreparedPairs) -> None:
    """Make TRL's arguments agree with what was prepared."""
    dpo = arguments.dpo
    dpo.max_length = None  # the pairs are cut
    if not pairs.validation.pairs:
        dpo.eval_strategy = type(dpo.eval_strategy)("no")
    if dpo.precompute_ref_batch_size is None:
        dpo.precompute_ref_batch_size = max(8, dpo.per_device_eval_batch_size)
    if not dpo.precompute_ref_log_probs:  # TRL loads the reference itself
        dpo.model_init_kwargs = {**loading_options(arguments)}


def _adapter(asked: Any, model: Any) -> Any:
    """Return TRL's configuration of LoRA, told where weights lie transposed (GPT-2)."""
    config = get_peft_config(asked)
    if config is None:
        return None
    config.fan_in_fan_out = any(isinstance(part, Conv1D) for part in model.modules())
    targets = asked.lora_target_modules
    if isinstance(targets, str) and ends_names(model, targets):
        config.target_modules = {targets}  # TRL makes one name a text, which PEFT takes for a regex
    return config


def _dataset(pairs: TokenPairs) -> Any:
    return Dataset.from_list([pair.as_row() for pair in pairs.pairs])


def _watch(arguments: Arguments, trainer: DetoxDPOTrainer) -> Any:
    ours = arguments.ours
    languages = tuple(ours.watch_languages) or WatchOptions().languages
    options = WatchOptions(
        every=ours.watch_every,
        languages=languages,
        prompts=ours.watch_prompts,
        samples=ours.watch_samples,
        source=ours.watch_source,
        subset=ours.watch_subset,
        scorer=ours.watch_scorer,
        target=ours.watch_target,
        perplexity_budget=ours.watch_perplexity,
        seed=arguments.dpo.seed,
    )
    return watch_training(trainer, options, load_reference=lambda: base_model(arguments))
