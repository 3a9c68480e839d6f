"""Greedy decoding of many prompts at once, every step of it open to the eyes of a caller."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.finite import check_finite
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.loading import LoadedModel
from detox_bench.modeling.tokens import prompt_tokens


class GreedyStep(NamedTuple):
    """One pass of a batch, which has made the next token of each row.

    ``places`` says which prompt each row is. ``running`` is ``(rows,)``: whether the row had not
    ended before this pass; the pass that makes the stop token counts, those after it do not.
    """

    places: Sequence[int]
    running: Tensor


class GreedyTokens(NamedTuple):
    """The ``tokens`` that continue the prompt at ``place``, without the one that ended it."""

    place: int
    tokens: list[int]


#: Called after each pass, so that what hooks have kept of it can be read.
Seen = Callable[[GreedyStep], None]


def greedy(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    new_tokens: int = 20,
    stop_tokens: Iterable[int] = (),
    seen: Seen | None = None,
    batch_size: int = 16,
) -> Iterator[list[GreedyTokens]]:
    """Yield the likeliest continuations batch by batch, prompts of like length together.

    Args:
        model: In evaluation mode.
        prompts: Token ids, none without a token.
        new_tokens: So many passes a batch, the one over the prompts being the first.
        stop_tokens: Any of them ends a row. It stays in the batch, and no longer counts.
        seen: Told of every pass.
        batch_size: Prompts decoded at once. In float32 it changes no token, unless two logits
            differ by less than rounding does.

    Raises ``DetoxBenchError`` where the highest logit of a row is not finite.
    """
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    stops = frozenset(stop_tokens)
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        with torch.inference_mode():
            rows = _decode(
                model, [prompts[p] for p in places], new_tokens, stops, _at(places, seen)
            )
        yield [GreedyTokens(p, _until(stops, row)) for p, row in zip(places, rows, strict=True)]


def encode_prompts(
    loaded: LoadedModel, texts: Iterable[str], new_tokens: int
) -> list[tuple[int, ...]]:
    """Return the token ids of prompts, cut on the left so that ``new_tokens`` more fit the window.

    Raises ``DetoxBenchError`` where they leave no room for a prompt.
    """
    room = loaded.window - new_tokens
    if room < 1:
        raise DetoxBenchError(
            f"{new_tokens} new tokens do not fit a window of {loaded.window}. Ask for fewer: "
            "--tokens."
        )
    return [prompt_tokens(loaded.tokenizer, text, room) for text in texts]


def _at(places: Sequence[int], seen: Seen | None) -> Callable[[Tensor], None]:
    """Return what is to be told which rows are running."""
    if seen is None:
        return lambda _: None
    return lambda running: seen(GreedyStep(places, running))


def _decode(
    model: CausalModel,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    stop_tokens: Iterable[int],
    tell: Callable[[Tensor], None],
) -> list[list[int]]:
    """Return the tokens ``(rows, passes)``; after a stop token they mean nothing."""
    stops = model.tensor(sorted(stop_tokens))
    running = torch.ones(len(prompts), dtype=torch.bool, device=model.device)
    (logits, cache), mask = model.prefill(prompts)
    made = []
    while True:
        tell(running)
        highest, tokens = logits.max(-1)
        check_finite(highest[running], "logits")
        made.append(tokens)
        running = running & ~torch.isin(made[-1], stops)
        if len(made) == new_tokens or not running.any():
            return torch.stack(made, -1).tolist()
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], -1)
        logits, cache = model.step(made[-1][:, None], mask, cache)


def _until(stops: frozenset[int], tokens: list[int]) -> list[int]:
    end = next((at for at, token in enumerate(tokens) if token in stops), len(tokens))
    return tokens[:end]
