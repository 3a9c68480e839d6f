"""A causal language model with an adapter of PEFT on it, as lm-eval loads the two."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.loading import LoadedModel, load_causal_model

_LONGEST_REASON = 300  # characters
#: What peft and torch raise for what is no adapter, or does not fit the model.
_FAILURES = (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError, SafetensorError)


def load_adapted_model(
    name: str, adapter: str | None, device: str | None = None, dtype: Any = None
) -> LoadedModel:
    """Load a model (``load_causal_model``), and put the ``adapter`` on it where one is named.

    The weights then have the names, and so the hash, that ``eval --model_args peft=`` gives them;
    the tokenizer is the model's. Raises ``DetoxBenchError`` for what cannot be loaded.
    """
    loaded = load_causal_model(name, device, dtype)
    if adapter is None:
        return loaded
    try:
        from peft import PeftModel

        model = PeftModel.from_pretrained(loaded.model, adapter).eval()
    except _FAILURES as error:
        told = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise DetoxBenchError(
            f"{adapter} cannot be put on {name} as an adapter: {told} Give the folder of an "
            "adapter of PEFT made for this model."
        ) from error
    return LoadedModel(Path(adapter).name, model, loaded.tokenizer)
