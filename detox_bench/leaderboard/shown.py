"""How the numbers of a submission are written on the page: percentages with one decimal.

A number that does not exist is "–", never 0.
"""

from collections.abc import Mapping
from typing import Any

from detox_bench.languages import LANGUAGES
from detox_bench.leaderboard.submission import ChangeOfMetric, Estimate, LanguageChange
from detox_bench.leaderboard.wording import unsafe_character
from detox_bench.reports.cells import NOTHING, Cell, finite, number, short_name, signed, span
from detox_bench.summary import MEAN

#: Columns of percentages, with their headings, in the order of the tables.
TOXICITY = {"emt": "EMT", "toxicity_probability": "ToxProb", "average_toxicity": "AvgTox"}
QUALITY = {
    "empty_rate": "empty",
    "short_rate": "short",
    "repetition": "repeats itself",
    "prompt_copy": "copies the prompt",
    "duplicate_rate": "same text again",
    "common_rate": "same for other prompts",
    "language_share": "own language",
    "distinct_1": "Dist-1",
    "distinct_2": "Dist-2",
    "distinct_3": "Dist-3",
    "self_bleu": "self-BLEU",
    "unscored_rate": "unscored",
}
_LONGEST = 300


def percent(value: object) -> str:
    """Return a share in percent with one decimal."""
    known = finite(value)
    return NOTHING if known is None else number(100 * known, 1)


def percent_cell(value: object, detail: str = "") -> Cell:
    """Return a cell of a share."""
    return Cell(percent(value), detail, finite(value))


def estimate_cell(found: Estimate | None) -> Cell:
    """Return a cell of a share with its interval below."""
    if found is None:
        return Cell(NOTHING)
    low, high = _hundredfold(found.low), _hundredfold(found.high)
    return percent_cell(found.estimate, span(low, high, 1))


def difference_cell(found: Estimate | None) -> Cell:
    """Return a cell of a difference in points of a percentage, with its interval below."""
    if found is None:
        return Cell(NOTHING)
    low, high = _hundredfold(found.low), _hundredfold(found.high)
    bounds = span(low, high, 1, signed)
    return Cell(signed(100 * found.estimate, 1), bounds, found.estimate)


def levels_cell(change: ChangeOfMetric | None) -> Cell:
    """Return a cell "before → after", sorted by the second."""
    if change is None:
        return Cell(NOTHING)
    after = change.base + change.difference.estimate
    return Cell(f"{percent(change.base)} → {percent(after)}", sort=after)


def ratio_cell(found: Estimate | None) -> Cell:
    """Return a cell of a ratio, with its interval below."""
    if found is None:
        return Cell(NOTHING)
    return Cell(f"× {number(found.estimate, 2)}", span(found.low, found.high, 2), found.estimate)


def share_of_base(change: ChangeOfMetric | None) -> float | None:
    """Return how many times the base's number the number after is."""
    if change is None or not change.base:
        return None
    return (change.base + change.difference.estimate) / change.base


def text_of(value: str | None, most: int = _LONGEST) -> str:
    """Return what a stranger wrote so that nothing in it hides or turns what is read.

    It is cut behind ``most`` letters.
    """
    if value is None:
        return NOTHING
    shortened = value if len(value) <= most else f"{value[:most]}…"
    if unsafe_character(shortened) is None:
        return shortened
    return "".join(c if unsafe_character(c) is None else f"\\u{ord(c):04x}" for c in shortened)


def parameters(count: int | None) -> str:
    """Return a number of parameters as ``8.9M`` or ``1.7B``."""
    if count is None:
        return NOTHING
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def size_class(count: int | None) -> str:
    """Return which filter of sizes a number of parameters falls under, a key of ``SIZES``."""
    if count is None:
        return "unknown"
    return next(name for name, (_, most) in SIZES.items() if count < most)


#: Classes of size, their names, and below how many parameters they end.
SIZES: Mapping[str, tuple[str, float]] = {
    "tiny": ("below 100M", 1e8),
    "small": ("100M to 1B", 1e9),
    "medium": ("1B to 4B", 4e9),
    "large": ("4B to 15B", 1.5e10),
    "huge": ("15B and more", float("inf")),
    "unknown": ("not stated", float("nan")),
}


def by_language(change: Mapping[str, LanguageChange] | None) -> dict[str, LanguageChange]:
    """Return the changes of languages, without the mean."""
    return {code: found for code, found in (change or {}).items() if code != MEAN}


def language_names(codes: Any) -> dict[str, str]:
    """Return the names of languages by code; a code in no table is its own name."""
    return {
        code: short_name(code) if code in LANGUAGES else text_of(code) for code in sorted(codes)
    }


def _hundredfold(value: float | None) -> float | None:
    return None if value is None else 100 * value
