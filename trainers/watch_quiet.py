"""Using a model in the midst of its training without leaving a trace, and its frozen reference."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Put ``model`` in evaluation mode without gradient checkpointing, then all back as it was.

    What is put back: the mode and the checkpointing flag of every module, which parameters take
    gradients, and the states of the random generators of torch, its devices, numpy and Python.
    """
    modes = [(module, module.training) for module in model.modules()]
    checkpointed = [module for module, _ in modes if getattr(module, "gradient_checkpointing", 0)]
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with _same_random_numbers():
        try:
            model.eval()
            for module in checkpointed:
                module.gradient_checkpointing = False
            yield
        finally:
            for module in checkpointed:
                module.gradient_checkpointing = True
            for module, training in modes:
                module.training = training
            for parameter, takes_gradients in trained:
                parameter.requires_grad_(takes_gradients)


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def adapted(model: Any) -> bool:
    """Return whether ``model`` is a base model with adapters of PEFT."""
    return hasattr(model, "peft_config") and hasattr(model, "disable_adapter")


def without_adapter(model: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return the reference that a PEFT model holds in itself.

    That is the adapter "ref", the frozen copy that TRL makes of an adapter which is trained on,
    and otherwise the model with its adapters turned off.
    """
    context = _with_adapter_ref if "ref" in model.peft_config else _with_none
    return lambda: context(model)


def loaded_once(load: Callable[[], Any], beside: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return the reference that ``load`` makes when it is first needed.

    It is moved to where the model ``beside`` lies by then, if it lies elsewhere.
    """

    @cache
    def kept() -> Any:
        model = load()
        return model if model.device == beside.device else model.to(beside.device)

    return lambda: nullcontext(kept())


@contextmanager
def _with_none(model: Any) -> Iterator[Any]:
    with model.disable_adapter():
        yield model


@contextmanager
def _with_adapter_ref(model: Any) -> Iterator[Any]:
    before = model.active_adapter
    model.set_adapter("ref")
    try:
        yield model
    finally:
        model.set_adapter(before)
