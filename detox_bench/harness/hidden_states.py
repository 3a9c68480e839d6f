"""Hidden states as a request type of lm-eval, so that tasks can ask any ``hf`` model for them.

lm-eval calls the method of a model that has the request's name (``evaluator.py``). ``install`` adds
one to the class that all its models inherit from and replaces none. A model that has no hidden
states answers with why, and nothing else of the command is lost.
"""

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from numpy.typing import NDArray
from tqdm import tqdm

from detox_bench.errors import DetoxBenchError
from detox_bench.harness.refusals import STEERED

logger = logging.getLogger(__name__)

REQUEST = "detox_hidden_states"


@dataclass(frozen=True, slots=True)
class HiddenStates:
    """The pooled states of one text, ``(layers + 1, hidden_size)``, on disk until they are read.

    ``tokens`` is the length of the text before it was ``cut`` to the model's window. lm-eval writes
    ``str(states)`` into the samples file: shape and hash.
    """

    array: NDArray[np.float32] = field(repr=False)
    sha256: str
    tokens: int
    cut: bool

    def __str__(self) -> str:
        layers, width = self.array.shape
        return f"{layers} x {width} float32 sha256:{self.sha256[:12]}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the numbers themselves to another process, not their place on disk."""
        return HiddenStates, (np.array(self.array), self.sha256, self.tokens, self.cut)


@dataclass(frozen=True, slots=True)
class NoHiddenStates:
    """The answer of a model that has none: why."""

    reason: str

    def __str__(self) -> str:
        return f"no hidden states: {self.reason}"


Answer = HiddenStates | NoHiddenStates


def install() -> None:
    """Let every model of lm-eval answer ``REQUEST``: a list of (text, pooling) each once."""
    if not hasattr(LM, REQUEST):
        setattr(LM, REQUEST, hidden_states)


def hidden_states(
    model: Any, requests: Sequence[Instance], disable_tqdm: bool = False
) -> list[Answer]:
    """Return the answer to each request; every text is run once, for all tasks of the command."""
    wanted = [(str(request.args[0]), str(request.args[1])) for request in requests]
    try:
        found = _found(model, dict.fromkeys(wanted), disable_tqdm)
    except DetoxBenchError as error:
        logger.warning("%s The retrieval tasks report NaN; everything else is as always.", error)
        return [NoHiddenStates(str(error))] * len(wanted)
    return [found[each] for each in wanted]


def layers_of(states: Sequence[HiddenStates]) -> Iterator[NDArray[np.float32]]:
    """Yield ``(texts, hidden_size)`` of one layer after the other; one is in memory at a time."""
    for layer in range(len(states[0].array)):
        yield np.stack([each.array[layer] for each in states])


def _found(
    model: Any, wanted: Iterable[tuple[str, str]], disable_tqdm: bool
) -> Mapping[tuple[str, str], HiddenStates]:
    """Return the states of different (text, pooling). Raises ``DetoxBenchError``."""
    _check_model(model)
    by_pooling: dict[str, list[str]] = {}
    for text, pooling in wanted:
        by_pooling.setdefault(pooling, []).append(text)
    found: dict[tuple[str, str], HiddenStates] = {}
    for pooling, texts in by_pooling.items():
        for text, states in _run(model, texts, pooling, disable_tqdm or model.rank != 0):
            found[text, pooling] = states
    return found


def _check_model(model: Any) -> None:
    """Raise ``DetoxBenchError`` for a model whose hidden states cannot be had, or would mislead."""
    kind = type(model).__name__
    lm_eval_hf = getattr(sys.modules.get("lm_eval.models.huggingface"), "HFLM", None)
    if lm_eval_hf is None or not isinstance(model, lm_eval_hf):
        raise DetoxBenchError(f"{kind} gives no hidden states. Use --model hf or detox-hf.")
    if "SteeredModel" in {each.__name__ for each in type(model).__mro__}:
        raise DetoxBenchError(STEERED)
    if getattr(model, "backend", "causal") != "causal":
        name = getattr(getattr(model, "config", None), "model_type", kind)
        raise DetoxBenchError(
            f"{name} is an encoder-decoder model, whose two stacks have states of their own. "
            "Retrieval is for models with one: take a causal language model."
        )


def _run(
    model: Any, texts: Sequence[str], pooling: str, hide_bar: bool
) -> Iterator[tuple[str, HiddenStates]]:
    """Yield each text with its states, which are in a file that goes when they do."""
    import torch  # here, since other backends do without

    from detox_bench.modeling.pooled_states import PoolingSettings, pooled_batches

    settings = PoolingSettings(pooling, _batch_size(model), model.max_length, model.add_bos_token)
    dtype = model.mixed_precision_dtype
    stored, row = np.zeros((0, 0, 0), dtype=np.float32), 0
    with (
        tqdm(total=len(texts), desc="Hidden states", unit=" texts", disable=hide_bar) as bar,
        torch.autocast(model.device.type, dtype=dtype, enabled=dtype is not None),
    ):
        for batch in pooled_batches(model.model, model.tokenizer, texts, settings):
            if not row:
                layers, _, width = batch.states.shape
                stored = _file((layers, len(texts), width))
            rows = range(row, row + len(batch.texts))
            stored[:, row : rows.stop] = batch.states
            for each, length, place in zip(batch.texts, batch.lengths, rows, strict=True):
                digest = hashlib.sha256(batch.states[:, place - row].tobytes()).hexdigest()
                cut = length > model.max_length
                yield texts[each], HiddenStates(stored[:, place], digest, length, cut)
            row = rows.stop
            bar.update(len(batch.texts))


def _batch_size(model: Any) -> int | None:
    size = str(model.batch_size)
    return int(size) if size.isdigit() else None


def _file(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an array in a nameless file of the temporary folder; all its space is taken now."""
    size = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    try:
        # The array keeps the file open; it is gone with the last state that lies in it.
        file = tempfile.TemporaryFile()  # noqa: SIM115
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
    except OSError as error:
        raise DetoxBenchError(
            f"The hidden states need {size / 2**30:.1f} GiB in {tempfile.gettempdir()} "
            f"({error.strerror or error}). Free some space, or set TMPDIR to another folder."
        ) from error
