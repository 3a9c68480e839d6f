"""Hashes of a model as it is in memory: weights with edits and adapters, configuration."""

import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor

_NAMES = frozenset(
    {"_name_or_path", "transformers_version", "base_model_name_or_path", "revision", "dtype"}
)
_CHUNK = 2**24  # elements moved to the CPU at once


def weights_sha256(model: Any) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of parameters and buffers."""
    digest = hashlib.sha256()
    for name, parameter in sorted(chain(model.named_parameters(), model.named_buffers())):
        tensor = parameter.detach()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        for chunk in _bytes(tensor):
            digest.update(chunk)
    return digest.hexdigest()


def weights_fingerprint(model: Any) -> str:
    """Return 16 hex digits for the parameters, the same for float32 and bfloat16 copies of one.

    It is over the parameters rounded to bfloat16. A quantised model has a fingerprint of its own,
    and so has one that is stored in float32 and loaded in float16. Adapters are part of it, by the
    names they have in the model itself, however they were put there.
    """
    digest = hashlib.sha256()
    inner = getattr(model, "get_base_model", lambda: model)()
    for name, parameter in sorted(inner.named_parameters()):
        digest.update(f"{name} {tuple(parameter.shape)}\n".encode())
        tensor = parameter.detach()
        for chunk in _bytes(tensor, torch.bfloat16 if tensor.is_floating_point() else None):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def configuration(model: Any) -> dict[str, Any]:
    """Return what else decides the outputs of ``model``: its settings and those of its adapters.

    Names, paths and versions are left out, so that a model is the same wherever it lies.
    """
    adapters = getattr(model, "peft_config", {})
    settings = {"model": model.config.to_dict()}
    settings |= {name: adapter.to_dict() for name, adapter in sorted(adapters.items())}
    return {
        part: {key: str(value) for key, value in sorted(found.items()) if key not in _NAMES}
        for part, found in settings.items()
    }


def tokenizer_content(tokenizer: Any) -> dict[str, Any]:
    """Return all that a tokenizer is, less how it was last asked to pad and cut."""
    if not hasattr(tokenizer, "backend_tokenizer"):
        return dict(tokenizer.get_vocab())
    found: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in found.items() if key not in ("padding", "truncation")}


def _bytes(tensor: Tensor, dtype: torch.dtype | None = None) -> Iterator[memoryview]:
    """Yield the content of a tensor of any type, or as ``dtype``, piece by piece."""
    for piece in tensor.reshape(-1).split(_CHUNK):
        yield memoryview(
            piece.to(dtype or piece.dtype).contiguous().view(torch.uint8).cpu().numpy()
        )
