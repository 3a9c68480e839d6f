"""What strangers wrote, put into sentences: shortened, and nothing acts on a terminal."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_SHOWN = 60
_LISTED = 5
#: Unicode categories that hide, reorder or break text: controls, formats (bidi overrides and
#: zero-width characters), surrogates, private use, unassigned, line and paragraph separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def shown(value: object, most: int = _SHOWN) -> str:
    """Return a value of a submission as it may stand in a sentence: quoted, escaped, shortened."""
    if isinstance(value, str):
        return repr(value[:most]) + ("…" if len(value) > most else "")
    if isinstance(value, Mapping | Sequence):
        kind = "an object" if isinstance(value, Mapping) else "a list"
        return f"{kind} of {len(value)}"
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def listed(names: Iterable[str], most: int = _LISTED) -> str:
    """Return names of a submission as a list in a sentence, the first few of many."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(plain(name) for name in every[:most]) + more


def plain(name: str) -> str:
    """Return a name as it is where it is printable and short, else as ``shown``."""
    return name if name.isprintable() and 0 < len(name) <= _SHOWN else shown(name)


def unsafe_character(text: str) -> str | None:
    """Return the first character that hides or reorders text as ``U+202E``; None without one.

    Line ends and tabs are none.
    """
    if text.isascii() and text.isprintable():
        return None
    inside = (each for each in text if each not in "\n\t")
    found = next((each for each in inside if unicodedata.category(each) in _UNSAFE), None)
    return None if found is None else f"U+{ord(found):04X}"


def texts_in(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a JSON value, keys too, each with where it stands (``model.name``)."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"a name in {where}" if where else "a name", key
            yield from texts_in(inner, f"{where}.{plain(key)}" if where else plain(key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from texts_in(inner, f"{where}[{place}]")
