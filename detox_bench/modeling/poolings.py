"""How the states of a text's tokens become one vector: the table of poolings, without torch.

To support another pooling, add a row to ``POOLINGS``: the weight of each token in the mean.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

#: From places ``(1, columns)``, lengths ``(rows, 1)`` and the number of begin tokens that the
#: tokenizer adds, the weights ``(rows, columns)``.
Weights = Callable[["Tensor", "Tensor", int], "Tensor"]


def _mean(place: "Tensor", length: "Tensor", added: int) -> "Tensor":
    return (place >= added) & (place < length)


def _legacy(place: "Tensor", length: "Tensor", added: int) -> "Tensor":  # noqa: ARG001
    return place < length


def _weighted(place: "Tensor", length: "Tensor", added: int) -> "Tensor":  # noqa: ARG001
    return (place + 1) * (place < length)


def _last(place: "Tensor", length: "Tensor", added: int) -> "Tensor":
    return (place == length - 1) & (place >= added)


#: ``mean`` leaves out the begin tokens that a tokenizer adds: the first token of many models is an
#: attention sink whose vector outweighs all others. ``legacy`` keeps them, as the code of arXiv
#: 2406.16235 does. ``weighted`` weighs each token by its place, counted from 1, begin tokens among
#: them (SGPT, arXiv 2202.08904, equation 2; used by MEXA, arXiv 2410.05873). ``last`` is the last
#: token, an end token that the tokenizer adds included.
POOLINGS: dict[str, Weights] = {
    "mean": _mean,
    "legacy": _legacy,
    "weighted": _weighted,
    "last": _last,
}
