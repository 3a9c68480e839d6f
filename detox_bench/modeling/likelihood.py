"""The log-probabilities of given continuations under a causal language model, in batches.

What is shared is computed once: equal continuations, and the prompt of many continuations, whose
key-value cache all of them get (``cache.share``). Prompts are padded on the left, continuations on
the right, so that logits are computed at no other place than before a token that is scored. Models
whose cache cannot be shared (state space models) run whole texts, padded on the right.
"""

import inspect
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.cache import share, shareable
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.positions import continuation_begins
from detox_bench.modeling.tokens import window_of

logger = logging.getLogger(__name__)

#: Tokens run at once, padding included; their logits are held in memory.
BATCH_TOKENS = 2048
_LIKE_LENGTHS = 8  # continuations whose lengths differ by less go into one batch
_AT_ONCE = 2**22  # logits turned into float32 at once

LogProbabilities = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Continuation:
    """The token ids of a ``prompt``, and the ``tokens`` after it that are to be scored."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


class ScoredTokens(NamedTuple):
    """What a model says of the tokens of one continuation: ``(n_tokens,)`` each.

    ``log_probabilities`` are natural logarithms; ``likeliest`` says of which no other token had a
    higher one.
    """

    log_probabilities: LogProbabilities
    likeliest: NDArray[np.bool_]


def log_probabilities(
    model: Any, continuations: Iterable[Continuation], batch_tokens: int = BATCH_TOKENS
) -> list[LogProbabilities]:
    """Return the natural log-probability of each token, as ``score_tokens`` has it."""
    return [each.log_probabilities for each in score_tokens(model, continuations, batch_tokens)]


def score_tokens(
    model: Any,
    continuations: Iterable[Continuation],
    batch_tokens: int = BATCH_TOKENS,
    window: int | None = None,
) -> list[ScoredTokens]:
    """Return what the model says of each token, given all tokens before it.

    Entry i is of continuation i, in the order given; one token shorter where the prompt is empty,
    since a first token has no probability. Prompts are cut on the left to the model's
    window (or ``window``), which the log tells. ``model`` is any causal language model, with
    adapters or without; each of its modules is left in its mode. It runs without gradients but not
    in ``inference_mode`` so that it may be in training: what it keeps for later is an ordinary
    tensor.

    Raises ``DetoxBenchError`` for a continuation longer than the window, and for logits of NaN.
    """
    window = window or window_of(model)
    given = list(continuations)
    fitted = [fit(each, window) for each in given]
    cut = sum(len(a.prompt) > len(b.prompt) for a, b in zip(given, fitted, strict=True))
    if cut:
        logger.warning("%d prompts were cut on the left to a window of %d tokens.", cut, window)
    found: dict[Continuation, ScoredTokens] = {}
    with _evaluating(model), torch.no_grad():
        for batch in _batches({each for each in fitted if each.tokens}, batch_tokens):
            found.update(zip(batch, _score(CausalModel(model), batch), strict=True))
    nothing = ScoredTokens(np.zeros(0, dtype=np.float32), np.zeros(0, dtype=bool))
    return [found.get(each, nothing) for each in fitted]


def perplexity(values: Sequence[float] | LogProbabilities) -> float | None:
    """Return exp(-mean) of ``(n_tokens,)`` log-probabilities; None if there is no token."""
    return float(np.exp(-np.mean(values, dtype=np.float64))) if len(values) else None


def fit(continuation: Continuation, window: int | None) -> Continuation:
    """Cut the prompt on the left to ``window``, and make an empty one of the first token.

    Raises ``DetoxBenchError`` where the continuation leaves no room for a token before it.
    """
    prompt, tokens = continuation.prompt, continuation.tokens
    if not prompt:
        prompt, tokens = tokens[:1], tokens[1:]
    room = len(prompt) if window is None else window - len(tokens)
    if room < 1 and tokens:
        raise DetoxBenchError(
            f"A continuation of {len(tokens)} tokens does not fit a window of {window} behind a "
            "prompt. Cut the text, or name a model with a longer window."
        )
    return Continuation(prompt[-max(room, 1) :], tokens)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Switch dropout off, and put every module back into its own mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _batches(different: Iterable[Continuation], batch_tokens: int) -> Iterator[list[Continuation]]:
    """Yield continuations of like length together, those of one prompt side by side."""
    longest: dict[tuple[int, ...], int] = {}
    for each in different:
        longest[each.prompt] = max(longest.get(each.prompt, 0), len(each.tokens))

    def order(each: Continuation) -> tuple[Any, ...]:
        like = longest[each.prompt] // _LIKE_LENGTHS
        return like, len(each.prompt), each.prompt, len(each.tokens), each.tokens

    batch: list[Continuation] = []
    prompts: set[tuple[int, ...]] = set()
    width = depth = 0  # of the longest continuation and prompt
    for each in sorted(different, key=order):
        width, depth = max(width, len(each.tokens)), max(depth, len(each.prompt))
        prompts.add(each.prompt)
        if batch and (len(batch) + 1) * width + len(prompts) * depth > batch_tokens:
            yield batch
            batch, prompts = [], {each.prompt}
            width, depth = len(each.tokens), len(each.prompt)
        batch.append(each)
    if batch:
        yield batch


def _score(model: CausalModel, batch: Sequence[Continuation]) -> list[ScoredTokens]:
    """Return the values of each continuation, those of one prompt from one prefill."""
    prompts = list(dict.fromkeys(each.prompt for each in batch))
    places = {prompt: place for place, prompt in enumerate(prompts)}
    try:
        prefix, mask = model.prefill(prompts)
    except DetoxBenchError:  # the model has no key-value cache
        return _score_whole(model, batch)
    if not shareable(prefix.cache):
        return _score_whole(model, batch)
    rows = model.tensor([places[each.prompt] for each in batch])
    targets, real = _padded(model, [each.tokens for each in batch])
    values = [_gather(prefix.logits[rows][:, None], targets[:, :1])]
    if (new := targets.shape[-1] - 1) > 0:
        before = real.new_ones(len(prompts), max(map(len, prompts))) if mask is None else mask
        mask = torch.cat([before[rows], real[:, 1:]], -1)
        logits = _run(model, targets[:, :-1], mask, share(prefix.cache, rows, new)).logits
        values.append(_gather(logits, targets[:, 1:]))
    return _by_row(torch.cat(values, 1), [(0, len(each.tokens)) for each in batch])


def _score_whole(model: CausalModel, batch: Sequence[Continuation]) -> list[ScoredTokens]:
    """Return the same from whole texts; logits begin where the shortest prompt ends."""
    ids, real = _padded(model, [each.prompt + each.tokens for each in batch])
    begin = min(len(each.prompt) for each in batch)
    kept = ids.shape[-1] - begin
    with continuation_begins([len(each.prompt) - 1 for each in batch]):
        logits = _run(model, ids[:, :-1], real[:, :-1], logits_to_keep=kept).logits[:, -kept:]
    values = _gather(logits, ids[:, begin:])
    starts = [len(each.prompt) - begin for each in batch]
    return _by_row(values, [(n, n + len(e.tokens)) for n, e in zip(starts, batch, strict=True)])


def _run(model: CausalModel, ids: Tensor, mask: Tensor, cache: Any = None, **options: Any) -> Any:
    """Run ``ids`` ``(rows, new)`` behind ``cache`` with the arguments that the model takes."""
    places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[-1] :]
    unwrap = getattr(model.model, "get_base_model", lambda: model.model)
    accepted = inspect.signature(unwrap().forward).parameters
    options |= {"position_ids": places, "past_key_values": cache, "use_cache": cache is not None}
    options = {name: value for name, value in options.items() if name in accepted}
    return model.model(input_ids=ids, attention_mask=mask, **options)


def _padded(model: CausalModel, sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return ids and mask ``(rows, longest)``, padded on the right."""
    longest = max(map(len, sequences))
    ids = [[*each, *[model.pad_token] * (longest - len(each))] for each in sequences]
    real = [[int(n < len(each)) for n in range(longest)] for each in sequences]
    return model.tensor(ids), model.tensor(real)


def _gather(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``(rows, places, 2)``: log-probabilities of ``targets``, and 1 where none is higher.

    In float32, chunk by chunk.
    """
    flat, wanted = logits.flatten(0, 1), targets.flatten().to(logits.device)
    size = max(1, _AT_ONCE // flat.shape[-1])
    totals = torch.cat([part.float().logsumexp(-1) for part in flat.split(size)])
    own = flat.gather(-1, wanted[:, None]).squeeze(-1)
    likeliest = own >= flat.amax(-1)
    return torch.stack([own.float() - totals, likeliest.float()], -1).view(*targets.shape, 2)


def _by_row(values: Tensor, spans: Sequence[tuple[int, int]]) -> list[ScoredTokens]:
    """Return the part of each row that is asked for; raises where one is NaN."""
    rows = values.cpu().numpy()
    found = [row[begin:end].copy() for row, (begin, end) in zip(rows, spans, strict=True)]
    if any(np.isnan(row).any() for row in found):
        raise DetoxBenchError(
            "The model's logits are not numbers (NaN), as happens when float16 overflows. Load it "
            "with dtype=bfloat16 or dtype=float32."
        )
    return [ScoredTokens(row[:, 0], row[:, 1] > 0) for row in found]
