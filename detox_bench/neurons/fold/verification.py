"""Whether two models are the same: their logits to a stated tolerance, and their greedy texts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.loading import load_causal_model
from detox_bench.neurons.edit.editing import base_model_of, check_made_for
from detox_bench.neurons.edit.interventions import Intervention
from detox_bench.neurons.fold.exports import running, stored_dtype
from detox_bench.neurons.fold.folding import dtype_name
from detox_bench.neurons.fold.proof import (
    NEW_TOKENS,
    Decoded,
    EditProof,
    Reference,
    greedy_tokens,
    logits_over,
    reference,
)
from detox_bench.neurons.fold.proof_prompts import proof_tokens

#: Largest difference of logits where the weights of the edit are stored in float32 (or finer).
FLOAT32 = 1e-5
# For coarser types. Over all 39 architectures and operators (random models, edits of 10 to 40 %)
# rounding made at most 0.24 epsilons of the largest logit, and 1.3 % of what the edit moves.
_EPSILONS = 2
_EPSILONS_COPY = 4  # where a whole model was rounded: random models move by 2
_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far logits may be apart, and the ``reason`` in words."""

    value: float
    reason: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two models compare on some prompts.

    Args:
        prompts: How many.
        positions: Of the prompts and their continuations, each with a logit a token.
        difference: The largest absolute difference of logits at any of them.
        largest_logit: The largest absolute logit of the first model.
        same_texts: How many greedy continuations are the same.
        ties: How many others part where the two likeliest tokens are closer than twice the
            tolerance, so that no text can be expected to be the same.
        tolerance: What ``difference`` is held against.
        proof: That the edit acts on every decoded token; None without an intervention.
    """

    prompts: int
    positions: int
    difference: float
    largest_logit: float
    same_texts: int
    ties: int
    tolerance: Tolerance
    proof: EditProof | None

    @property
    def blind(self) -> bool:
        """Whether the edit moves logits by no more than is allowed, so that nothing is proven."""
        return self.proof is not None and self.proof.effect <= self.tolerance.value

    def failure(self) -> str | None:
        """Return in words why the models are not the same; None if they are."""
        if not self.difference <= self.tolerance.value:  # NaN fails
            return (
                f"logits differ by up to {self.difference:.3g}, and {self.tolerance.value:.3g} is "
                f"allowed ({self.tolerance.reason})"
            )
        if self.same_texts + self.ties < self.prompts:
            different = self.prompts - self.same_texts - self.ties
            return f"{different} of {self.prompts} greedy texts differ"
        if self.proof is not None and not self.proof.complete:
            wanted = self.proof.steps * self.proof.layers
            return f"the edit was seen in {self.proof.seen} of {wanted} decoding steps × layers"
        return None

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        proof = None if self.proof is None else self.proof._asdict()
        return asdict(self) | {"proof": proof, "failure": self.failure()}


@dataclass(frozen=True, slots=True)
class VerificationSettings:
    """What to compare.

    Args:
        first: A folder or Hub name.
        second: Another, or the folder of an export to any format.
        texts: Prompts to compare on.
        intervention: Run with ``first``.
        force: Go on where the intervention was made for other weights.
        device: Where the models run.
        tolerance: How far logits may be apart; by the type of ``second`` if None.
        new_tokens: Greedy tokens behind each prompt.
    """

    first: str
    second: str
    texts: Sequence[str]
    intervention: Intervention | None = None
    force: bool = False
    device: str | None = None
    tolerance: float | None = None
    new_tokens: int = NEW_TOKENS


def verify(asked: VerificationSettings) -> Agreement:
    """Compare two models, one in memory after the other.

    The logits of the first are kept while the second runs: 4 bytes for each token of the vocabulary
    at each position, up to 90 MB a prompt (128 + 20 positions) for a vocabulary of 152,000.

    Raises ``DetoxBenchError`` where one cannot be loaded, ``BadIntervention`` where the
    intervention was made for another model than the first.
    """
    dtype = _rounded_to(asked)
    found, _ = reference_of(asked)
    with running(asked.second, asked.first, asked.device) as model:
        return agreement(found, model, dtype, asked.tolerance)


def _rounded_to(asked: VerificationSettings) -> torch.dtype:
    """Return the type that weights of the second model were rounded to, beside the first.

    Without an intervention that is none where the first is stored as coarsely: then nothing but
    the order of sums may differ.
    """
    second = stored_dtype(asked.second)
    if asked.intervention is None:
        first = stored_dtype(asked.first)
        if torch.finfo(first).eps >= torch.finfo(second).eps:
            return torch.float32
    return second


def reference_of(asked: VerificationSettings) -> tuple[Reference, str | None]:
    """Run the first model; return that, and how it differs from the one it was edited for."""
    name, model, tokenizer = load_causal_model(asked.first, asked.device, torch.float32)
    forced = None
    if asked.intervention is not None:
        forced = check_made_for(asked.intervention, base_model_of(model, name), asked.force)
    prompts = proof_tokens(model, tokenizer, asked.texts, asked.new_tokens)
    return reference(model, prompts, asked.intervention, asked.new_tokens), forced


def tolerance_for(dtype: torch.dtype, found: Reference, asked: float | None = None) -> Tolerance:
    """Return how far logits may be apart where the edit is stored in ``dtype``.

    In float32 what is left is the order of sums, which is the same however small the edit: with 24
    layers it moved logits by up to 8 epsilons of the largest (random models, values changed by a
    millionth to a half). A cap by what the edit moves would refuse right exports of small edits
    there, so that one below the tolerance is called doubtful instead.

    In a coarser type each changed weight is rounded once, by at most half an epsilon of itself,
    while all sums are in float32: two epsilons of the largest logit are allowed for what comes of
    it, four where all weights are rounded. Two could hide a small edit, so that more than a tenth
    of what the edit itself moves is never allowed.
    """
    largest = _largest(found)
    if asked is not None:
        return Tolerance(asked, "as asked for")
    finest = FLOAT32 * max(1.0, largest)
    if torch.finfo(dtype).bits >= 32:
        of = f", of the largest logit {largest:.3g}" if largest > 1 else ""
        return Tolerance(finest, f"{FLOAT32:g} for sums in float32{of}")
    epsilon = float(torch.finfo(dtype).eps)
    times = _EPSILONS_COPY if found.proof is None else _EPSILONS
    rounding = times * epsilon * max(1.0, largest)
    reason = (
        f"weights rounded to {dtype_name(dtype)}: {times} × its epsilon {epsilon:.3g}, of the "
        f"largest logit {largest:.3g}"
    )
    share = rounding if found.proof is None else max(finest, found.proof.effect * _SHARE)
    if share < rounding:
        return Tolerance(share, f"{reason}; but no more than {_SHARE:.0%} of what the edit moves")
    return Tolerance(rounding, reason)


def agreement(
    found: Reference, model: Any, dtype: torch.dtype, asked: float | None = None
) -> Agreement:
    """Run ``model`` on what another one made, and compare.

    Args:
        found: Of the other one.
        model: In float32.
        dtype: The type its edited weights are stored in, which decides the tolerance.
        asked: The tolerance, if not the one for the type.

    Raises:
        DetoxBenchError: where the two have different vocabularies.
    """
    tolerance = tolerance_for(dtype, found, asked)
    differences, same, ties = [], 0, 0
    for each in tqdm(found.decoded, desc="comparing", unit="prompt", disable=None):
        differences.append(_difference(each, logits_over(model, each.prompt, each.tokens)))
        tokens = greedy_tokens(model, each.prompt, len(each.tokens))
        same += tokens == each.tokens
        ties += tokens != each.tokens and _is_tie(each, tokens, tolerance.value)
    return Agreement(
        prompts=len(found.decoded),
        positions=sum(len(each.logits) for each in found.decoded),
        difference=float(torch.stack(differences).max()),
        largest_logit=_largest(found),
        same_texts=same,
        ties=ties,
        tolerance=tolerance,
        proof=found.proof,
    )


def _difference(each: Decoded, logits: Tensor) -> Tensor:
    if logits.shape != each.logits.shape:
        raise DetoxBenchError(
            f"The models have vocabularies of {each.logits.shape[-1]} and {logits.shape[-1]} "
            "tokens: their logits cannot be compared."
        )
    return (logits - each.logits).abs().max()


def _largest(found: Reference) -> float:
    return float(torch.stack([each.logits.abs().max() for each in found.decoded]).max())


def _is_tie(each: Decoded, tokens: Sequence[int], tolerance: float) -> bool:
    """Return whether a text parts from the other where the two likeliest tokens are near equal."""
    pairs = enumerate(zip(each.tokens, tokens, strict=True))
    first = next(n for n, (one, other) in pairs if one != other)
    logits = each.logits[len(each.prompt) - 1 + first]
    return float(logits[each.tokens[first]] - logits[tokens[first]]) <= 2 * tolerance
