"""A scorer over a sequence classifier: logits to probabilities, the toxic one as the value."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detox_bench.errors import ScorerUnavailable, unknown_name
from detox_bench.scorers.labels import find_activation, toxic_index
from detox_bench.scorers.logits import TEXTS_A_BATCH, SequenceClassifier, longest_input
from detox_bench.scorers.options import ClassifierOptions
from detox_bench.scorers.source import Source, Sourced
from detox_bench.types import ToxicityScore

if TYPE_CHECKING:
    import torch

DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, slots=True)
class ClassifierScorer(Sourced):
    """Scores by the probability of one label; those of the other labels are its attributes."""

    options: ClassifierOptions
    labels: tuple[str, ...]
    toxic: int
    activation: str
    classifier: SequenceClassifier

    @property
    def id(self) -> str:
        """``name@revision#hash12``; hashed are weights, config, tokenizer and ``settings``."""
        hashes = {"weights": self.weights_sha256, "setup": self.source.setup_sha256}
        return self.named({**hashes, **self.settings})

    @property
    def transfer(self) -> frozenset[str]:
        """The languages it may carry over to, beyond those."""
        return self.options.transfer

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self.classifier.device)

    @property
    def dtype(self) -> str:
        """The type of its weights."""
        return self.options.dtype

    @property
    def truncated(self) -> int:
        """How many texts have been cut to ``max_length`` tokens so far."""
        return self.classifier.truncated

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the score depends on beside the weights."""
        return {
            "toxic_label": self.labels[self.toxic],
            "activation": self.activation,
            "max_length": self.classifier.max_length,
            "dtype": self.dtype,
        }

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:  # noqa: ARG002
        """Return one score a text, in the order of ``texts``."""
        if not texts:
            return []
        logits = self.classifier.logits(texts)[:, : len(self.labels)]
        rows: list[list[float]] = _ACTIVATIONS[self.activation](logits).tolist()
        return [self._score(row) for row in rows]

    def _score(self, row: Sequence[float]) -> ToxicityScore:
        """Return the score of one row of probabilities, unscored if it is not finite."""
        value = row[self.toxic]
        if not math.isfinite(value):
            return ToxicityScore(None, reason=f"the model gave {value}")
        others = zip(self.labels, row, strict=True)
        return ToxicityScore(
            value, {label: p for label, p in others if label != self.labels[self.toxic]}
        )


def build_classifier(
    source: Source, model: Any, tokenizer: Any, labels: Sequence[str], options: ClassifierOptions
) -> ClassifierScorer:
    """Return the scorer over a loaded ``model``, moved to its device and put to evaluation.

    ``labels`` name the first outputs. Raises ``ScorerUnavailable`` if no toxic label is found or
    the device is not there.
    """
    return ClassifierScorer(
        source=source,
        labels=tuple(labels),
        toxic=toxic_index(labels, options.toxic_label, source.name),
        activation=find_activation(model.config.problem_type, len(labels), options.activation),
        classifier=SequenceClassifier(
            model=_placed(model.eval(), options),
            tokenizer=tokenizer,
            max_length=longest_input(tokenizer, model.config, options.max_length),
            texts_a_batch=options.batch_size or TEXTS_A_BATCH,
        ),
        options=options,
    )


def _placed(model: Any, options: ClassifierOptions) -> Any:
    """Return ``model`` on the device asked for, or on a GPU if there is one."""
    import torch

    if options.dtype not in DTYPES:
        raise unknown_name("dtype", options.dtype, DTYPES)
    name = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return model.to(torch.device(name), getattr(torch, options.dtype))
    except (RuntimeError, AssertionError) as error:
        raise ScorerUnavailable(
            f"Device {name!r} cannot be used here (CUDA devices found: "
            f"{torch.cuda.device_count()}). Give device=cpu, or cuda:0 where there is one."
        ) from error


def _sigmoid(logits: "torch.Tensor") -> "torch.Tensor":
    """Return independent probabilities."""
    return logits.sigmoid()


def _softmax(logits: "torch.Tensor") -> "torch.Tensor":
    """Return probabilities that sum to 1."""
    return logits.softmax(dim=-1)


def _identity(logits: "torch.Tensor") -> "torch.Tensor":
    """Return the outputs as they are."""
    return logits


_ACTIVATIONS: dict[str, Callable[["torch.Tensor"], "torch.Tensor"]] = {
    "identity": _identity,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
}
