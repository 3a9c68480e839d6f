"""Which output of a classifier means "toxic", and how an output becomes a probability.

To support another name for toxicity, add it to ``TOXIC_LABELS``.
"""

import re
from collections.abc import Sequence

from detox_bench.errors import ScorerUnavailable, unknown_name

#: Names of the toxic label, best first; compared in lower case with ``_`` for anything between.
TOXIC_LABELS = (
    "toxicity",
    "toxic",
    "toxic_speech",
    "toxic_content",
    "hate",
    "hateful",
    "hate_speech",
    "offensive",
    "offensive_language",
    "abusive",
    "abuse",
)

ACTIVATIONS = ("identity", "sigmoid", "softmax")

#: The activation for each ``problem_type`` of a transformers config, for more than one label.
_ACTIVATION_OF = {
    None: "softmax",
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
}


def toxic_index(labels: Sequence[str], given: str | int | None, scorer: str) -> int:
    """Return the index of the toxic label: the ``given`` name or number, or the one found.

    A model of one label has no other; ``LABEL_1`` of an unnamed pair is not guessed.

    Raises ``ScorerUnavailable`` with the labels where none can be chosen.
    """
    if given is not None:
        return _given_index(labels, given, scorer)
    if len(labels) == 1:
        return 0
    folded = [_folded(label) for label in labels]
    for name in TOXIC_LABELS:
        if name in folded:
            return folded.index(name)
    raise ScorerUnavailable(
        f"No label of {scorer} is known to mean toxicity. Its labels: {', '.join(labels)}. "
        "Pass toxic_label=<one of them>."
    )


def find_activation(problem_type: str | None, n_labels: int, given: str | None) -> str:
    """Return the name in ``ACTIVATIONS`` that a config asks for, or the one ``given``."""
    if given is not None:
        if given not in ACTIVATIONS:
            raise unknown_name("activation", given, ACTIVATIONS)
        return given
    if n_labels == 1:
        return "sigmoid"
    return _ACTIVATION_OF.get(problem_type, "softmax")


def _given_index(labels: Sequence[str], given: str | int, scorer: str) -> int:
    """Return the index of the label a user named or numbered."""
    folded = [label.casefold() for label in labels]
    if str(given).casefold() in folded:
        return folded.index(str(given).casefold())
    if str(given).isdecimal() and int(given) < len(labels):
        return int(given)
    raise ScorerUnavailable(
        f"{scorer} has no label {given!r}. Its labels: {', '.join(labels)}. "
        "Pass toxic_label=<one of them>, or its number from 0."
    )


def _folded(label: str) -> str:
    """Return ``label`` in lower case with ``_`` for anything but letters and digits."""
    return re.sub(r"[\W_]+", "_", label.casefold()).strip("_")
