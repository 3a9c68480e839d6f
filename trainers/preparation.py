"""What a training run begins with: model, tokenizer, pairs as tokens, reference cache."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.data.preference_text import Cut, token_cut
from detox_bench.data.preferences import read_pairs
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.modeling.fingerprint import configuration, weights_sha256
from detox_bench.modeling.tokens import window_of
from detox_bench.runs import digest
from detox_bench.scorers.cache import cache_path
from detox_bench.trainers.arguments import Arguments, DetoxArguments
from detox_bench.trainers.checks import freeze_others, lora_notes, mend_pad_token
from detox_bench.trainers.pair_overlap import Overlap, overlap
from detox_bench.trainers.reference import ReferenceCache
from detox_bench.trainers.splitting import split
from detox_bench.trainers.tokens import Cutting, TokenPairs, tokenise
from detox_bench.types import PreferencePair

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model before training: with the hash of its weights and notes for the user."""

    model: Any
    tokenizer: Any
    weights: str
    configuration: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparedPairs:
    """Pairs to train and to validate on, and what became of those that were read."""

    train: TokenPairs
    validation: TokenPairs
    counts: Mapping[str, int]
    dropped_share: float
    languages: Mapping[str, int]
    cutting: Cutting
    overlaps: tuple[Overlap, ...]

    @property
    def contaminated_share(self) -> float:
        """The share of pairs with an evaluation prompt, by the source that has most of them."""
        used = self.counts["train"] + self.counts["validation"]
        by_source: dict[str, int] = {}
        for each in self.overlaps:
            by_source[each.source] = by_source.get(each.source, 0) + each.pairs
        return max(by_source.values(), default=0) / max(1, used)


def load_model(arguments: Arguments) -> LoadedModel:
    """Load model and tokenizer. Raises ``DetoxBenchError`` for what cannot be loaded or trained."""
    from transformers import AutoTokenizer

    asked = arguments.model
    _check_not_an_adapter(str(arguments.ours.model))
    quantization, note = _quantization(asked)
    with _loading(arguments):
        tokenizer = AutoTokenizer.from_pretrained(arguments.ours.model, **_where(arguments))
    model = base_model(arguments, quantization)
    notes = [note, mend_pad_token(tokenizer)]
    if arguments.ours.train_only:
        notes.append(freeze_others(model, arguments.ours.train_only))
    if asked.use_peft:
        notes += lora_notes(model, asked.lora_target_modules)
    told = tuple(note for note in notes if note)
    return LoadedModel(model, tokenizer, weights_sha256(model), digest(configuration(model)), told)


def base_model(arguments: Arguments, quantization: Any = None) -> Any:
    """Return the model that is trained, as it is stored."""
    from transformers import AutoModelForCausalLM

    options = loading_options(arguments)
    if quantization is not None:
        options["quantization_config"] = quantization
    with _loading(arguments):
        return AutoModelForCausalLM.from_pretrained(arguments.ours.model, **options)


def loading_options(arguments: Arguments) -> dict[str, Any]:
    """Return the keywords that the model is loaded with; ``model_init_kwargs`` overrides ours."""
    return {
        "dtype": arguments.model.dtype or "float32",
        "attn_implementation": arguments.model.attn_implementation,
        **_where(arguments),
        **(arguments.dpo.model_init_kwargs or {}),
    }


def _check_not_an_adapter(model: str) -> None:
    if (Path(model) / "adapter_config.json").is_file():
        raise DetoxBenchError(
            f"{model} is an adapter, not a model. Give the whole model: the folder `merged` that "
            "train-dpo --merge writes, or the base merged with the adapter by PEFT."
        )


def _where(arguments: Arguments) -> dict[str, Any]:
    return {
        "revision": arguments.model.model_revision,
        "trust_remote_code": arguments.dpo.trust_remote_code,
    }


@contextmanager
def _loading(arguments: Arguments) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DetoxBenchError(
            f"{arguments.ours.model} cannot be loaded as a causal language model: {reason}"
        ) from error


def _quantization(asked: Any) -> tuple[Any, str | None]:
    """Return what quantises the base, or why nothing does."""
    import torch
    from trl import get_quantization_config

    wanted = asked.load_in_4bit or asked.load_in_8bit
    if wanted and not torch.cuda.is_available():
        return None, "No CUDA here: the base is not quantised, LoRA goes over it as it is."
    return get_quantization_config(asked), None


