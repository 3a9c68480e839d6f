"""Every neuron as a detector of toxic texts: the AUROC of its activation (AurA).

Suau et al. 2024, "Whispering Experts" (arXiv 2407.12824): a neuron's response to a text is the
maximum of its activation over the text's tokens, and those whose responses tell toxic from other
texts are the experts that the operator ``aura`` dampens. There neurons are the outputs of linear
layers, before the non-linearity; here, as everywhere in this package, they are the inputs of the
down projection.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.modeling.architectures import down_projections, neuron_shape
from detox_bench.modeling.finite import check_finite
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.loading import LoadedModel
from detox_bench.modeling.tokens import prompt_tokens
from detox_bench.statistics import auroc

#: Tokens of a text that are looked at, its first; as in the code of arXiv 2407.12824.
LONGEST = 128
BATCH_TOKENS = 2048  # run at once, padding included
_ANY = 2**31  # more tokens than any text has

Tokens = tuple[int, ...]


class Detectors(NamedTuple):
    """The AUROC ``(layers, neurons)`` of every neuron, and that of a text's number of tokens.

    A maximum grows with the number of tokens it is taken over. Where toxic texts are longer or
    shorter than others, ``length`` is far from 0.5, and neurons are detectors of length as well.
    """

    aurocs: NDArray[np.float64]
    length: float


def measure_detectors(
    loaded: LoadedModel, texts: Sequence[str], toxic: Sequence[bool]
) -> Detectors:
    """Return how well the response of every neuron tells toxic from other ``texts``.

    ``toxic`` is ``(n_texts,)``. The texts are run once; the responses, four bytes a text and
    neuron, lie in a temporary file.

    Raises ``BadData`` for texts of one kind only, ``DetoxBenchError`` where the disk is too full or
    activations are not finite.
    """
    kinds = np.asarray(toxic, dtype=bool)
    if kinds.all() or not kinds.any():
        raise BadData(
            f"All {len(kinds)} texts are {'toxic' if kinds.any() else 'not toxic'}. An AUROC needs "
            "texts of both kinds."
        )
    longest = min(loaded.window, LONGEST)
    tokens = [prompt_tokens(loaded.tokenizer, text, _ANY)[:longest] for text in texts]
    lengths = np.array([[len(each)] for each in tokens])
    with _responses(loaded.model, tokens) as responses:
        bar = tqdm(responses, desc="AUROC", unit=" layers", disable=None, delay=2)
        aurocs = np.stack([auroc(layer[kinds], layer[~kinds]) for layer in bar])
    return Detectors(aurocs, float(auroc(lengths[kinds], lengths[~kinds])[0]))


@contextmanager
def _responses(model: Any, tokens: Sequence[Tokens]) -> Iterator[NDArray[np.float32]]:
    """Yield ``(layers, n_texts, neurons)``: the maximum over the tokens of each text."""
    layers, neurons, _ = neuron_shape(model)
    shape = (layers, len(tokens), neurons)
    with tempfile.TemporaryDirectory(prefix="detox-bench-") as folder:
        _check_room(Path(folder), 4 * layers * len(tokens) * neurons)
        store = np.memmap(Path(folder) / "responses", np.float32, "w+", shape=shape)
        _pool(model, tokens, store)
        yield store


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DetoxBenchError(
            f"The activations of all neurons take {needed / 1e9:.1f} GB in {folder.parent}, where "
            f"{free / 1e9:.1f} GB are free. Take fewer texts (--texts), or set TMPDIR."
        )


def _pool(model: Any, tokens: Sequence[Tokens], store: NDArray[np.float32]) -> None:
    running = _Running(CausalModel(model))
    with (
        ExitStack() as hooks,
        tqdm(total=len(tokens), desc="Texts", unit=" texts", disable=None, delay=2) as bar,
    ):
        for layer, projection in enumerate(down_projections(model)):
            hook = running.pooling_into(store[layer])
            hooks.callback(projection.register_forward_pre_hook(hook).remove)
        for places in _batches([len(each) for each in tokens]):
            running.run(places, [tokens[place] for place in places])
            bar.update(len(places))


class _Running:
    """The batch that is being run: which texts it holds, and which of its columns are theirs."""

    def __init__(self, model: CausalModel) -> None:
        self.model = model
        self.places: Sequence[int] = ()
        self.padding = torch.empty(0)  # (rows, columns, 1) bool

    @torch.inference_mode()
    def run(self, places: Sequence[int], tokens: Sequence[Tokens]) -> None:
        """Run the ``tokens`` of the texts at ``places``, padded on the left."""
        missing = max(map(len, tokens)) - torch.tensor([len(each) for each in tokens])
        columns = torch.arange(max(map(len, tokens)))
        self.places = places
        self.padding = (columns < missing[:, None])[..., None].to(self.model.device)
        self.model.prefill(tokens)

    def pooling_into(
        self, store: NDArray[np.float32]
    ) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        """Return a hook that writes each text's maxima into its row of ``(n_texts, neurons)``."""

        def pool(_: nn.Module, args: tuple[Any, ...]) -> None:
            # Some models run rows and columns as one.
            activations = args[0].reshape(*self.padding.shape[:2], -1)
            # A maximum alone would hide minus infinity; what padding makes does not count.
            check_finite(activations.masked_fill(self.padding, 0), "activations")
            found = activations.masked_fill(self.padding, -torch.inf).amax(1)
            store[list(self.places)] = found.float().cpu().numpy()

        return pool


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places of texts of like length, in batches of at most ``BATCH_TOKENS``."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
