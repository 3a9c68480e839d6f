"""A causal language model with its tokenizer, from a folder or the Hub."""

from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from detox_bench.errors import DetoxBenchError


class LoadedModel(NamedTuple):
    """A causal language model in evaluation mode, its tokenizer, and what it was asked for by."""

    name: str
    model: Any
    tokenizer: Any


def load_causal_model(
    name: str, device: str | None = None, dtype: torch.dtype | str | None = None
) -> LoadedModel:
    """Load a folder or Hub name, adapter folders included; never runs code out of a repository.

    ``device`` is a GPU where there is one if it is None or ``auto``; ``dtype`` is then float32 on
    a CPU, else the type the weights are stored in. Raises ``DetoxBenchError`` for what cannot be
    loaded.
    """
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.device(automatic if device in (None, "auto") else str(device))
        kind = dtype or (torch.float32 if where.type == "cpu" else "auto")
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=kind).to(where).eval()
    except (OSError, ValueError, RuntimeError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise DetoxBenchError(
            f"{name} cannot be loaded as a causal language model with its tokenizer: {first} "
            "Give a model's folder or its name on the Hub."
        ) from error
    return LoadedModel(name, model, tokenizer)