def prepare_pairs(arguments: Arguments, loaded: LoadedModel) -> PreparedPairs:
    """Read, split, tokenise and count the pairs.

    Raises ``BadData`` where more than ``max_dropped`` of them cannot be used.
    """
    ours, dpo, _ = arguments
    cutting = _cutting(arguments, loaded)
    cut = token_cut(loaded.tokenizer)
    found = _read(ours.pairs, ours.pairs_format, cut)
    more = _read(ours.validation_pairs, ours.pairs_format, cut)
    pairs, held_out = found.pairs, more.pairs
    if not ours.validation_pairs:
        pairs, held_out = split(pairs, ours.validation_share, dpo.seed)
        _check_validation(arguments, held_out)
    train = tokenise(pairs, loaded.tokenizer, cutting)
    validation = tokenise(held_out, loaded.tokenizer, cutting)
    defects = found.left_out + more.left_out
    counts = _counts((train, validation), defects, found.filtered + more.filtered)
    read = len(pairs) + len(held_out) + sum(defects.values())
    dropped = read - counts["train"] - counts["validation"]
    share = dropped / max(1, read)
    languages = _by_language([*pairs, *held_out])
    overlaps = overlap([*pairs, *held_out])
    prepared = PreparedPairs(train, validation, counts, share, languages, cutting, overlaps)
    _check_enough(prepared, read)
    return prepared


def check_pairs_usable(prepared: PreparedPairs, ours: DetoxArguments) -> None:
    """Raise ``BadData`` where too many pairs were left out, or meet evaluation prompts."""
    if prepared.dropped_share > ours.max_dropped:
        raise BadData(
            f"{prepared.dropped_share:.1%} of the pairs are left out, more than --max_dropped "
            f"{ours.max_dropped:g} (see the table). Mend the file, or raise --max_dropped."
        )
    if prepared.contaminated_share > ours.max_contaminated:
        raise BadData(
            f"{prepared.contaminated_share:.1%} of the pairs hold an evaluation prompt, more than "
            f"--max_contaminated {ours.max_contaminated:g}. Take these pairs out."
        )


def reference_cache(arguments: Arguments) -> ReferenceCache:
    """Return the cache that the arguments ask for."""
    named = arguments.ours.reference_cache
    if named == "none":
        return ReferenceCache(None)
    return ReferenceCache(Path(named) if named else cache_path().parent / "reference")


def _cutting(arguments: Arguments, loaded: LoadedModel) -> Cutting:
    ours, dpo, _ = arguments
    limits = [limit for limit in (dpo.max_length, window_of(loaded.model)) if limit]
    sequence = min(limits, default=1024)
    if sequence <= ours.prompt_length:
        raise DetoxBenchError(
            f"The model has a window of {sequence} tokens, which a prompt of --prompt_length "
            f"{ours.prompt_length} fills: lower --prompt_length."
        )
    return Cutting(sequence, ours.prompt_length, ours.prompt_keep, ours.append_eos)


class _Read(NamedTuple):
    """Pairs of all sources; ``left_out`` for a defect, ``filtered`` by their format's own rule."""

    pairs: list[PreferencePair]
    left_out: Counter[str]
    filtered: Counter[str]


def _read(sources: Sequence[str], pairs_format: str, cut: Cut) -> _Read:
    read = _Read([], Counter(), Counter())
    for number, source in enumerate(sources):
        found = read_pairs(source, pairs_format, cut)
        renamed = (replace(pair, id=f"{number}/{pair.id}") for pair in found.pairs)
        read.pairs.extend(renamed if len(sources) > 1 else found.pairs)
        read.left_out.update(found.left_out)
        read.filtered.update(found.filtered)
    return read


def _counts(parts: Sequence[TokenPairs], *left_out: Mapping[str, int]) -> dict[str, int]:
    train, validation = parts
    counts = {"train": len(train.pairs), "validation": len(validation.pairs)}
    for found in (*left_out, *(each for part in parts for each in (part.cut, part.dropped))):
        for reason, count in found.items():
            counts[reason] = counts.get(reason, 0) + count
    return counts


def _by_language(pairs: Sequence[PreferencePair]) -> dict[str, int]:
    codes = [pair.language for pair in pairs]
    return {code: codes.count(code) for code in sorted(set(codes))}


def _check_validation(arguments: Arguments, held_out: Sequence[PreferencePair]) -> None:
    ours, dpo, _ = arguments
    wanted = ours.early_stopping_patience > 0 or dpo.load_best_model_at_end
    if wanted and not held_out:
        raise BadData(
            "There are too few pairs to keep any for validation, which choosing the best "
            "checkpoint needs: raise --validation_share, or give --validation_pairs FILE."
        )


def _check_enough(prepared: PreparedPairs, read: int) -> None:
    if not prepared.train.pairs:
        raise BadData(
            f"Of {read} pairs none is left to train on: "
            + ", ".join(f"{count} {reason}" for reason, count in prepared.counts.items() if count)
            + "."
        )
