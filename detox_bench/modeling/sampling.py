"""Many continuations of each prompt: one prefill a prompt, shared by its samples.

What is drawn for (seed, prompt id, sample) depends on nothing else: the random numbers are counted,
not streamed (``random_numbers``), and a draw so close that rounding could decide it is made again
from that one sequence alone, so that in float32 the batch size, the order, a limit or a resumption
change no text. In lower precision rounding is too coarse for that.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.cache import share, shareable
from detox_bench.modeling.forward import CausalModel, Step
from detox_bench.modeling.nucleus import TRIES, Draw, SamplingSettings, draw
from detox_bench.modeling.positions import continuation_begins
from detox_bench.modeling.random_numbers import uniforms
from detox_bench.modeling.rounding import Gauge, fine

# The first batch measures the noise of its draws on so many sequences at each position.
_COMPARED = 4
# Below this share of ended rows, moving the cache costs more than decoding them.
_WORTH_DROPPING = 0.25


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """The ``samples`` (numbers from 0) wanted of one prompt, given as token ids.

    ``prompt_id`` decides the draws; ``label`` is the caller's own and means nothing here.
    """

    prompt_id: str
    tokens: tuple[int, ...]
    samples: tuple[int, ...]
    label: Any = None


class SampledTokens(NamedTuple):
    """The token ids of one continuation, without the token that ended it."""

    request: SampleRequest
    sample: int
    tokens: list[int]


class _Row(NamedTuple):
    """One sequence to decode: its prompt's ``place`` in the group and its sample number."""

    place: int
    request: SampleRequest
    sample: int


@dataclass(slots=True)
class _Decoding:
    """The sequences that are being decoded together; shrinks as they end."""

    alive: Tensor  # (n,) which rows of the batch they are
    ended: Tensor  # (n,) bool
    logits: Tensor  # (n, vocabulary)
    cache: Any
    mask: Tensor | None


