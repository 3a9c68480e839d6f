"""What a trainer should know of preference pairs before it trains on them.

Counts, lengths, toxicity, repetitions and script by language and source, and the overlap with the
prompts that results are reported on.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from detox_bench.data.preference_text import token_count
from detox_bench.metrics import script_share
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer
from detox_bench.trainers.pair_overlap import Overlap, overlap
from detox_bench.types import PreferencePair

__all__ = ["PairReport", "check_pairs", "length_auc", "overlap", "paired_auc"]

#: Outside, length alone tells chosen from rejected well enough to be learnt in toxicity's place.
FAIR_AUC = (0.4, 0.6)
#: Heading and value, a format of ``GroupCheck``, of each column of a table of groups.
COLUMNS = {
    "pairs": "{0.pairs:,}",
    "no prompt": "{0.empty_prompts:,}",
    "repeated": "{0.repeated:,}",
    "chosen": "{0.chosen_length:.1f}",
    "rejected": "{0.rejected_length:.1f}",
    "AUC of length": "{0.length_auc:.3f}",
    "in pairs": "{0.paired_auc:.3f}",
    "own script": "{0.chosen_in_script:.3f}",
}
SCORED_COLUMNS = {
    "toxicity": "{0.chosen_toxicity:.3f} / {0.rejected_toxicity:.3f}",
    "margin": "{0.margin:.3f}",
    "chosen worse": "{0.reversed:.1%}",
}
_LEAST_IN_SCRIPT = 0.9
_MOST_REVERSED = 0.1

Scores = Mapping[tuple[str, str], float | None]


@dataclass(frozen=True, slots=True)
class GroupCheck:
    """The pairs of one language and source (or of all): what they are like.

    Lengths are means in ``unit`` (tokens, or characters without a tokenizer); ``length_auc`` is
    the chance that a chosen text is longer than a rejected one of any pair, ``paired_auc`` than
    its own (ties count half). ``*_in_script`` are shares of letters in the language's script.
    Toxicity is None without a scorer; ``reversed`` is the share of pairs whose chosen text is
    the more toxic one, ``unscored`` the number of pairs that a score is missing for.
    """

    language: str
    source: str
    pairs: int
    unit: str
    chosen_length: float
    rejected_length: float
    length_auc: float
    paired_auc: float
    empty_prompts: int
    repeated: int
    chosen_in_script: float | None
    rejected_in_script: float | None
    chosen_toxicity: float | None = None
    rejected_toxicity: float | None = None
    margin: float | None = None
    reversed: float | None = None
    unscored: int = 0

    @property
    def name(self) -> str:
        """Return language and source as one name."""
        return f"{self.language} {self.source or '(no source)'}"


@dataclass(frozen=True, slots=True)
class PairReport:
    """Every group, the whole last, the overlap with evaluation prompts, and the warnings."""

    groups: tuple[GroupCheck, ...]
    overlaps: tuple[Overlap, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object with every field."""
        return asdict(self)


def check_pairs(
    pairs: Sequence[PreferencePair], tokenizer: Any = None, scorer: Scorer | None = None
) -> PairReport:
    """Return what is to be known of ``pairs``; lengths are in tokens where there is a tokenizer."""
    scores = _scores(pairs, scorer) if scorer else {}
    groups: dict[tuple[str, str], list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.language, pair.source].append(pair)
    if len(groups) != 1:
        groups["all", "all"] = list(pairs)
    rows = tuple(_group(of, group, tokenizer, scores) for of, group in groups.items())
    return PairReport(rows, overlap(pairs), tuple(w for row in rows for w in _warnings(row)))


def length_auc(chosen: Sequence[int], rejected: Sequence[int]) -> float:
    """Return P(chosen longer) + P(equally long) / 2 over all ``(n,)`` x ``(m,)`` combinations.

    The area under the ROC curve of length as a classifier (Mann and Whitney 1947).
    """
    ordered = np.sort(np.asarray(rejected))
    below = np.searchsorted(ordered, chosen, "left")
    not_above = np.searchsorted(ordered, chosen, "right")
    return float((below + not_above).mean() / 2 / len(ordered))


