"""Which texts of RTP-LX a scorer may be judged on: those it was not fitted on.

A scorer that was fitted on a part of RTP-LX has a row in ``RULES``; every other may be judged on
all of it. ``ngram`` was fitted on four fifths of the prompt ids, the same in all languages.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

HELD_OUT = 0.2
"""The share of parallel ids that no fit of ``ngram`` sees."""

LENGTHS = {"ja": 30, "ko": 40, "th": 60, "zh-Hans": 30, "zh-Hant": 30}
USUAL_LENGTH = 80
"""A continuation of about 20 tokens, in characters."""

#: In these locales Index 960 is missing and later ones are one ahead of the other locales.
_SHIFTED = frozenset(("AR", "CS", "DE", "ES", "FR", "IT", "ZH-Hans", "BCMS", "SW"))
#: v1.x counts the rows of these anew (``data.rtplx_numbers``).
_RENUMBERED = ("BCMS", "SW")

#: A row of RTP-LX as ``data.rtplx`` reads it.
Row = Mapping[str, Any]


class HeldOutRule(NamedTuple):
    """What a scorer was fitted on, in words, and whether it never saw a text of RTP-LX.

    ``prompt`` answers for the prompt of a row, ``completion`` for both of its completions.
    """

    fitted_on: str
    prompt: Callable[[Row], bool]
    completion: Callable[[Row], bool]


def continuation_length(language: str) -> int:
    """Return the usual length of a 20-token continuation in ``language``, in characters."""
    return LENGTHS.get(language, USUAL_LENGTH)


def cut_alike(text: str, other: str, language: str, factor: float = 1.0) -> tuple[str, str]:
    """Return both texts cut to the length of the shorter, at most ``factor`` continuations long.

    A toxic completion of RTP-LX is three to ten times as long as its benign counterpart: uncut,
    length alone would tell them apart.
    """
    length = min(len(text), len(other), int(factor * continuation_length(language)))
    return text[:length], other[:length]


def held_out(parallel: str) -> bool:
    """Return whether the prompt ``parallel`` is on the held-out side of the split of ``ngram``."""
    return share(parallel) < HELD_OUT


def share(key: str) -> float:
    """Return a number in [0, 1) that depends on ``key`` alone."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32


def parallel_id(locale: str, index: object, text: str) -> str:
    """Return the id that a prompt shares with its translations, or one of its own."""
    if not str(index).isdecimal():
        return f"{locale}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    number = int(str(index))
    number -= locale in _SHIFTED and number > 960
    return str(number) if number < 1000 else f"{locale}:{number}"


def _unseen_prompt(row: Row) -> bool:
    """Return whether ``ngram`` never saw the prompt, which it met under its Index of v0.3.

    That is ``NA`` in the culture-specific rows of BCMS and SW, whatever a later release counts.
    """
    if row["parallel_id"] is not None:
        return held_out(str(row["parallel_id"]))
    index = "NA" if row["locale"] in _RENUMBERED else row["index"]
    return held_out(parallel_id(row["locale"], index, row["text"]))


def _unseen_completion(row: Row) -> bool:
    """Return whether ``ngram`` never saw the completions, which it met under their Index of v1.x.

    In BCMS and SW that Index is another than the prompt's: there a completion may be held out
    whose prompt was fitted.
    """
    return held_out(parallel_id(row["locale"], row["index"], row["text"]))


RULES: dict[str, HeldOutRule] = {
    "ngram": HeldOutRule(
        "four fifths of the ids of RTP-LX, and the labelled sources that its card names",
        _unseen_prompt,
        _unseen_completion,
    ),
}


def rule_of(spec: str) -> HeldOutRule | None:
    """Return the rule for a scorer, or for the first member with one of a scorer of several.

    ``spec`` is what a user types, as ``ngram`` or ``ensemble:ngram+hf:./mine``; None: all of
    RTP-LX may judge it.
    """
    kind, _, members = spec.partition(":")
    names = members.split("+") if kind == "ensemble" else [spec]
    bare = (name.removesuffix(":") for name in names)  # "ngram:" is ngram too
    return next((RULES[name] for name in bare if name in RULES), None)
