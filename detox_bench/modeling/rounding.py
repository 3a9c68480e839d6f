"""How far rounding moves a model's probabilities, measured on the model while it samples.

The same sequence run in batches of different shapes gives logits that differ in their last digits,
the more the deeper the model and the larger its logits; no constant fits all models.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from detox_bench.modeling.nucleus import NO_NOISE, Noise

#: The largest difference seen in a few dozen comparisons, times this, is taken for the bound.
_MARGIN = 4.0
_SUMMING = 5e-7  # what adding up float32 probabilities may itself be off by
_LEAST_PROBABILITY = 1e-6  # less probable tokens are in no nucleus that could be exchanged
#: Types too coarse for draws to be settled are not here: noise would be everywhere.
_FINE = (torch.float32, torch.float64)


@dataclass(slots=True)
class Gauge:
    """The noise of one model, which grows as larger differences are seen."""

    noise: Noise = NO_NOISE
    compared: int = 0

    def compare(self, batched: Tensor, alone: Tensor, temperature: float) -> None:
        """See the logits ``(vocabulary,)`` of a sequence in its batch, and run by itself."""
        one, other = ((each / temperature).double().softmax(-1) for each in (batched, alone))
        likely = other > _LEAST_PROBABILITY
        relative = float(((one - other).abs() / other)[likely].max())
        cumulated = float((one - other).cumsum(-1).abs().max())
        self.compared += 1
        self.noise = Noise(
            max(self.noise.relative, _MARGIN * relative),
            max(self.noise.cumulated, _MARGIN * cumulated, _SUMMING),
        )


def fine(logits: Tensor) -> bool:
    """Return whether the type of ``logits`` is fine enough for close draws to be settled."""
    return logits.dtype in _FINE
