"""Whether what a model computes is numbers at all: a failure is not a score."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from detox_bench.errors import DetoxBenchError


def check_finite(values: Tensor | NDArray[Any], what: str) -> None:
    """Raise ``DetoxBenchError`` if any of a model's ``values`` is NaN or infinite."""
    if not torch.as_tensor(values).isfinite().all():
        raise DetoxBenchError(
            f"The model's {what} are not finite numbers, as happens when float16 overflows. "
            "Load it with dtype=bfloat16 or dtype=float32."
        )
