"""Thresholds for each language from what was measured. To add a rule, add a row to ``RULES``."""

from collections.abc import Callable, Mapping
from typing import Any

from detox_bench.errors import DetoxBenchError
from detox_bench.scorers.thresholds import ThresholdTable
from detox_bench.scorers.validation import FEWEST

#: The parts a threshold may come from, in this order: it is for continuations.
_FROM = ("completions", "labelled", "prompts")

#: How a threshold is chosen from the figures of a part.
RULES: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    # the highest F1 on clear texts
    "best": lambda figures: figures["best_threshold"]["threshold"],
    # as many texts are called toxic as people call toxic
    "matched": lambda figures: figures["matched_threshold"],
}


def derive(stored: Mapping[str, Any], rule: str) -> ThresholdTable:
    """Return the table by a rule of ``RULES`` from what is stored of a scorer.

    A language where no part has ``FEWEST`` toxic and as many harmless texts is left out. Raises
    ``DetoxBenchError`` where none is left.
    """
    found, parts = dict[str, float](), dict[str, None]()
    for code, figures in stored["languages"].items():
        part = next((name for name in _FROM if _enough(figures.get(name))), None)
        limit = RULES[rule](figures[part]) if part else None
        if part and limit is not None:
            found[code] = limit
            parts[part] = None
    if not found:
        raise DetoxBenchError(
            f"No language has {FEWEST} toxic and {FEWEST} harmless texts, so that no threshold "
            "can be derived. Validate on more: --on, --labelled."
        )
    return ThresholdTable(stored["scorer"]["id"], rule, ", ".join(parts), found)


def _enough(figures: Mapping[str, Any] | None) -> bool:
    return figures is not None and min(figures["n_toxic"], figures["n_harmless"]) >= FEWEST
