"""Top-p (nucleus) sampling without sorting the vocabulary, exact, drawn by the inverse CDF.

The nucleus is the smallest set of tokens whose probability reaches p (Holtzman et al.,
arXiv 1904.09751); temperature, then top-k, then top-p, in the order of transformers. The most
probable few hundred tokens are found without a sort; where their mass does not reach p, more are.

The draw walks the nucleus in the order of token ids: neighbours in an order of probability change
places for a rounding error, token ids do not. ``Draw.close`` says where noise of
a given size could have changed the outcome, so that a caller can decide those draws in a way that
no noise moves.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

_FIRST_CANDIDATES = 256
_CANDIDATE_GROWTH = 8
_BLOCK_ELEMENTS = 2**21  # logits that fit a processor's cache
_SPARE = 2  # candidates beyond the nucleus, to see what it might exchange


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How continuations are drawn. The defaults are the paper's (arXiv 2406.16235, section 4.1)."""

    new_tokens: int = 20
    temperature: float = 0.9
    top_p: float = 0.8
    top_k: int = 0
    seed: int = 0


class Noise(NamedTuple):
    """How far rounding moves a probability ``relative`` to itself, and ``cumulated`` ones.

    Bounds on what differs between runs of a model on the same tokens in batches of other shapes.
    """

    relative: float
    cumulated: float


NO_NOISE = Noise(0.0, 0.0)


class Draw(NamedTuple):
    """``tokens`` ``(rows,)``, and ``close`` ``(rows,)``: whether noise could have changed them."""

    tokens: Tensor
    close: Tensor


class Ranked(NamedTuple):
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
    """Draw for each row, from more candidates where the first few hundred are not enough."""
    vocabulary = scaled.shape[-1]
    count = min(settings.top_k or _FIRST_CANDIDATES, vocabulary)
    ranked = _rank(scaled, count, settings)
    enough = ranked.probabilities[:, :-_SPARE].sum(-1) >= settings.top_p
    if settings.top_k or count == vocabulary:
        enough = torch.ones_like(enough)
    drawn = _inverse_cdf(ranked, numbers, settings.top_p, noise)
    while not enough.all():
        rows = (~enough).nonzero().flatten()
        count = min(count * _CANDIDATE_GROWTH, vocabulary)
        ranked = _rank(scaled[rows], count, settings)
        again = _inverse_cdf(ranked, numbers[rows], settings.top_p, noise)
        for whole, part in zip(drawn, again, strict=True):
            whole[rows] = part
        enough[rows] = (ranked.probabilities[:, :-_SPARE].sum(-1) >= settings.top_p) | (
            count == vocabulary
        )
    return drawn


def _rank(scaled: Tensor, count: int, settings: SamplingSettings) -> Ranked:
    """Return the ``count`` most probable tokens, their probabilities in float64."""
    values, ids = top(scaled, count)
    whole = values if settings.top_k else scaled
    return Ranked((values - whole.logsumexp(-1, keepdim=True)).double().exp(), ids)


def top(scores: Tensor, count: int) -> Ranked:
    """Return the ``count`` largest of each row with their places, largest first.

    The ``count`` largest scores lie in the ``count`` groups with the largest maxima, so two looks
    at about sqrt(vocabulary * count) scores do instead of one at the whole vocabulary.
    """
    width = int((scores.shape[-1] / count) ** 0.5)
    if width < 2:
        return Ranked(*scores.topk(count))
    groups = scores.shape[-1] // width
    body, rest = scores.split([groups * width, scores.shape[-1] - groups * width], -1)
    body = body.unflatten(-1, (width, groups))  # a group is a column: its maximum is vectorised
    chosen = body.amax(-2).topk(count, sorted=False).indices
    near = body.gather(-1, chosen[:, None].expand(-1, width, -1)).flatten(1)
    values, places = torch.cat([near, rest], -1).topk(count)
    column = chosen.gather(-1, places % count)
    ids = torch.where(
        places < near.shape[-1],
        places // count * groups + column,
        places - near.shape[-1] + groups * width,
    )
    return Ranked(values, ids)


def _inverse_cdf(ranked: Ranked, numbers: Tensor, top_p: float, noise: Noise) -> Draw:
    """Cut the ranked tokens to the nucleus and draw from it."""
    reached = ranked.probabilities.cumsum(-1)
    kept = reached - ranked.probabilities < top_p
    drawn = _walk(ranked, kept, numbers, noise)
    unsure = _unsure_cut(ranked.probabilities, reached, kept, top_p, noise).nonzero().flatten()
    if len(unsure):
        part = Ranked(*(each[unsure] for each in ranked))
        for other in _other_cuts(kept[unsure]):
            under_other = _walk(part, other, numbers[unsure], noise)
            drawn.close[unsure] |= under_other.close | (under_other.tokens != drawn.tokens[unsure])
    return drawn


def _walk(ranked: Ranked, kept: Tensor, numbers: Tensor, noise: Noise) -> Draw:
    """Draw from the ``kept`` tokens, walking them in the order of token ids."""
    order = ranked.ids.argsort(-1)
    weights = (ranked.probabilities * kept).gather(-1, order)
    cdf = weights.cumsum(-1)
    total = cdf[:, -1:]
    target = torch.minimum(numbers[:, None] * total, total.nextafter(torch.zeros_like(total)))
    place = torch.searchsorted(cdf, target, right=True)
    upper = cdf.gather(-1, place)
    lower = upper - weights.gather(-1, place)
    margin = torch.minimum(target - lower, upper - target).squeeze(-1)
    tokens = ranked.ids.gather(-1, order.gather(-1, place)).squeeze(-1)
    return Draw(tokens, margin < noise.cumulated)


def _unsure_cut(
    probabilities: Tensor, reached: Tensor, kept: Tensor, top_p: float, noise: Noise
) -> Tensor:
    """Return ``(rows,)``: whether noise could make the nucleus another one."""
    last, following = _around_cut(kept)
    at_last, at_following = probabilities.gather(-1, last), probabilities.gather(-1, following)
    surplus = reached.gather(-1, last) - top_p
    size = torch.minimum(surplus.abs(), (at_last - surplus).abs()) < noise.cumulated
    swap = (at_last - at_following < noise.relative * at_last) & (following > last)
    return (size | swap).squeeze(-1)


def _around_cut(kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places ``(rows, 1)`` of the last token kept and of the one after it."""
    last = kept.sum(-1, keepdim=True) - 1
    return last, (last + 1).clamp(max=kept.shape[-1] - 1)


def _other_cuts(kept: Tensor) -> list[Tensor]:
    """Return the nuclei with one token more, one less, and the last exchanged for the next."""
    last, following = _around_cut(kept)
    more = kept.scatter(-1, following, True)
    less = kept.scatter(-1, last, kept.sum(-1, keepdim=True) == 1)
    return [more, less, more.scatter(-1, last, following == last)]
