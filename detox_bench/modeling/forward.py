"""One forward pass of any causal language model of transformers, with what that model accepts."""

import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detox_bench.errors import DetoxBenchError


class Step(NamedTuple):
    """The ``logits`` ``(rows, vocabulary)`` after the last token of each row, and the cache."""

    logits: Tensor
    cache: Any


class CausalModel:
    """A causal language model, PEFT-wrapped or not, as a function of ids, mask and cache."""

    def __init__(self, model: Any, pad_token: int = 0) -> None:
        """Wrap ``model``; ``pad_token`` may be any id, since padded places are masked."""
        self.model = model
        self.pad_token = pad_token

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return torch.device(self.model.device)

    @cached_property
    def _accepted(self) -> frozenset[str]:
        unwrap = getattr(self.model, "get_base_model", lambda: self.model)
        return frozenset(inspect.signature(unwrap().forward).parameters)

    def tensor(self, values: Sequence[Any]) -> Tensor:
        """Return ``values`` as a tensor on the model's device."""
        return torch.tensor(values, device=self.device)

    def prefill(self, sequences: Sequence[Sequence[int]]) -> tuple[Step, Tensor | None]:
        """Run token sequences, left-padded to one length; the mask is None if none is padded."""
        length = max(map(len, sequences))
        missing = [length - len(sequence) for sequence in sequences]
        padded = [[self.pad_token] * n + list(s) for n, s in zip(missing, sequences, strict=True)]
        mask = None
        if any(missing):
            mask = (torch.arange(length)[None] >= torch.tensor(missing)[:, None]).long()
            mask = mask.to(self.device)
        return self.step(self.tensor(padded), mask, None), mask

    def step(self, ids: Tensor, mask: Tensor | None, cache: Any) -> Step:
        """Run ``ids`` ``(rows, new)`` after ``cache``; ``mask`` covers the cached places too."""
        optional: dict[str, Any] = {"logits_to_keep": 1}
        if mask is not None:
            places = (mask.cumsum(-1) - 1).clamp(min=0)
            optional["position_ids"] = places[:, -ids.shape[-1] :]
        outputs = self.model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **{name: value for name, value in optional.items() if name in self._accepted},
        )
        cache = getattr(outputs, "past_key_values", None)
        if cache is None:
            kind = type(self.model).__name__
            raise DetoxBenchError(
                f"{kind} returns no key-value cache, which sampling needs. Use --model hf instead."
            )
        return Step(outputs.logits[:, -1], cache)
