"""Top-p (nucleus) sampling that never sorts the vocabulary, exact, by the inverse CDF.

The nucleus is the smallest set of tokens whose probability reaches p (Holtzman et al.,
arXiv 1904.09751); temperature, then top-k, then top-p, in the order of transformers. A token is
drawn from the whole distribution; if it is in the nucleus it is taken, else another is drawn with
the next number. What is taken is thus distributed as the nucleus is, and whether a token is in it
takes no sorting: the tokens that are more probable must not reach p without it.

It also keeps rounding errors from spreading. Tokens are walked in the order of their ids, not of
their probability, and where the nucleus ends matters only to draws that fall on its last token.
``Draw.close`` says where noise of a given size could have changed the outcome, so that a caller can
decide those draws in a way that no noise moves.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import threshold

from detox_bench.errors import DetoxBenchError

#: Numbers a draw may use. With p = 0.8 one in 400,000 draws needs more, and sorts after all.
TRIES = 8
_TIED = 1e-6  # probabilities that differ by less are compared one by one
_WIDTH = 128  # tokens a block of the inverse CDF
_CACHED_ELEMENTS = 2**21  # logits that fit a processor's cache


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


def draw(
    logits: Tensor, numbers: Tensor, settings: SamplingSettings, noise: Noise = NO_NOISE
) -> Draw:
    """Draw one token for each row.

    Args:
        logits: ``(rows, vocabulary)``, any float type.
        numbers: ``(rows, tries)`` float64 in [0, 1).
        settings: Temperature (> 0), top-p, and top-k (0 is off).
        noise: What ``Draw.close`` is to be judged by.

    Raises ``DetoxBenchError`` for logits that are NaN.
    """
    block = len(logits)
    if logits.device.type == "cpu":
        block = max(1, _CACHED_ELEMENTS // logits.shape[-1])
    drawn = [
        _draw(_probabilities(part, settings), part_numbers, settings.top_p, noise)
        for part, part_numbers in zip(logits.split(block), numbers.split(block), strict=True)
    ]
    return Draw(*(torch.cat(column) for column in zip(*drawn, strict=True)))


def _probabilities(logits: Tensor, settings: SamplingSettings) -> Tensor:
    """Return the probabilities after temperature and top-k."""
    scaled = logits.float() / settings.temperature
    if 0 < settings.top_k < scaled.shape[-1]:
        least = scaled.topk(settings.top_k).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    probabilities = scaled.softmax(-1)
    if probabilities[:, 0].isnan().any():
        raise DetoxBenchError(
            "The model's logits are not numbers (NaN), as happens when float16 overflows. Load it "
            "with dtype=bfloat16 or dtype=float32."
        )
    return probabilities


def _draw(probabilities: Tensor, numbers: Tensor, top_p: float, noise: Noise) -> Draw:
    """Propose tokens until one of the nucleus comes up; see the module's docstring."""
    tokens = torch.empty(len(numbers), dtype=torch.long, device=numbers.device)
    close = torch.zeros_like(tokens, dtype=torch.bool)
    left, p = torch.arange(len(tokens), device=tokens.device), probabilities
    for attempt in range(numbers.shape[-1]):
        proposed, near = propose(p, numbers[left, attempt], noise)
        inside, unsure = in_nucleus(p, proposed, top_p, noise)
        tokens[left] = proposed
        doubtful = (near & ~inside).nonzero().flatten()
        if len(doubtful):
            near[doubtful] = _beside(p[doubtful], numbers[left, attempt][doubtful], top_p, noise)
        close[left] |= near | unsure
        rejected = (~inside).nonzero().flatten()
        if not len(rejected):
            return Draw(tokens, close)
        left, p = left[rejected], p[rejected]
    tokens[left] = _by_sorting(p, numbers[left, -1], top_p)
    close[left] = noise.cumulated > 0
    return Draw(tokens, close)


