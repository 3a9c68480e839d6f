"""The nucleus of a flat distribution, which holds thousands of tokens, found by a histogram."""

from torch import Tensor

from detox_bench.modeling.ranking import top
from detox_bench.modeling.walk import Nucleus

_BINS = 1024
_RANGE = 100.0  # logits further below the highest, -inf among them, share the last bin
_SPARE = 2  # tokens beyond the nucleus, to see what it might exchange


def wide_nucleus(scaled: Tensor, top_p: float) -> Nucleus:
    """Return the nucleus of each row of logits ``(rows, vocabulary)``, divided by the temperature.

    The probability in each of 1,024 bins of the logits says in which bin the cut lies; only the
    tokens of that bin are then put in order.
    """
    probabilities = scaled.softmax(-1).double()
    bins = _bins(scaled)
    mass = probabilities.new_zeros(len(scaled), _BINS).scatter_add_(-1, bins, probabilities)
    reached = mass.cumsum(-1)
    cut = (reached < reached[:, -1:].clamp(max=top_p)).sum(-1, keepdim=True)
    surely = bins < cut
    count = int((bins == cut).sum(-1).max()) + _SPARE
    values, places = top(probabilities.masked_fill(surely, -1.0), min(count, scaled.shape[-1]))
    held = values.clamp(min=0).cumsum(-1) + reached.gather(-1, cut) - mass.gather(-1, cut)
    also = (held - values < top_p) & (values >= 0)
    also[:, 0] = True  # the bin that reaches p holds a token that is needed
    last = also.sum(-1, keepdim=True) - 1
    following = (last + 1).clamp(max=also.shape[-1] - 1)
    return Nucleus(
        ids=None,
        probabilities=probabilities,
        kept=surely | surely.new_zeros(surely.shape).scatter(-1, places, also),
        last=places.gather(-1, last),
        following=places.gather(-1, following),
        surplus=held.gather(-1, last) - top_p,
    )


def _bins(scaled: Tensor) -> Tensor:
    """Return the bin of each logit, 0 for the largest of a row to 1023 for the smallest."""
    highest, lowest = scaled.amax(-1, keepdim=True), scaled.amin(-1, keepdim=True)
    width = (highest - lowest).clamp(min=1e-30, max=_RANGE) / _BINS
    return ((highest - scaled) / width).clamp(max=_BINS - 1).long()
