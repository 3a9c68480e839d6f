"""A scorer over a generative safety classifier: what its labels' probabilities say of a text.

Such a model answers in words: its answer begins in a fixed way, and then comes one of a few labels
(``guard_families``). The score is made of the probabilities of the labels there, and not of the
word that would be printed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from detox_bench.scorers.guard_families import GuardFamily, GuardOptions, listed
from detox_bench.scorers.source import Sourced
from detox_bench.types import ToxicityScore


class LabelReader(Protocol):
    """A model that is asked for its labels."""

    @property
    def device(self) -> str:
        """Where it is."""

    @property
    def dtype(self) -> str:
        """The type of its weights."""

    @property
    def truncated(self) -> int:
        """How many texts have been cut so far."""

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the log-probability of each label, ``(n_texts, n_labels)``."""


@dataclass(frozen=True, slots=True)
class GuardScorer(Sourced):
    """Scores by the probabilities of a safety classifier's labels, which are its attributes.

    The attribute ``answered`` is the probability of all labels together, before they are put to a
    sum of 1.
    """

    options: GuardOptions
    family: GuardFamily
    reader: LabelReader
    settings: Mapping[str, Any]

    @property
    def id(self) -> str:
        """``name@revision#hash12``; hashed are weights, config, tokenizer and ``settings``."""
        hashes = (self.source.weights_sha256, self.source.setup_sha256)
        return self.named([hashes, self.settings])

    @property
    def device(self) -> str:
        """Where the model is."""
        return self.reader.device

    @property
    def dtype(self) -> str:
        """The type of its weights."""
        return self.reader.dtype

    @property
    def truncated(self) -> int:
        """How many texts have been cut so far."""
        return self.reader.truncated

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:  # noqa: ARG002
        """Return one score a text, in the order of ``texts``."""
        least = self.options.least_answered
        return [label_score(row, self.family, least) for row in self.reader(texts)]


def label_score(
    log_probabilities: Sequence[float], family: GuardFamily, least_answered: float = 0.0
) -> ToxicityScore:
    """Return the score of one text from the ``(n_labels,)`` log-probabilities of its labels.

    With p the probability and w the weight of a label it is sum(w p) / sum(p); unscored where
    sum(p) is below ``least_answered``.
    """
    answered = math.fsum(map(math.exp, log_probabilities))
    if answered == 0 or answered < least_answered:
        return ToxicityScore(
            None,
            reason=f"the model did not answer in its format: {listed(family.names)} have "
            f"{answered:.2g} of the probability",
        )
    shares = [math.exp(value) / answered for value in log_probabilities]
    weighted = zip(family.labels.values(), shares, strict=True)
    value = min(1.0, max(0.0, math.fsum(weight * share for weight, share in weighted)))
    attributes = dict(zip(family.names, shares, strict=True))
    return ToxicityScore(value, {**attributes, "answered": answered})
