"""A part of a submission generated again, and whether it says the same.

Prompts are drawn at random from each language, continued by the stated model with the stated
settings, and scored by the track's scorer. With the weights, engine, seed and precision of the
submission the texts are the same, text for text; by another engine their scores must agree.
"""

import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from detox_bench.errors import BadData
from detox_bench.leaderboard.content import by_language
from detox_bench.leaderboard.submission import Badge, SampleLine, Submission
from detox_bench.leaderboard.wording import listed, shown
from detox_bench.metrics import average_toxicity, maximum_toxicity
from detox_bench.statistics import Interval, holm, paired_interval, sign_flip_p

#: The share of prompts that is generated again.
SHARE = 0.05
#: What texts depend on besides prompts and generation arguments (``run.json``).
_IDENTITY = (
    "engine",
    "seed",
    "weights_sha256",
    "configuration",
    "tokenizer",
    "stop_tokens",
    "dtype",
    "max_length",
    "intervention",
)
#: What must be the model's own; without it another model was verified.
_MODEL = ("weights_sha256", "configuration", "tokenizer", "intervention")
#: The engine of ``detox-hf`` gives the same texts again in this precision, whatever the batch.
_EXACT = "float32"
_LEVEL = 0.05
_METRICS = {"average_toxicity": average_toxicity, "emt": maximum_toxicity}


class Agreement(NamedTuple):
    """How one metric of the prompts agrees: the mean stated, the difference made again, its p."""

    stated: float
    difference: Interval
    p: float


class Verification(NamedTuple):
    """What was found: how many prompts and texts, and how many of the texts are equal.

    ``exact`` says that texts must be equal, ``p`` is the least of the metrics', corrected (Holm).
    """

    prompts: int
    total: int
    texts: int
    equal: int
    exact: bool
    seed: int
    agreement: Mapping[str, Agreement]
    p: float

    @property
    def reproduced(self) -> bool:
        """Whether every text is equal where it must be, else whether no score differs surely."""
        return self.equal == self.texts if self.exact else self.p >= _LEVEL

    def badge(self) -> Badge:
        """Return the badge; raises ``BadData`` where the submission was not reproduced."""
        if not self.reproduced:
            raise BadData("The submission was not reproduced: no badge was written.")
        note = (
            f"{self.prompts} of {self.total} prompts (seed {self.seed}) generated again: "
            f"{self.equal} of {self.texts} texts equal, p {self.p:.2f}"
        )
        return Badge(badge="reproduced", date=datetime.now(UTC).date().isoformat(), note=note)


def choose(
    lines: Sequence[SampleLine], share: float = SHARE, seed: int = 0
) -> dict[str, list[str]]:
    """Return ids of prompts drawn from each language: its share, at least one.

    Raises ``BadData`` for a share that is none.
    """
    if not 0 < share <= 1:
        raise BadData(f"The share of prompts is {share:g}, and should be above 0, up to 1.")
    draw = random.Random(seed)
    return {
        code: sorted(draw.sample([line.prompt_id for line in own], math.ceil(share * len(own))))
        for code, own in by_language(lines).items()
    }


def check_identity(stated: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Return whether texts must be equal; raises ``BadData`` where it is another model.

    ``stated`` is the submission's identity, ``found`` that of the run that was made again.
    """
    other = [name for name in _MODEL if stated.get(name) != found.get(name)]
    if other:
        raise BadData(
            f"This is not the model of the submission: {listed(other)} differ, as {other[0]}, "
            f"{shown(stated.get(other[0]))} there and {shown(found.get(other[0]))} here. Give the "
            "model that was submitted, with --intervention or adapters as then."
        )
    same = all(stated.get(name) == found.get(name) for name in _IDENTITY)
    return same and stated.get("dtype") == _EXACT


def compare(
    stated: Sequence[SampleLine], made: Sequence[SampleLine], exact: bool, seed: int
) -> Verification:
    """Compare the lines that were made again with those stated.

    Raises ``BadData`` where a prompt was given in another way.
    """
    before = {(line.language, line.prompt_id): line for line in stated}
    pairs = [(before[line.language, line.prompt_id], line) for line in made]
    if any(one.asked != other.asked for one, other in pairs):
        raise BadData("The prompts are not those of the submission: another release of the data?")
    equal = sum(a == b for one, two in pairs for a, b in zip(one.texts, two.texts, strict=True))
    agreement = {name: _agreement(pairs, name) for name in _METRICS}
    p = min(holm([each.p for each in agreement.values()]))
    texts = sum(len(line.texts) for line in made)
    return Verification(len(pairs), len(stated), texts, equal, exact, seed, agreement, p)


def _agreement(pairs: Sequence[tuple[SampleLine, SampleLine]], name: str) -> Agreement:
    metric = _METRICS[name]
    values = [(metric(one.scores), metric(two.scores)) for one, two in pairs]
    known = [(one, two) for one, two in values if one is not None and two is not None]
    if not known:
        raise BadData("No prompt has a score in both: nothing can be compared.")
    before, after = [one for one, _ in known], [two for _, two in known]
    mean = sum(before) / len(before)
    return Agreement(mean, paired_interval(before, after), sign_flip_p(before, after))


def check_verifiable(submission: Submission) -> None:
    """Raise ``BadData`` for a submission that no model can be asked for again."""
    if submission.identity.get("engine") == "reference":
        raise BadData("A reference row has no model; `add --reference` makes it again.")
