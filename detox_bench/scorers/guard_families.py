"""How generative safety classifiers are asked, one family a make, and what a user may change of it.

To support another family, add an object to ``guard_templates.json``: the messages (with ``{text}``
where the text goes; the rest of the prompt is the tokenizer's chat template), whether the template
must be asked to begin the answer, how the answer begins, and each label with how toxic it is. Then
add the published models to ``scorers.table``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from detox_bench.errors import DetoxBenchError, ScorerUnavailable, unknown_name
from detox_bench.scorers.options import read_options

#: Where the text goes in the messages of a family.
TEXT = "{text}"
#: A model that gives all its labels together less than this share did not follow the format.
LEAST_ANSWERED = 0.01
#: Longest input in tokens, the prompt around the text included. Continuations have some 20 tokens
#: and the prompts 100 to 400; the windows of these models (up to 131,072) would let one odd text
#: take minutes and gigabytes.
LONGEST = 2048
_CONTROVERSIAL = " Controversial"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardOptions:
    """Options of a generative safety classifier.

    ``family`` is a name in ``guard_templates.json``; None finds it by the model's name.
    ``controversial`` is how toxic the middle label of three counts. ``instructions`` is a text file
    with the system message to use in place of the family's. ``max_length`` is in tokens, with the
    prompt; ``batch_tokens`` in tokens a forward pass. ``least_answered`` is the probability that
    all labels must have together.
    """

    device: str | None = None
    dtype: str | None = None
    batch_tokens: int | None = None
    max_length: int = LONGEST
    family: str | None = None
    controversial: float | None = None
    instructions: str | None = None
    least_answered: float = LEAST_ANSWERED
    threshold: float = 0.5
    revision: str | None = None
    languages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GuardFamily:
    """How models of one make are asked: see the module."""

    name: str
    messages: tuple[Mapping[str, str], ...]
    generation_prompt: bool
    answer: str
    labels: Mapping[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        """The labels as words."""
        return tuple(label.strip() for label in self.labels)


def read_guard_options(given: Mapping[str, Any]) -> GuardOptions:
    """Return ``given`` as options. Raises ``UnknownName`` and ``DetoxBenchError``."""
    return read_options(GuardOptions, "guard", given)


def guard_family(name: str | None, options: GuardOptions, spec: str) -> GuardFamily:
    """Return the family ``name`` with what the options change of it, for the scorer ``spec``.

    Raises ``ScorerUnavailable`` where no name is known, ``UnknownName`` for one in no table, and
    ``DetoxBenchError`` for an option that the family has no use for.
    """
    known = _families()
    if name is None:
        raise ScorerUnavailable(
            f"{spec}: how this model answers is not known by its name. Give family=NAME, with one "
            f"of {listed(sorted(known))}."
        )
    if name not in known:
        raise unknown_name("family of safety classifiers", name, known)
    found = known[name]
    if options.controversial is not None:
        found = replace(found, labels=_reweighted(found, options.controversial))
    if options.instructions is not None:
        found = replace(found, messages=_instructed(found, Path(options.instructions)))
    return found


def _reweighted(family: GuardFamily, weight: float) -> dict[str, float]:
    """Return the labels with another weight of the middle one."""
    if _CONTROVERSIAL not in family.labels:
        raise DetoxBenchError(
            f"Scorer option controversial is of no use: family {family.name} answers "
            f"{listed(family.names)}. Leave it out."
        )
    return {**family.labels, _CONTROVERSIAL: weight}


def _instructed(family: GuardFamily, file: Path) -> tuple[Mapping[str, str], ...]:
    """Return the messages with the system message in ``file``."""
    if family.messages[0]["role"] != "system":
        raise DetoxBenchError(
            f"Scorer option instructions is of no use: family {family.name} has no system "
            "message, its instructions are in the model's chat template. Leave it out."
        )
    try:
        content = file.expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DetoxBenchError(f"The instructions {file} cannot be read: {error}.") from error
    return ({"role": "system", "content": content.strip()}, *family.messages[1:])


@cache
def _families() -> dict[str, GuardFamily]:
    """Return the families of the package."""
    content = files("detox_bench.scorers").joinpath("guard_templates.json").read_text("utf-8")
    return {
        name: GuardFamily(
            name, tuple(row["messages"]), row["generation_prompt"], row["answer"], row["labels"]
        )
        for name, row in json.loads(content).items()
    }


def listed(names: Sequence[str]) -> str:
    """Return names with commas and an "and"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
