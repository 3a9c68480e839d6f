"""The states of every layer, pooled over the tokens of a text: what bilingual retrieval compares.

The poolings are in ``poolings``.
"""

import inspect
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.modeling.architectures import causal_model
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.poolings import POOLINGS, Weights
from detox_bench.modeling.positions import continuation_begins

logger = logging.getLogger(__name__)

_BLOCK = 2048  # texts tokenised at once
#: What a batch size of None begins with; halved whenever the device runs out of memory.
_AUTO_BATCH = {"cuda": 128}
_AUTO_BATCH_ELSEWHERE = 16

States = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PoolingSettings:
    """How texts are run and their states pooled.

    ``pooling`` is a name of ``poolings.POOLINGS``; ``batch_size`` None means as the device allows;
    ``window`` the most tokens a text may have; ``special_tokens`` whether the tokenizer adds its
    own, None: as it does by itself.
    """

    pooling: str = "mean"
    batch_size: int | None = None
    window: int | None = None
    special_tokens: bool | None = None


class PooledBatch(NamedTuple):
    """Positions of texts, their lengths in tokens before any cut, and their states.

    ``states`` is ``(layers + 1, texts, hidden_size)`` float32, the embedding layer first; NaN
    where no token of a text has a weight.
    """

    texts: list[int]
    lengths: list[int]
    states: States


def pooled_batches(
    model: Any, tokenizer: Any, texts: Sequence[str], settings: PoolingSettings | None = None
) -> Iterator[PooledBatch]:
    """Yield the states of ``texts`` in all layers, batch by batch, the longest first.

    One pass makes all layers, so that the device holds those of one batch at once: layers + 1 times
    tokens times hidden size. Where its memory runs out, this and all later batches are half as
    large. Pooling is in float32, autocast or not, where the layer is. Texts are cut on the right to
    the window.

    Args:
        model: A model of transformers, PEFT-wrapped or not, edited or not.
        tokenizer: Its tokenizer.
        texts: Any texts.
        settings: How; see there.

    Raises:
        UnknownName: for a pooling that is in no table.
        DetoxBenchError: for a model that gives no hidden states, or not those of its prompt
            learning.
        torch.OutOfMemoryError: where a single text is too much.
    """
    asked = settings or PoolingSettings()
    if asked.pooling not in POOLINGS:
        raise unknown_name("pooling", asked.pooling, POOLINGS)
    tokens = _tokens(tokenizer, texts, asked.special_tokens)
    run = _Pass(model, POOLINGS[asked.pooling], begin_tokens(tokenizer, asked.special_tokens))
    order = sorted(range(len(texts)), key=lambda n: -len(tokens[n]))
    size = asked.batch_size or _AUTO_BATCH.get(run.model.device.type, _AUTO_BATCH_ELSEWHERE)
    start = 0
    while start < len(order):
        part = order[start : start + size]
        states = _unless_too_large(run, [tokens[n][: asked.window] for n in part])
        if states is None:
            size //= 2
            logger.warning("Out of memory: going on with batch size %d.", size)
            continue
        yield PooledBatch(part, [len(tokens[n]) for n in part], states)
        start += len(part)


def _unless_too_large(run: "_Pass", sequences: Sequence[Sequence[int]]) -> States | None:
    """Return the states, or None where memory runs out with more than one text."""
    try:
        return run(sequences)
    except torch.OutOfMemoryError:
        if len(sequences) == 1:
            raise
    torch.cuda.empty_cache()  # only now: the error holds the layers as long as it is handled
    return None


def begin_tokens(tokenizer: Any, special_tokens: bool | None = None) -> int:
    """Return how many tokens the tokenizer adds before a text."""
    with_them, without = (_tokens(tokenizer, ["a"], each)[0] for each in (special_tokens, False))
    places = range(len(with_them) - len(without) + 1)
    return next((n for n in places if with_them[n : n + len(without)] == without), 0)


def _tokens(
    tokenizer: Any, texts: Sequence[str], special_tokens: bool | None
) -> list[Sequence[int]]:
    options = {} if special_tokens is None else {"add_special_tokens": special_tokens}
    found: list[Sequence[int]] = []
    for start in range(0, len(texts), _BLOCK):
        block = list(texts[start : start + _BLOCK])
        found += tokenizer(block, verbose=False, **options)["input_ids"]
    return found


class _Pass:
    """Runs token sequences and pools what each layer makes of them."""

    def __init__(self, model: Any, weights: Weights, added: int) -> None:
        _check_prompt_learning(model)
        self.model = CausalModel(model)
        self.weights, self.added = weights, added
        # Not the head: it would make a row of the vocabulary's length for every token.
        self.trunk = getattr(causal_model(model), "base_model", None)
        if self.trunk is None:
            raise _no_states(model)
        self.accepted = frozenset(inspect.signature(self.trunk.forward).parameters)

    @torch.inference_mode()
    def __call__(self, sequences: Sequence[Sequence[int]]) -> States:
        """Return ``(layers + 1, rows, hidden_size)``."""
        longest = max(1, *map(len, sequences))
        pad = self.model.pad_token
        ids = self.model.tensor([[*each, *[pad] * (longest - len(each))] for each in sequences])
        length = self.model.tensor([[len(each)] for each in sequences])
        place = torch.arange(longest, device=ids.device)[None]
        # A row of padding only would see nothing; it has no weight below.
        options = {"attention_mask": ((place < length) | (place == 0)).long(), "use_cache": False}
        options = {name: value for name, value in options.items() if name in self.accepted}
        # As where a prompt is read: an edit of generated tokens only begins at its last token.
        with continuation_begins([max(0, len(each) - 1) for each in sequences]):
            layers = self._layers(ids, options)
        weights = self.weights(place, length, self.added).float()
        weights = weights / weights.sum(-1, keepdim=True)
        return np.stack([_pooled(layer, weights) for layer in layers])

    def _layers(self, ids: Tensor, options: dict[str, Any]) -> Sequence[Tensor]:
        assert self.trunk is not None
        output = self.trunk(input_ids=ids, output_hidden_states=True, return_dict=True, **options)
        layers: Sequence[Tensor] | None = getattr(output, "hidden_states", None)
        if not layers or any(layer.shape[:-1] != ids.shape for layer in layers):
            raise _no_states(self.model.model)
        return layers


def _pooled(layer: Tensor, weights: Tensor) -> States:
    """Return ``(rows, hidden_size)``; what stands at places without weight is never looked at."""
    weights = weights.to(layer.device)
    with torch.autocast(layer.device.type, enabled=False):  # which would multiply in half precision
        states = layer.float().masked_fill((weights == 0)[..., None], 0)
        found: States = torch.bmm(weights[:, None], states)[:, 0].cpu().numpy()
    return found


def _check_prompt_learning(model: Any) -> None:
    """Raise ``DetoxBenchError`` for virtual tokens, which PEFT puts in before the trunk is run."""
    config = getattr(model, "active_peft_config", None)
    if getattr(config, "is_prompt_learning", False):
        raise DetoxBenchError(
            f"The adapter is one of prompt learning ({type(config).__name__}), and its virtual "
            "tokens would be missing from the hidden states. Take a LoRA or a whole model."
        )


def _no_states(model: Any) -> DetoxBenchError:
    return DetoxBenchError(
        f"{type(model).__name__} returns no hidden states of its layers. Take a causal language "
        "model of transformers."
    )