class Sampler:
    """Draws continuations from a causal language model."""

    def __init__(
        self,
        model: CausalModel,
        settings: SamplingSettings,
        stop_tokens: Iterable[int] = (),
        batch_size: int = 64,
    ) -> None:
        """Sample ``model`` by ``settings``, decoding ``batch_size`` continuations at once."""
        self.model = model
        self.settings = settings
        self.stop_tokens = frozenset(stop_tokens)
        self.batch_size = batch_size
        self.gauge = Gauge()

    def sample(self, requests: Iterable[SampleRequest]) -> Iterator[list[SampledTokens]]:
        """Yield the continuations batch by batch, prompts of like length together."""
        for group in _groups(requests, self.batch_size):
            rows = iter(
                [_Row(place, each, n) for place, each in enumerate(group) for n in each.samples]
            )
            with torch.inference_mode():
                prefix, mask = self.model.prefill([request.tokens for request in group])
            if prefix.logits.isnan().any():
                raise DetoxBenchError(
                    "The model's logits are not numbers (NaN), as happens when float16 overflows "
                    "or an edit is too large. Load it with dtype=float32, or edit with smaller "
                    "values."
                )
            while batch := list(islice(rows, self.batch_size)):
                with torch.inference_mode():
                    drawn = self._decode(batch, self._start(batch, prefix, mask))
                yield [self._result(row, tokens) for row, tokens in zip(batch, drawn, strict=True)]

    def _start(self, batch: Sequence[_Row], prefix: Step, mask: Tensor | None) -> _Decoding:
        """Give every row its prompt's logits and cache, or its own prefill where that cannot be."""
        places = self.model.tensor([row.place for row in batch])
        if shareable(prefix.cache):
            cache = share(prefix.cache, places, self.settings.new_tokens)
            prefix, mask = Step(prefix.logits[places], cache), _rows(mask, places)
        else:
            prefix, mask = self.model.prefill([row.request.tokens for row in batch])
        alive = torch.arange(len(batch), device=places.device)
        return _Decoding(alive, torch.zeros_like(alive, dtype=torch.bool), *prefix, mask)

    def _decode(self, batch: Sequence[_Row], state: _Decoding) -> list[list[int]]:
        """Return the drawn tokens ``(rows, new_tokens)``; after a stop token they mean nothing."""
        count = self.settings.new_tokens
        random = self._random(batch)
        stops = self.model.tensor(sorted(self.stop_tokens))
        drawn = torch.full((len(batch), count), -1, device=self.model.device)
        first = self.gauge.compared == 0
        for position in range(count):
            if first and fine(state.logits):
                self._measure(state, batch, drawn[:, :position])
            numbers = random[state.alive, position]
            won = draw(state.logits, numbers, self.settings, self.gauge.noise)
            tokens = self._settle(won, numbers, state, batch, drawn[:, :position])
            drawn[state.alive, position] = tokens
            state.ended |= torch.isin(tokens, stops)
            if position + 1 == count or not self._advance(state, tokens):
                break
        return drawn.tolist()

    def _random(self, batch: Sequence[_Row]) -> Tensor:
        """Return the numbers ``(rows, new_tokens, TRIES)`` that decide the draws."""
        seed, count = self.settings.seed, self.settings.new_tokens * TRIES
        numbers = [uniforms(seed, row.request.prompt_id, row.sample, count) for row in batch]
        stacked = np.stack(numbers).reshape(len(batch), -1, TRIES)
        return torch.from_numpy(stacked).to(self.model.device)

    def _measure(self, state: _Decoding, batch: Sequence[_Row], before: Tensor) -> None:
        """Compare a few sequences of the batch with themselves, run alone."""
        for place in range(0, len(state.alive), max(1, len(state.alive) // _COMPARED)):
            self._alone(place, state, batch, before)

    def _settle(
        self, won: Draw, numbers: Tensor, state: _Decoding, batch: Sequence[_Row], before: Tensor
    ) -> Tensor:
        """Draw the close calls again, from logits that no other sequence of the batch can touch."""
        for place in (won.close & ~state.ended).nonzero().flatten().tolist():
            logits = self._alone(place, state, batch, before)
            won.tokens[place] = draw(logits, numbers[place, None], self.settings).tokens[0]
        return won.tokens

    def _alone(self, place: int, state: _Decoding, batch: Sequence[_Row], before: Tensor) -> Tensor:
        """Return the logits ``(1, vocabulary)`` of one sequence, run without padding or cache."""
        index = int(state.alive[place])
        prompt = batch[index].request.tokens
        with continuation_begins([len(prompt) - 1]):
            alone, _ = self.model.prefill([[*prompt, *before[index].tolist()]])
        self.gauge.compare(state.logits[place], alone.logits[0], self.settings.temperature)
        return alone.logits

    def _advance(self, state: _Decoding, tokens: Tensor) -> bool:
        """Run the drawn tokens; return False if every row has ended."""
        share_ended = float(state.ended.float().mean())
        if share_ended == 1:
            return False
        if share_ended >= _WORTH_DROPPING and shareable(state.cache):
            tokens = _drop_ended(state, tokens)
        if state.mask is not None:
            state.mask = torch.cat([state.mask, state.mask.new_ones(len(tokens), 1)], -1)
        state.logits, state.cache = self.model.step(tokens[:, None], state.mask, state.cache)
        return True

    def _result(self, row: _Row, tokens: list[int]) -> SampledTokens:
        end = next(
            (at for at, token in enumerate(tokens) if token in self.stop_tokens), len(tokens)
        )
        return SampledTokens(row.request, row.sample, tokens[:end])


def _drop_ended(state: _Decoding, tokens: Tensor) -> Tensor:
    """Take the ended rows out of ``state`` and return the tokens of the others."""
    running = (~state.ended).nonzero().flatten()
    state.cache.batch_select_indices(running)
    state.alive, state.ended = state.alive[running], state.ended[running]
    state.mask = _rows(state.mask, running)
    return tokens[running]


def _rows(tensor: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if tensor is None else tensor[rows]


def _groups(requests: Iterable[SampleRequest], rows: int) -> Iterator[list[SampleRequest]]:
    """Yield prompts to prefill together: longest first, their samples filling one batch."""
    group: list[SampleRequest] = []
    taken = 0
    for request in sorted(requests, key=lambda each: (-len(each.tokens), each.prompt_id)):
        if group and taken + len(request.samples) > rows:
            yield group
            group, taken = [], 0
        group.append(request)
        taken += len(request.samples)
    if group:
        yield group
