"""The exceptions of detox-bench.

    DetoxBenchError             anything a user can mend; the command line prints it as one sentence
    ├── UnknownName             a language, scorer, ... that is in none of our tables
    ├── BadData                 a file that is not what it should be
    ├── BadRunFolder            a run folder that cannot be written, read or continued
    ├── BadIntervention         an edit of neurons that cannot be, or is not for this model
    ├── ScorerUnavailable       a scorer that cannot be loaded, or used for what it was asked
    └── MissingExtra            an optional dependency that is not installed

Catch the base class::

    try:
        prompts = load_prompts("zh-Hans")
    except DetoxBenchError as error:
        print(error)
"""

from collections.abc import Iterable
from difflib import get_close_matches

_LONG = 60  # names; a longer list is left out where one of them is suggested
_SUGGESTED = 3  # names of a table that is not listed


class DetoxBenchError(Exception):
    """An error whose message says what was wrong, what was found, and what to do."""


class UnknownName(DetoxBenchError):
    """A name that is in none of our tables."""


class BadData(DetoxBenchError):
    """A file that is not what it should be."""


class BadRunFolder(DetoxBenchError):
    """A run folder that cannot be written, read or continued."""


class BadIntervention(DetoxBenchError):
    """An edit of neurons that cannot be made, or was made for another model."""


class ScorerUnavailable(DetoxBenchError):
    """A scorer that cannot be loaded, or cannot be used for what it was asked."""


class MissingExtra(DetoxBenchError):
    """An optional dependency that is not installed."""


def unknown_name(what: str, name: str, known: Iterable[str], instead: str = "") -> UnknownName:
    """Return the one error for a ``name`` missing from a table of ``what``, with a suggestion.

    Of a table too long to be read, give ``instead``: it stands where the names would, and the
    three nearest are suggested.
    """
    names = sorted(known)
    folded = {candidate.casefold(): candidate for candidate in names}
    most = _SUGGESTED if instead else 1
    close = get_close_matches(name.casefold(), folded, n=most, cutoff=0.5)
    hint = f" Did you mean {_either(repr(folded[each]) for each in close)}?" if close else ""
    listed = "" if hint and len(names) > _LONG else f" Known: {', '.join(names)}."
    return UnknownName(f"Unknown {what} {name!r}.{hint}{f' {instead}' if instead else listed}")


def _either(names: Iterable[str]) -> str:
    """Return ``a``, ``a or b``, ``a, b or c``."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def missing_extra(feature: str, extra: str) -> MissingExtra:
    """Return the one error for a ``feature`` whose optional dependencies are not installed."""
    return MissingExtra(f"{feature} needs: pip install 'detox-bench[{extra}]'.")