def paired_auc(chosen: Sequence[int], rejected: Sequence[int]) -> float:
    """Return the share of pairs whose chosen text is longer, equal lengths counting half."""
    return float(np.mean((np.sign(np.subtract(chosen, rejected)) + 1) / 2))


def _group(
    of: tuple[str, str], pairs: Sequence[PreferencePair], tokenizer: Any, scores: Scores
) -> GroupCheck:
    measure = partial(token_count, tokenizer) if tokenizer else len
    chosen = [measure(pair.chosen) for pair in pairs]
    rejected = [measure(pair.rejected) for pair in pairs]
    return GroupCheck(
        *of,
        pairs=len(pairs),
        unit="tokens" if tokenizer else "characters",
        chosen_length=float(np.mean(chosen)),
        rejected_length=float(np.mean(rejected)),
        length_auc=length_auc(chosen, rejected),
        paired_auc=paired_auc(chosen, rejected),
        empty_prompts=sum(not pair.prompt for pair in pairs),
        repeated=len(pairs) - len({(each.prompt, each.chosen, each.rejected) for each in pairs}),
        chosen_in_script=_in_script((pair.chosen, pair.language) for pair in pairs),
        rejected_in_script=_in_script((pair.rejected, pair.language) for pair in pairs),
        **(_toxicity(pairs, scores) if scores else {}),
    )


def _toxicity(pairs: Sequence[PreferencePair], scores: Scores) -> dict[str, Any]:
    both = [(scores[p.language, p.chosen], scores[p.language, p.rejected]) for p in pairs]
    known = [(low, high) for low, high in both if low is not None and high is not None]
    unscored = len(both) - len(known)
    if not known:
        return {"unscored": unscored}
    chosen, rejected = np.asarray(known).T
    return {
        "chosen_toxicity": float(chosen.mean()),
        "rejected_toxicity": float(rejected.mean()),
        "margin": float((rejected - chosen).mean()),
        "reversed": float((chosen > rejected).mean()),
        "unscored": unscored,
    }


def _scores(pairs: Sequence[PreferencePair], scorer: Scorer) -> Scores:
    """Return the score of every continuation, by language and text."""
    texts: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        texts[pair.language] |= {pair.chosen, pair.rejected}
    found: dict[tuple[str, str], float | None] = {}
    with ScoreCache() as cache:
        for language, group in texts.items():
            ordered = sorted(group)
            scores = score_texts(ordered, language, scorer, cache=cache)
            found.update(
                ((language, text), score.value) for text, score in zip(ordered, scores, strict=True)
            )
    return found


def _in_script(texts: Iterable[tuple[str, str]]) -> float | None:
    shares = [share for each in texts if (share := script_share(*each)) is not None]
    return float(np.mean(shares)) if shares else None


def _warnings(row: GroupCheck) -> Iterator[str]:
    """Yield a sentence for each property of a group that a model would learn by mistake."""
    if not all(FAIR_AUC[0] <= auc <= FAIR_AUC[1] for auc in (row.length_auc, row.paired_auc)):
        longer = "chosen" if row.chosen_length > row.rejected_length else "rejected"
        yield (
            f"{row.name}: length alone tells chosen from rejected (AUC {row.length_auc:.2f}, "
            f"within pairs {row.paired_auc:.2f}; the {longer} texts are longer). A model learns "
            "that instead: cut both to one length with `detox-bench pairs make "
            "--same-length --tokenizer M`, and check with the same --tokenizer."
        )
    if row.reversed is not None and row.reversed > _MOST_REVERSED:
        yield f"{row.name}: in {row.reversed:.0%} of the pairs the chosen text is the more toxic."
    if row.chosen_in_script is not None and row.chosen_in_script < _LEAST_IN_SCRIPT:
        others = 1 - row.chosen_in_script
        yield f"{row.name}: {others:.0%} of the letters of chosen texts are of other scripts."
    if row.repeated:
        yield f"{row.name}: {row.repeated:,} pairs are repeated word for word."
    if row.unscored:
        yield f"{row.name}: {row.unscored:,} pairs could not be scored."
