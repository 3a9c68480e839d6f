"""A hash of a model's weights as they are in memory: edits, adapters and precision included."""

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_CHUNK = 2**24  # elements moved to the CPU at once


def weights_sha256(model: Any) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of the parameters of ``model``."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        tensor = parameter.detach()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        for chunk in _bytes(tensor):
            digest.update(chunk)
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> Iterator[memoryview]:
    """Yield the content of a tensor of any type, piece by piece."""
    for piece in tensor.reshape(-1).split(_CHUNK):
        yield memoryview(piece.contiguous().view(torch.uint8).cpu().numpy())
