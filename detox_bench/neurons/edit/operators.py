"""What an intervention does to an activation: one row an operator.

Every operator is affine, ``factor * activation + offset``: that is why each can be folded into the
down projection (column times factor, bias plus offset times value vector). To support another one,
add a row to ``OPERATORS``.
"""

from collections.abc import Callable
from typing import NamedTuple

from detox_bench.errors import unknown_name


class Affine(NamedTuple):
    """``factor * activation + offset``."""

    factor: float
    offset: float


class Operator(NamedTuple):
    """What a value means, in words, and the affine map it stands for."""

    about: str
    affine: Callable[[float], Affine]


def _aura(auroc: float) -> Affine:
    """Return AurA's dampening of a neuron that tells toxic from other text with ``auroc``.

    1 minus the Gini coefficient 2 (AUROC - 1/2) of an expert; neurons of at most 1/2 are no
    experts and left alone (Suau et al. 2024, arXiv 2407.12824, equations 2 and 4).
    """
    return Affine(min(1.0, 2 * (1 - auroc)), 0.0)


OPERATORS: dict[str, Operator] = {
    "add": Operator("adds the value", lambda value: Affine(1.0, value)),
    "set": Operator("puts the value in its place", lambda value: Affine(0.0, value)),
    "scale": Operator("multiplies by the value; 0 ablates", lambda value: Affine(value, 0.0)),
    "aura": Operator("multiplies by 2 (1 - value), the value being the neuron's AUROC", _aura),
}


def operator(name: str) -> Operator:
    """Return the row of ``name``; raises ``UnknownName`` with the nearest name."""
    if name not in OPERATORS:
        raise unknown_name("operator", name, OPERATORS)
    return OPERATORS[name]
