"""What is looked at before a training run: precision, pad token, LoRA targets, tied embeddings."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detox_bench.errors import DetoxBenchError
from detox_bench.languages import language as language_row
from detox_bench.trainers.arguments import Arguments

logger = logging.getLogger(__name__)

# Names under which tokenizers keep a token that pads, or that nobody uses.
_PAD_NAMES = ("<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>", "<unk>", "[UNK]")
_HALF = ("float16", "fp16", "half")


def check_arguments(arguments: Arguments) -> None:
    """Raise ``DetoxBenchError`` for arguments that cannot be right, before anything is loaded."""
    ours, dpo, model = arguments
    if not ours.model:
        raise DetoxBenchError("No model is given: --model FOLDER_OR_NAME.")
    if str(ours.model).startswith((".", "/", "~")) and not Path(ours.model).expanduser().exists():
        raise DetoxBenchError(f"There is no folder {ours.model}. Give --model a folder or a name.")
    for code in ours.watch_languages:
        language_row(code)
    if not ours.pairs:
        raise DetoxBenchError("No pairs are given: --pairs FILE; `detox-bench pairs` makes some.")
    if not dpo.output_dir or dpo.output_dir == "trainer_output":
        raise DetoxBenchError("No folder for the result is given: --output_dir FOLDER.")
    if str(model.dtype) in _HALF and not ours.allow_float16:
        raise DetoxBenchError(
            "Weights in float16 are not trained: without loss scaling their rewards become NaN. "
            "Give --dtype float32 with --fp16 (autocast with loss scaling), or --bf16; or "
            "--allow_float16 if it has to be."
        )
    if ours.train_only and model.use_peft:
        raise DetoxBenchError(
            "--train_only chooses among the model's own parameters and --use_peft adds others: "
            "give --use_peft false, or choose by --lora_target_modules."
        )
    if not 0 <= ours.validation_share < 1:
        raise DetoxBenchError(
            f"--validation_share is {ours.validation_share:g}; it must be at least 0 and below 1."
        )
    if ours.prompt_length < 1:
        raise DetoxBenchError(f"--prompt_length is {ours.prompt_length}; it must be 1 or more.")
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        if getattr(dpo, name) < 1:
            raise DetoxBenchError(f"--{name} is {getattr(dpo, name)}; it must be 1 or more.")
    if dpo.max_length is not None and dpo.max_length <= ours.prompt_length:
        raise DetoxBenchError(
            f"--max_length {dpo.max_length} leaves no room after a prompt of --prompt_length "
            f"{ours.prompt_length} tokens: raise the one or lower the other."
        )
    _check_validation(arguments)


def _check_validation(arguments: Arguments) -> None:
    ours, dpo, _ = arguments
    validates = ours.validation_share > 0 or bool(ours.validation_pairs)
    asked = {
        "--early_stopping_patience": ours.early_stopping_patience > 0,
        "--load_best_model_at_end": dpo.load_best_model_at_end,
        "--eval_strategy": str(dpo.eval_strategy) not in ("no", "IntervalStrategy.NO"),
    }
    wrong = [name for name, wanted in asked.items() if wanted and not validates]
    if wrong:
        raise DetoxBenchError(
            f"{', '.join(wrong)} needs pairs to validate on: give --validation_share 0.05 or "
            "--validation_pairs FILE, or --eval_strategy no and none of the others."
        )
    if ours.early_stopping_patience > 0 and not dpo.load_best_model_at_end:
        raise DetoxBenchError(
            "--early_stopping_patience needs --load_best_model_at_end true, so that the best "
            "checkpoint is the result."
        )


def plan_notes(arguments: Arguments, pairs: int) -> list[str]:
    """Return notes on a plan that will not do what its recipe promises."""
    ours, dpo, model = arguments
    batch = dpo.per_device_train_batch_size * dpo.gradient_accumulation_steps * dpo.world_size
    steps = dpo.max_steps if dpo.max_steps > 0 else dpo.num_train_epochs * -(-pairs // batch)
    notes = []
    if dpo.get_warmup_steps(int(steps)) >= steps:
        notes.append(
            f"All {steps:.0f} steps are within the warm-up of {dpo.warmup_steps:.0f}: the learning "
            "rate is never reached. Give --warmup_steps 0.1 (a share), or more pairs."
        )
    if ours.merge and not model.use_peft:
        notes.append("--merge is for LoRA; without it the output folder is the whole model.")
    return notes


def mend_pad_token(tokenizer: Any) -> str | None:
    """Give ``tokenizer`` a pad token that is not end-of-text, if it has one to give.

    Return what was done, in a sentence, or None. Nothing is added to the vocabulary: the model has
    no embedding for it. Sequences are masked by their lengths and never by an id, so that even a
    pad token equal to end-of-text would hide nothing from the loss here.
    """
    if tokenizer.pad_token is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return None
    vocabulary = tokenizer.get_vocab()
    found = next((name for name in _PAD_NAMES if name in vocabulary), None)
    if found is None or vocabulary[found] == tokenizer.eos_token_id:
        tokenizer.pad_token = tokenizer.eos_token
        return "The pad token is end-of-text: the tokenizer has no other. Padding is masked."
    tokenizer.pad_token = found
    return f"The pad token was end-of-text or none; it is now {found!r}."


def freeze_others(model: Any, pattern: str) -> str:
    """Freeze the parameters whose name ``pattern`` does not find; return how many are left.

    Raises ``DetoxBenchError`` for a pattern that is none, or finds nothing.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise DetoxBenchError(
            f"--train_only {pattern!r} is no regular expression: {error}."
        ) from error
    names = [name for name, _ in model.named_parameters()]
    if not any(wanted.search(name) for name in names):
        raise DetoxBenchError(
            f"--train_only {pattern!r} finds no parameter of this model. They are named like "
            f"{', '.join(names[:3])}."
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(bool(wanted.search(name)))
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    total = sum(each.numel() for each in model.parameters())
    return f"{trained:,} of {total:,} parameters are trained."


def lora_notes(model: Any, targets: Sequence[str] | str | None) -> list[str]:
    """Return warnings on LoRA over ``model``.

    Raises ``DetoxBenchError`` where ``targets`` (ends of module names, or "all-linear") match no
    module, naming those that could be meant.
    """
    if targets is None or targets == "all-linear" or list(targets) == ["all-linear"]:
        return []
    wanted = [targets] if isinstance(targets, str) else list(targets)
    missing = [each for each in wanted if not _names(model, each)]
    if missing:
        known = sorted({name.rpartition(".")[2] for name in _linear(model)})
        raise DetoxBenchError(
            f"LoRA targets {', '.join(map(repr, missing))} match no module of this model. It has "
            f"{', '.join(known)}; or give --lora_target_modules all-linear."
        )
    return _tied_note(model, wanted)


def ends_names(model: Any, target: str) -> bool:
    """Return whether ``target`` is the end of a module's name."""
    return any(_ends(name, target) for name, _ in model.named_modules())


def _names(model: Any, target: str) -> bool:
    """Return whether PEFT finds a module by ``target``: an end of a name, or a whole regex."""
    names = [name for name, _ in model.named_modules()]
    try:
        return ends_names(model, target) or any(re.fullmatch(target, name) for name in names)
    except re.error:
        return False


def _tied_note(model: Any, wanted: Sequence[str]) -> list[str]:
    tied = model.get_input_embeddings().weight is getattr(
        model.get_output_embeddings(), "weight", None
    )
    ends = [name for name, part in model.named_modules() if part is model.get_input_embeddings()]
    if tied and any(_ends(name, each) for name in ends for each in wanted):
        return [
            "Input and output embeddings of this model are one matrix: LoRA on the embeddings "
            "changes the input side only, and merging unties them or changes both. Leave the "
            "embeddings out of --lora_target_modules unless you know why not."
        ]
    return []


def _linear(model: Any) -> list[str]:
    kinds = ("Linear", "Conv1D", "Embedding", "Linear4bit", "Linear8bitLt")
    return [name for name, part in model.named_modules() if type(part).__name__ in kinds]


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")
