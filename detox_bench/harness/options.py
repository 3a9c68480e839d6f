"""What ``--metadata`` may set for our tasks, each name with ``detox_`` before it.

All tasks of a command are given the same metadata, so that each takes its own options from it and
leaves those of the others alone. A name that is an option of none is an error.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from detox_bench.data.flores import SPLITS
from detox_bench.data.parallel import PARALLEL
from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.modeling.poolings import POOLINGS
from detox_bench.scorers.thresholds import Threshold, read_threshold

_PREFIX = "detox_"
_FOR_SCORER = "scorer_"
_NOT_TEXT = ("threshold", "sentences", "strict")
_MAY_BE_NULL = ("folder",)
#: Options that are a name in a table: what the name is of, and the table.
_CHOICES: dict[str, tuple[str, Collection[str]]] = {
    "data": ("parallel data set", PARALLEL),
    "split": ("split of FLORES", SPLITS),
    "pooling": ("pooling", POOLINGS),
}


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of the toxicity tasks.

    ``prompts`` is auto, rtplx or sample; ``subset`` all, odd, even or parallel; ``threshold`` a
    number, or the file of a table of them by language; None is the scorer's own. ``strict`` refuses
    languages in which the scorer is not validated. Every other ``detox_scorer_<option>`` goes to
    the scorer.
    """

    language: str = "en"
    scorer: str = "ngram"
    prompts: str = "auto"
    subset: str = "all"
    threshold: Threshold | None = None
    strict: bool = False
    scorer_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "TaskOptions":
        """Return the options in ``metadata``; raises as ``check_options``."""
        given = _given(metadata)
        if given.get("threshold") is not None:
            given["threshold"] = read_threshold(given["threshold"])
        if not isinstance(given.get("strict", False), bool):
            raise DetoxBenchError(f"detox_strict is {given['strict']!r}: give true or false.")
        known = _names(cls) - {"scorer_options"}
        extra = {k.removeprefix(_FOR_SCORER): v for k, v in given.items() if _for_scorer(k)}
        return cls(**{k: v for k, v in given.items() if k in known}, scorer_options=extra)


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """The options of the retrieval tasks.

    ``data`` is a name of ``data.parallel.PARALLEL``; ``source`` and ``language`` the two sides;
    ``split`` a part of FLORES; ``folder`` where the paper's 200 prompts are; ``prompts`` as in the
    toxicity tasks; ``pooling`` a name of ``modeling.poolings.POOLINGS``.
    """

    language: str = "de"
    source: str = "en"
    data: str = "flores"
    split: str = "devtest"
    folder: str | None = None
    prompts: str = "auto"
    pooling: str = "mean"

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "RetrievalOptions":
        """Return the options in ``metadata``; raises as ``check_options``."""
        return cls(**{k: v for k, v in _given(metadata).items() if k in _names(cls)})


@dataclass(frozen=True, slots=True)
class TranslationOptions:
    """The options of the translation tasks.

    ``translate_from`` and ``translate_to`` are the languages, which the task's name has;
    ``sentences`` how many of ``devtest`` are translated, from the first on.
    """

    translate_from: str = "en"
    translate_to: str = "de"
    sentences: int = 100

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "TranslationOptions":
        """Return the options in ``metadata``; raises as ``check_options``."""
        given = {k: v for k, v in _given(metadata).items() if k in _names(cls)}
        wanted = given.get("sentences", 1)
        if type(wanted) is not int or wanted < 1:
            raise DetoxBenchError(f"detox_sentences is {wanted!r}: give a whole number above 0.")
        return cls(**given)


def check_options(metadata: Mapping[str, Any]) -> None:
    """Raise ``DetoxBenchError`` for what is no option of any task, or a value that none takes."""
    for options in _OPTIONS:
        options.of(metadata)


def _given(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return our options among ``metadata`` without their prefix, known to be options of a task."""
    given = {k.removeprefix(_PREFIX): v for k, v in metadata.items() if k.startswith(_PREFIX)}
    known = set().union(*map(_names, _OPTIONS)) - {"scorer_options"}
    for name, value in given.items():
        if name in known:
            _check(name, value)
        elif not _for_scorer(name):
            raise unknown_name("option", _PREFIX + name, (_PREFIX + each for each in known))
    return given


def _check(name: str, value: Any) -> None:
    """Raise ``DetoxBenchError`` for a text that is none, or no name in the option's table."""
    if name in _NOT_TEXT or (name in _MAY_BE_NULL and value is None):
        return
    if not isinstance(value, str):
        raise DetoxBenchError(f"{_PREFIX}{name} is {value!r}: give one text in quotes.")
    what, table = _CHOICES.get(name, ("", (value,)))
    if value not in table:
        raise unknown_name(what, value, table)


def _for_scorer(name: str) -> bool:
    return name.startswith(_FOR_SCORER)


def _names(options: Any) -> set[str]:
    found: Iterable[Any] = fields(options)
    return {each.name for each in found}


_OPTIONS = (TaskOptions, RetrievalOptions, TranslationOptions)
