"""What a model computes on prompts and its greedy continuations, and the proof that an edit acts.

Every decoding step of the edited model is watched at the down projections: what goes in at the
newest position must be factor times activation plus offset, in every edited layer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from detox_bench.modeling.architectures import down_projections
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.greedy import greedy
from detox_bench.modeling.positions import continuation_begins
from detox_bench.neurons.edit.editing import edited
from detox_bench.neurons.edit.interventions import Intervention
from detox_bench.neurons.fold.folding import layer_edits

#: Greedy tokens behind each prompt: as many as the paper's continuations have (arXiv 2406.16235).
NEW_TOKENS = 20
# Relative and absolute, in float32; the edit is one multiplication and one addition.
_CLOSE = (1e-5, 1e-6)


class EditProof(NamedTuple):
    """That the edit acts on every decoded token.

    Args:
        steps: Decoding steps watched.
        layers: Edited layers.
        seen: Of steps times layers, in how many the projection got what the edit makes.
        moved: At how many steps the logits differ from those of the model without the edit.
        effect: By how much at most, over all positions.
    """

    steps: int
    layers: int
    seen: int
    moved: int
    effect: float

    @property
    def complete(self) -> bool:
        """Whether the edit was seen at every step, in every layer."""
        return self.seen == self.steps * self.layers


class Decoded(NamedTuple):
    """A prompt, its greedy continuation, and the logits ``(positions, vocabulary)`` of both.

    The logits are of one pass over all of it, in float32 on the CPU.
    """

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    logits: Tensor


@dataclass(frozen=True, slots=True)
class Reference:
    """What another model is held against; ``proof`` is None without an intervention."""

    decoded: tuple[Decoded, ...]
    proof: EditProof | None


def reference(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    intervention: Intervention | None = None,
    new_tokens: int = NEW_TOKENS,
) -> Reference:
    """Run a model, edited if ``intervention`` is given, on prompts and what it makes of them.

    ``model`` is in float32; the hooks come off at the end.
    """
    decoded, proofs = [], []
    for prompt in tqdm(prompts, desc="reference", unit="prompt", disable=None):
        each, proof = _decoded(model, prompt, intervention, new_tokens)
        decoded.append(each)
        proofs.append(proof)
    together = [each for each in proofs if each is not None]
    if not together:
        return Reference(tuple(decoded), None)
    whole = EditProof(
        steps=sum(each.steps for each in together),
        layers=together[0].layers,
        seen=sum(each.seen for each in together),
        moved=sum(each.moved for each in together),
        effect=max(each.effect for each in together),
    )
    return Reference(tuple(decoded), whole)


def greedy_tokens(
    model: Any,
    prompt: tuple[int, ...],
    new_tokens: int,
    stepped: Callable[[], None] = lambda: None,
) -> tuple[int, ...]:
    """Return the ``new_tokens`` likeliest tokens, one after the other, over a key-value cache.

    The token that ends a text does not end it here. ``stepped`` is called after each pass.
    """
    runs = greedy(CausalModel(model), [prompt], new_tokens, seen=lambda _: stepped())
    ((found,),) = runs
    return tuple(found.tokens)


def logits_over(model: Any, prompt: Sequence[int], tokens: Sequence[int]) -> Tensor:
    """Return the logits ``(positions, vocabulary)`` of one pass over a prompt and what follows."""
    ids = torch.tensor([[*prompt, *tokens]], device=model.device)
    with torch.inference_mode(), continuation_begins([len(prompt) - 1]):
        logits: Tensor = model(input_ids=ids, use_cache=False).logits[0]
    return logits.float().cpu()


def _decoded(
    model: Any, prompt: tuple[int, ...], intervention: Intervention | None, new_tokens: int
) -> tuple[Decoded, EditProof | None]:
    if intervention is None:
        tokens = greedy_tokens(model, prompt, new_tokens)
        return Decoded(prompt, tokens, logits_over(model, prompt, tokens)), None
    with _watched(model, intervention) as watch:
        tokens = greedy_tokens(model, prompt, new_tokens, watch.stepped)
    with edited(model, intervention):
        logits = logits_over(model, prompt, tokens)
    moved = (logits - logits_over(model, prompt, tokens)).abs().amax(-1)
    steps = moved[len(prompt) - 1 : -1]  # the positions that made the new tokens
    layers = len(watch.edits)
    counts = (int((steps > 0).sum()), float(moved.max()))
    return Decoded(prompt, tokens, logits), EditProof(len(steps), layers, watch.proven, *counts)


class _Watch:
    """Compares what the hooks of an edit saw with what the projections then got."""

    def __init__(self, intervention: Intervention) -> None:
        self.edits = layer_edits(intervention)
        self.before: dict[int, Tensor] = {}
        self.got: dict[int, Tensor] = {}
        self.proven = 0

    def seen(self, layer: int, before: Tensor, _: Tensor) -> None:
        """Keep the activations of the newest position, before the edit."""
        self.before[layer] = before.reshape(-1, before.shape[-1])[-1]

    def takes(self, layer: int) -> Callable[[Any, tuple[Tensor, ...]], None]:
        """Return a hook that keeps what a projection gets, behind all edits."""

        def hook(_: Any, args: tuple[Tensor, ...]) -> None:
            last = args[0].reshape(-1, args[0].shape[-1])[-1]
            self.got[layer] = last[self.edits[layer].neurons.to(last.device)]

        return hook

    def stepped(self) -> None:
        """Count the layers that the edit was proven in at this step."""
        for layer, (_, factors, offsets) in self.edits.items():
            if layer in self.before and layer in self.got:
                like = self.before[layer].double()
                wanted = factors.to(like.device) * like + offsets.to(like.device)
                self.proven += torch.allclose(self.got[layer].double(), wanted, *_CLOSE)
        self.before.clear()
        self.got.clear()


@contextmanager
def _watched(model: Any, intervention: Intervention) -> Iterator[_Watch]:
    watch = _Watch(intervention)
    projections = down_projections(model)
    with edited(model, intervention, watch.seen), ExitStack() as hooks:
        for layer in watch.edits:
            handle = projections[layer].register_forward_pre_hook(watch.takes(layer))
            hooks.callback(handle.remove)
        yield watch
