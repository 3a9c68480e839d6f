"""Top-p (nucleus) sampling without sorting the vocabulary, exact, drawn by the inverse CDF.

The nucleus is the smallest set of tokens whose probability reaches p (Holtzman et al.,
arXiv 1904.09751); temperature, then top-k, then top-p, in the order of transformers. Where the few
hundred most probable tokens hold it, they are found and cut (``_narrow``); where the distribution
is too flat for that, a histogram of the whole vocabulary finds the cut (``wide_nucleus``).

The draw walks the nucleus in the order of token ids: neighbours in an order of probability change
places for a rounding error, token ids do not. ``Draw.close`` says where noise of a given size could
have changed the outcome, so that a caller can decide those draws in a way that no noise moves.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from detox_bench.modeling.ranking import top
from detox_bench.modeling.walk import Draw, Noise, Nucleus, walk
from detox_bench.modeling.wide_nucleus import wide_nucleus

_CANDIDATES = 256
_SPARE = 2  # candidates beyond the nucleus, to see what it might exchange
_BLOCK_ELEMENTS = 2**21  # logits that fit a processor's cache

NO_NOISE = Noise(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How continuations are drawn. The defaults are the paper's (arXiv 2406.16235, section 4.1)."""

    new_tokens: int = 20
    temperature: float = 0.9
    top_p: float = 0.8
    top_k: int = 0
    seed: int = 0


class _Ranked(NamedTuple):
    """The most probable tokens of each row, best first; both ``(rows, n)``."""

    probabilities: Tensor
    ids: Tensor


def draw(
    logits: Tensor, numbers: Tensor, settings: SamplingSettings, noise: Noise = NO_NOISE
) -> Draw:
    """Draw one token for each row.

    Args:
        logits: ``(rows, vocabulary)``, any float type.
        numbers: ``(rows,)`` float64 in [0, 1).
        settings: Temperature (> 0), top-p, and top-k (0 is off).
        noise: What ``Draw.close`` is to be judged by.
    """
    block = len(logits)
    if logits.device.type == "cpu":  # stay in the processor's cache
        block = max(1, _BLOCK_ELEMENTS // logits.shape[-1])
    drawn = [
        _draw_block(part.float() / settings.temperature, part_numbers, settings, noise)
        for part, part_numbers in zip(logits.split(block), numbers.split(block), strict=True)
    ]
    return Draw(*(torch.cat(column) for column in zip(*drawn, strict=True)))


def _draw_block(scaled: Tensor, numbers: Tensor, settings: SamplingSettings, noise: Noise) -> Draw:
    """Draw from the best few hundred tokens, and from all where these are not enough."""
    vocabulary = scaled.shape[-1]
    ranked = _rank(scaled, min(settings.top_k or _CANDIDATES, vocabulary), bool(settings.top_k))
    drawn = walk(_narrow(ranked, settings.top_p), numbers, noise)
    if settings.top_k or ranked.ids.shape[-1] == vocabulary:
        return drawn
    flat = ranked.probabilities[:, :-_SPARE].sum(-1) < settings.top_p
    if flat.any():
        rows = flat.nonzero().flatten()
        again = walk(wide_nucleus(scaled[rows], settings.top_p), numbers[rows], noise)
        for whole, part in zip(drawn, again, strict=True):
            whole[rows] = part
    return drawn


def _rank(scaled: Tensor, count: int, only_these: bool) -> _Ranked:
    """Return the ``count`` most probable tokens; ``only_these``: there are no others (top-k)."""
    values, ids = top(scaled, count)
    total = (values if only_these else scaled).logsumexp(-1, keepdim=True)
    return _Ranked((values - total).double().exp(), ids)


def _narrow(ranked: _Ranked, top_p: float) -> Nucleus:
    """Cut the ranked tokens to the nucleus and put them into the order of their ids."""
    reached = ranked.probabilities.cumsum(-1)
    kept = reached - ranked.probabilities < top_p
    last = kept.sum(-1, keepdim=True) - 1
    following = (last + 1).clamp(max=kept.shape[-1] - 1)
    order = ranked.ids.argsort(-1)
    return Nucleus(
        ids=ranked.ids.gather(-1, order),
        probabilities=ranked.probabilities.gather(-1, order),
        kept=kept.gather(-1, order),
        last=(order == last).byte().argmax(-1, keepdim=True),
        following=(order == following).byte().argmax(-1, keepdim=True),
        surplus=reached.gather(-1, last) - top_p,
    )
