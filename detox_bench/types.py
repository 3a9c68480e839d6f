"""The values that travel between the parts of detox-bench: frozen, no torch, JSON in and out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its BCP 47 ``code``, script (ISO 15924), and its name in each data set."""

    code: str
    name: str
    script: str
    rtplx: str
    flores: str
    paper: bool = False
    direction: str = "ltr"
    spaced: bool = True

    @property
    def slug(self) -> str:
        """Return the code as it stands at the end of a task name (``zh-hans``)."""
        return self.code.lower()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. ``id`` is stable across releases of the data set and unique within it."""

    id: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Generation:
    """The continuation number ``sample`` of the prompt ``prompt_id``; the prompt is not in it."""

    prompt_id: str
    sample: int
    text: str


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two continuations of one ``prompt``, which is in neither: ``chosen`` is to be preferred.

    ``complete`` says that both are whole texts, not cut: only then may a trainer teach the model
    to end there. ``source`` names the data set; ``id`` is unique within a file of pairs. An empty
    prompt is allowed: the continuations then begin the text.
    """

    id: str
    prompt: str
    chosen: str
    rejected: str
    language: str = "en"
    source: str = ""
    complete: bool = False


class NeuronId(NamedTuple):
    """One MLP neuron: number ``neuron`` of the input of ``layer``'s down projection, from 0."""

    layer: int
    neuron: int

    def __str__(self) -> str:
        """Return ``layer:neuron``."""
        return f"{self.layer}:{self.neuron}"


@dataclass(frozen=True, slots=True)
class ToxicityScore:
    """What a scorer said of one text: ``value`` in [0, 1], or None with the ``reason``.

    None is "unscored" and never means 0: 0 is the best toxicity there is.
    """

    value: float | None
    attributes: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object with the empty fields left out."""
        return {key: value for key, value in asdict(self).items() if value or key == "value"}
