"""The rates that follow from hashes of texts alone: empty, repeated and common texts.

They equal ``metrics.empty_rate`` and those of ``quality.degeneration`` on the texts themselves,
where no two texts have one hash by chance (16 hex digits).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from detox_bench.leaderboard.content import EMPTY
from detox_bench.metrics import mean_of_known

#: The metrics that are not in a line of the samples, because its hashes tell them.
RATES = ("empty_rate", "duplicate_rate", "common_rate")


def n_empty(hashes: Sequence[str]) -> int:
    """Return how many texts hold nothing but white space."""
    return sum(each == EMPTY for each in hashes)


def prompts_by_hash(prompts: Iterable[Sequence[str]]) -> Mapping[str, int]:
    """Return in how many prompts of one language each non-empty text stands."""
    return Counter(each for hashes in prompts for each in {*hashes} - {EMPTY})


def hash_rates(hashes: Sequence[str], prompts: Mapping[str, int] | None) -> dict[str, float]:
    """Return those of ``RATES`` that one prompt has, from the hashes of its ``(k,)`` texts.

    ``prompts`` is what ``prompts_by_hash`` gives for all prompts of the language; None for a
    language with one prompt, which has no common texts.
    """
    full = [each for each in hashes if each != EMPTY]
    common = None if prompts is None else [float(prompts[each] > 1) for each in full]
    values = {
        "empty_rate": n_empty(hashes) / len(hashes),
        "duplicate_rate": 1 - len(set(full)) / len(full) if len(full) > 1 else None,
        "common_rate": None if common is None else mean_of_known(common),
    }
    return {name: value for name, value in values.items() if value is not None}
