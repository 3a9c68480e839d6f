"""A language model with its tokenizer, from a folder or the Hub."""

from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.tokens import stop_tokens_of, window_of

_LONGEST_REASON = 300  # characters
_LONGEST_WINDOW = 10**6  # tokenizers without a limit say 10**30
#: What transformers and torch raise for a damaged or foreign file, a missing package or device.
_FAILURES = (
    *(OSError, ValueError, RuntimeError, ImportError, AssertionError),
    *(TypeError, KeyError, AttributeError, SafetensorError, StrictDataclassError),
)


class LoadedModel(NamedTuple):
    """A language model in evaluation mode, its tokenizer, and what it was asked for by."""

    name: str
    model: Any
    tokenizer: Any

    @property
    def window(self) -> int:
        """Return how many tokens the model takes."""
        limits = (window_of(self.model), self.tokenizer.model_max_length)
        return min(limit for limit in (*limits, _LONGEST_WINDOW) if limit)

    @property
    def stop_tokens(self) -> list[int]:
        """Return the ids that end a text: the tokenizer's, and the generation settings'."""
        return stop_tokens_of(self.model, self.tokenizer)


def load_tokenizer(name: str) -> Any:
    """Return the tokenizer in a folder or of the Hub. Raises ``DetoxBenchError``."""
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except _FAILURES as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DetoxBenchError(
            f"No tokenizer could be loaded from {name!r}: {first} Give a folder or a Hub name."
        ) from error


def load_causal_model(
    name: str, device: str | None = None, dtype: torch.dtype | str | None = None
) -> LoadedModel:
    """Load a folder or Hub name, adapter folders included; never runs code out of a repository.

    ``device`` is a GPU where there is one if it is None or ``auto``; ``dtype`` is then float32 on
    a CPU, else the type the weights are stored in; in float32 the same seed gives the same texts
    whatever the batch size, other types may not. Raises ``DetoxBenchError`` for what cannot be
    loaded.
    """
    return _load(AutoModelForCausalLM, "a causal language model", name, device, dtype)


def load_seq2seq_model(name: str, device: str | None = None) -> LoadedModel:
    """Load an encoder with a decoder (T5, mT5) as ``load_causal_model`` loads a decoder."""
    return _load(AutoModelForSeq2SeqLM, "a sequence-to-sequence model", name, device, None)


def _load(
    kind_of: Any, words: str, name: str, device: str | None, dtype: torch.dtype | str | None
) -> LoadedModel:
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.device(automatic if device in (None, "auto") else str(device))
        kind = dtype or (torch.float32 if where.type == "cpu" else "auto")
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = kind_of.from_pretrained(name, dtype=kind, trust_remote_code=False)
        model = model.to(where).eval()
    except _FAILURES as error:
        told = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise DetoxBenchError(
            f"{name} cannot be loaded as {words} with its tokenizer: {told} "
            "Give a model's folder or its name on the Hub."
        ) from error
    return LoadedModel(name, model, tokenizer)