def propose(
    probabilities: Tensor, numbers: Tensor, noise: Noise = NO_NOISE
) -> tuple[Tensor, Tensor]:
    """Return where ``numbers`` ``(rows,)`` fall on the CDF, and whether near a boundary.

    The CDF is over token ids, in two steps: over blocks of tokens, then within one block.
    """
    vocabulary = probabilities.shape[-1]
    whole = vocabulary // _WIDTH * _WIDTH
    blocks = [probabilities[:, :whole].unflatten(-1, (-1, _WIDTH)).sum(-1)]
    if whole < vocabulary:
        blocks.append(probabilities[:, whole:].sum(-1, keepdim=True))
    mass = torch.cat(blocks, -1).double()
    reached = mass.cumsum(-1)
    target = numbers[:, None] * reached[:, -1:]
    block = _fall(reached, target)
    before = reached.gather(-1, block) - mass.gather(-1, block)
    ids = block * _WIDTH + torch.arange(_WIDTH, device=block.device)
    within = probabilities.gather(-1, ids.clamp(max=vocabulary - 1)).double()
    within = within.masked_fill(ids >= vocabulary, 0.0)
    upper = before + within.cumsum(-1)
    place = _fall(upper, target)
    above = upper.gather(-1, place)
    margin = torch.minimum(above - target, target - (above - within.gather(-1, place)))
    near = margin < noise.cumulated if noise.cumulated else torch.zeros_like(place).bool()
    return ids.gather(-1, place).squeeze(-1), near.squeeze(-1)


def _beside(probabilities: Tensor, numbers: Tensor, top_p: float, noise: Noise) -> Tensor:
    """Return whether a token of the nucleus lies within the noise of numbers that were rejected.

    Few of those near a boundary are close calls: mostly one rejected token lies beside another.
    """
    found = torch.zeros_like(numbers).bool()
    for shift in (-noise.cumulated, noise.cumulated):
        other, _ = propose(probabilities, (numbers + shift).clamp(0.0, 1.0))
        inside, unsure = in_nucleus(probabilities, other, top_p, noise)
        found |= inside | unsure
    return found


def _fall(reached: Tensor, target: Tensor) -> Tensor:
    """Return ``(rows, 1)`` places where ``reached`` first exceeds ``target``, or its last rise."""
    end = reached[:, -1:]
    below_end = torch.minimum(target, end.nextafter(torch.full_like(end, -1.0)))
    return torch.searchsorted(reached, below_end, right=True)


def in_nucleus(
    probabilities: Tensor, tokens: Tensor, top_p: float, noise: Noise = NO_NOISE
) -> tuple[Tensor, Tensor]:
    """Return whether each row's token is in the row's nucleus, and whether noise could change it.

    Of equally probable tokens at the end of the nucleus, those with lower ids are in it.
    """
    if top_p >= 1:
        return torch.ones_like(tokens).bool(), torch.zeros_like(tokens).bool()
    own = probabilities.gather(-1, tokens[:, None])
    # In units of the token's own probability a threshold is one number, and that is vectorised.
    ratios = probabilities / own
    most = _above(ratios, 1 - max(noise.relative, _TIED), own) - own.squeeze(-1)
    inside = most + noise.cumulated < top_p
    unsure = torch.zeros_like(inside)
    rows = (~inside).nonzero().flatten()
    if len(rows):
        least = _above(ratios[rows], 1 + noise.relative, own[rows])
        rows = rows[least - noise.cumulated < top_p]
        unsure[rows] = True
        inside[rows] = _mass_before(probabilities[rows], tokens[rows], own[rows]) < top_p
    return inside, unsure & (noise.cumulated > 0)


def _above(ratios: Tensor, least: float, own: Tensor) -> Tensor:
    """Return the probability ``(rows,)`` of the tokens whose ratio to ``own`` exceeds ``least``."""
    return (threshold(ratios, least, 0.0).sum(-1, keepdim=True) * own).squeeze(-1)


def _mass_before(probabilities: Tensor, tokens: Tensor, own: Tensor) -> Tensor:
    """Return the probability of all tokens that come before the row's own in a stable order."""
    earlier = torch.arange(probabilities.shape[-1], device=tokens.device) < tokens[:, None]
    before = (probabilities > own) | ((probabilities == own) & earlier)
    return (probabilities.double() * before).sum(-1)


def _by_sorting(probabilities: Tensor, numbers: Tensor, top_p: float) -> Tensor:
    """Draw from the nucleus found the plain way, for rows whose every number was rejected."""
    ordered, ids = torch.sort(probabilities.double(), dim=-1, descending=True, stable=True)
    kept = ordered.cumsum(-1) - ordered < top_p
    place, _ = propose(ordered * kept, numbers)
    drawn: Tensor = ids.gather(-1, place[:, None]).squeeze(-1)
    return drawn
