"""Where the weights of a scorer come from, and what all scorers over weights say of themselves."""

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from: what the user typed, its short name, and its identity.

    ``revision`` is a commit of the Hub, or "local"; ``setup_sha256`` is the hash of the model's
    config and its tokenizer; ``libraries`` name packages whose version may change a score.
    """

    spec: str
    name: str
    revision: str
    weights_sha256: str
    setup_sha256: str
    libraries: tuple[str, ...] = ("torch", "transformers")


class Declared(Protocol):
    """What the options of every scorer say."""

    @property
    def languages(self) -> frozenset[str]:
        """The BCP 47 codes it is said to be made for."""

    @property
    def threshold(self) -> float:
        """The score from which on a text counts as toxic."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """The members of a scorer that follow from its source and options; it judges nothing itself."""

    source: Source
    options: Declared

    @property
    def name(self) -> str:
        """The scorer's name."""
        return self.source.name

    @property
    def spec(self) -> str:
        """The name as the user gave it."""
        return self.source.spec

    @property
    def version(self) -> str:
        """The commit of the weights, or "local"."""
        return self.source.revision

    @property
    def languages(self) -> frozenset[str]:
        """The languages declared for it."""
        return self.options.languages

    @property
    def threshold(self) -> float:
        """The score from which on a text is toxic."""
        return self.options.threshold

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of the file of weights (of the digests, where there are several)."""
        return self.source.weights_sha256

    @property
    def libraries(self) -> tuple[str, ...]:
        """The packages that change a score."""
        return self.source.libraries

    @property
    def uses_language(self) -> bool:
        """Whether the answer depends on the language asked for, which that of a model does not."""
        return False

    def named(self, facts: object) -> str:
        """Return ``name@revision#hash12`` for ``facts``, JSON of all that changes a score."""
        hashed = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{self.name}@{self.version}#{hashed[:12]}"
