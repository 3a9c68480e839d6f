"""The mean of the last layer's hidden states over the tokens of a text: what a probe reads."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detox_bench.modeling.architectures import blocks, causal_model, final_norm
from detox_bench.modeling.finite import check_finite
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.positions import continuation_begins
from detox_bench.modeling.tokens import window_of

logger = logging.getLogger(__name__)

_BLOCK = 2048  # texts tokenised at once, and sorted by their tokens

States = NDArray[np.float32]


class StateBatch(NamedTuple):
    """Positions of texts, and their states ``(n, hidden_size)``; NaN where a text has no token."""

    texts: list[int]
    states: States


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Which states: behind the final norm, as the paper's probe reads them, or before it.

    ``batch_size`` texts are run at once, which changes no state but by rounding.
    """

    after_norm: bool = True
    batch_size: int = 32


def mean_states(
    model: Any, tokenizer: Any, texts: Sequence[str], settings: StateSettings | None = None
) -> States:
    """Return ``(n_texts, hidden_size)`` mean states, all at once; as ``state_batches``."""
    found = None
    for batch in state_batches(model, tokenizer, texts, settings):
        if found is None:
            found = np.full((len(texts), batch.states.shape[-1]), np.nan, dtype=np.float32)
        found[batch.texts] = batch.states
    return np.zeros((0, 0), dtype=np.float32) if found is None else found


def state_batches(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    settings: StateSettings | None = None,
    skip: frozenset[int] = frozenset(),
) -> Iterator[StateBatch]:
    """Yield the mean states of ``texts``, batch by batch, the longest first.

    The mean is over all tokens of a text but padding, the begin and end tokens that a tokenizer
    adds by itself among them, as in the paper's code (arXiv 2406.16235). It is taken in float32,
    where the model is. Texts are cut on the right to the model's window, and those without a token
    have no state; the log tells both.

    To an edit of generated positions a text is a prompt: its last token is where the first new one
    would be made.

    Args:
        model: A causal language model, with adapters or without, edited or not.
        tokenizer: Its tokenizer.
        texts: Any texts.
        settings: Which states, and how many texts at once.
        skip: Positions of texts that are not asked for. Which texts are run together does not
            depend on it, so that the others' states are the same to the last bit.

    Raises:
        DetoxBenchError: for states that are not finite.
    """
    asked = settings or StateSettings()
    order = sorted(range(len(texts)), key=lambda n: -len(texts[n]))
    window, cut, empty = window_of(model), 0, []
    with _last_states(model, asked.after_norm) as run:
        for start in range(0, len(order), _BLOCK):
            block = order[start : start + _BLOCK]
            if skip.issuperset(block):
                continue
            tokens = tokenizer([texts[n] for n in block], verbose=False)["input_ids"]
            cut += sum(len(ids) > (window or len(ids)) for ids in tokens)
            empty += [n for n, ids in zip(block, tokens, strict=True) if not ids]
            pairs = [(n, ids[:window]) for n, ids in zip(block, tokens, strict=True)]
            pairs.sort(key=lambda pair: -len(pair[1]))
            for first in range(0, len(pairs), asked.batch_size):
                numbers, ids = zip(*pairs[first : first + asked.batch_size], strict=True)
                wanted = [row for row, n in enumerate(numbers) if n not in skip]
                if wanted:
                    yield StateBatch([numbers[row] for row in wanted], run(ids)[wanted])
    _tell(cut, window, sorted(empty))


class _Runner:
    """Runs token sequences and keeps the mean of what the hook is shown."""

    def __init__(self, model: Any) -> None:
        self.model = CausalModel(model)
        # Not the head: it would make a row of the vocabulary's length for every token.
        self.trunk = causal_model(model).base_model
        self.accepted = frozenset(inspect.signature(self.trunk.forward).parameters)
        self.shown: Tensor | None = None

    def show(self, states: Tensor) -> None:
        """Take the states of the present pass."""
        self.shown = states

    def __call__(self, sequences: Sequence[Sequence[int]]) -> States:
        """Return ``(rows, hidden_size)`` means over the tokens of each sequence."""
        longest = max(1, *map(len, sequences))
        pad = self.model.pad_token
        ids = self.model.tensor([[*each, *[pad] * (longest - len(each))] for each in sequences])
        lengths = self.model.tensor([len(each) for each in sequences])
        real = torch.arange(longest, device=ids.device) < lengths[:, None]
        # A row of padding only would see nothing; its mean is made NaN below.
        seen = real.clone()
        seen[:, 0] = True
        options = {"attention_mask": seen.long(), "use_cache": False}
        options = {name: value for name, value in options.items() if name in self.accepted}
        with continuation_begins([max(len(each) - 1, 0) for each in sequences]):
            self.trunk(input_ids=ids, **options)
        return _means(self.shown, real)


def _means(shown: Tensor | None, real: Tensor) -> States:
    assert shown is not None, "the model did not run its last norm"
    states = shown.reshape(*real.shape, -1).float()
    real = real.to(states.device)
    counts = real.sum(-1, keepdim=True)
    means = states.masked_fill(~real[..., None], 0).sum(1) / counts
    check_finite(means[counts[:, 0] > 0], "hidden states")
    found: States = means.cpu().numpy()
    return found


@contextmanager
def _last_states(model: Any, after_norm: bool) -> Iterator[_Runner]:
    """Hook the final norm: what goes in is before it, what comes out behind it."""
    runner, norm = _Runner(model), final_norm(model)
    last: nn.Module = norm
    if not any(norm is module for module in causal_model(model).modules()):
        last, after_norm = blocks(model)[-1], True  # no norm: what the last block writes is both

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        runner.show(args[0])

    def behind(_: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
        runner.show(output if isinstance(output, Tensor) else output[0])

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    handle = (
        last.register_forward_hook(behind) if after_norm else last.register_forward_pre_hook(before)
    )
    try:
        with torch.no_grad():
            yield runner
    finally:
        handle.remove()
        for module, training in modes:
            module.training = training


def _tell(cut: int, window: int | None, empty: list[int]) -> None:
    if cut:
        logger.warning("%d texts were cut to the model's window of %s tokens.", cut, window)
    if empty:
        first = ", ".join(str(n) for n in empty[:10])
        logger.warning(
            "%d texts have no token and no state: number %s%s (from 0).",
            len(empty),
            first,
            ", …" if len(empty) > 10 else "",
        )
