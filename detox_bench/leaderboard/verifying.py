"""A part of a submission generated again, and whether it says the same.

Prompts are drawn at random from each language, continued by the stated model with the stated
settings, scored by the track's scorer and judged by the base. With the weights, engine, seed and
float32 of the submission texts must be the same; otherwise paired tests decide. Either way equal
texts must have equal numbers.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from detox_bench.errors import BadData
from detox_bench.leaderboard.content import by_language
from detox_bench.leaderboard.exact_agreement import Differing, Pair, differing
from detox_bench.leaderboard.paired_agreement import (
    LEVEL,
    LOG_PERPLEXITY,
    Agreement,
    agreements,
)
from detox_bench.leaderboard.submission import SampleLine, Submission
from detox_bench.leaderboard.wording import listed, shown

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
    "add_bos_token",
    "intervention",
)
#: What must be the model's own; without it another model was verified.
_MODEL = ("weights_sha256", "configuration", "tokenizer", "intervention")
#: The engine of ``detox-hf`` gives the same texts again in this precision, whatever the batch.
_EXACT = "float32"
_EMT, _TEXTS = "emt", "texts"
#: Where texts must be equal, this share may be others, and means so far off. With SSE alone 14 of
#: 42,500 texts of ``mini-mgpt`` after DPO are others than with AVX-512; a larger model adds up
#: more. Who makes up a prompt's most toxic text lowers its maximum to the second, by 0.1 there.
OTHER_TEXTS, _OFF = 0.005, 0.005
#: No badge where a smaller difference of EMT than this would have been missed.
_MOST_MISSED = 0.05


class Terms(NamedTuple):
    """How samples are compared, and by which seed their prompts were drawn.

    ``reasons`` say why texts need not be equal, none where they must be; ``tolerance`` is as
    ``differing`` takes it.
    """

    reasons: Sequence[str]
    seed: int
    tolerance: float | None


class Verification(NamedTuple):
    """What was found: of ``total`` prompts ``prompts`` were drawn, by the ``terms``."""

    prompts: int
    total: int
    terms: Terms
    differing: Mapping[str, Differing]
    agreement: Mapping[str, Agreement]

    @property
    def exact(self) -> bool:
        """Whether texts must be equal."""
        return not self.terms.reasons

    @property
    def p(self) -> float:
        """The least p of all metrics, corrected for their number."""
        return min(each.p for each in self.agreement.values())

    @property
    def reproduced(self) -> bool:
        """Whether equal texts have equal numbers, and others are few, or alike where many may be.

        Few are at most ``OTHER_TEXTS``, with no mean off by more than ``_OFF``; alike are those of
        which no metric differs surely.
        """
        if any(each.differ for name, each in self.differing.items() if name != _TEXTS):
            return False
        if not self.exact:
            return self.p >= LEVEL
        texts = self.differing[_TEXTS]
        near = all(
            abs(each.difference.estimate) <= self._most_off(name)
            for name, each in self.agreement.items()
        )
        return near and texts.differ <= OTHER_TEXTS * texts.total

    def _most_off(self, metric: str) -> float:
        """Return how far off a mean may be: of perplexities no less than each of them may."""
        judged = metric == LOG_PERPLEXITY
        return max(_OFF, math.log1p(self.terms.tolerance or 0.0)) if judged else _OFF

    @property
    def forged_found(self) -> float:
        """The share of prompts, made up in all they say, that had been found in 95 % of cases.

        As many made-up prompts as ``OTHER_TEXTS`` allows go unnoticed, m of n that are drawn: the
        share is that at which the binomial chance of m or fewer is 0.05. Nothing is missed where
        all prompts were drawn, and none goes unnoticed.
        """
        unnoticed = int(OTHER_TEXTS * self.prompts)
        if self.prompts == self.total and not unnoticed:
            return 0.0
        return _share_found(self.prompts, unnoticed)

    def note(self) -> str:
        """Return what a badge says of it; raises ``BadData`` where it gets none."""
        if why := self._without_badge():
            raise BadData(f"{why} No badge was written.")
        drawn = f"{self.prompts} of {self.total} prompts (seed {self.terms.seed}) generated again: "
        if self.exact:
            texts = self.differing[_TEXTS]
            return (
                f"{drawn}{texts.total - texts.differ} of {texts.total} texts equal, with all their "
                f"numbers; forged numbers of {self.forged_found:.1%} of the prompts would be found"
            )
        return (
            f"{drawn}no metric differs (p {self.p:.2f}; {listed(self.terms.reasons)}); an EMT off "
            f"by {self.agreement[_EMT].found_from:.3f} would be found"
        )

    def _without_badge(self) -> str | None:
        if not self.reproduced:
            return "The submission was not reproduced."
        if self.terms.tolerance is None:
            return "Its perplexities were not verified: name the base with --perplexity-model."
        missed = math.nan if self.exact else self.agreement[_EMT].found_from
        if self.exact or missed <= _MOST_MISSED:
            return None
        needed = self.prompts / self.total * (missed / _MOST_MISSED) ** 2
        return (
            f"An EMT off by less than {missed:.3f} would have been missed, and {_MOST_MISSED} "
            f"should be found: draw more prompts, as --share {min(1.0, needed + 0.005):.2f}."
        )


def _share_found(drawn: int, unnoticed: int) -> float:
    """Return the share at which at most ``unnoticed`` of ``drawn`` have it in 5 % of cases."""

    def missed(share: float) -> float:
        chances = (_binomial(drawn, found, share) for found in range(unnoticed + 1))
        return math.fsum(chances)

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if missed(middle) > LEVEL else (low, middle)
    return high


def _binomial(n: int, k: int, share: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))


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


def check_identity(stated: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return why texts need not be equal, nothing where they must be.

    ``stated`` is the submission's identity, ``found`` that of the model that is to generate again.
    Raises ``BadData`` where it is another model. Weights are hashed as they are loaded: in another
    precision they are other weights.
    """
    differ = [name for name in _IDENTITY if stated.get(name) != found.get(name)]
    if other := [name for name in _MODEL if name in differ]:
        first = "dtype" if "dtype" in differ else other[0]
        raise BadData(
            f"This is not the model of the submission: {listed(differ)} differ, as {first}, "
            f"{shown(stated.get(first))} there and {shown(found.get(first))} here. Give the "
            "model that was submitted, with adapters and precision as then (--model-args)."
        )
    if not differ and found.get("dtype") != _EXACT:
        return [f"dtype is {shown(found.get('dtype'))}"]
    return [f"{name} differs" for name in differ]


def compare(stated: Sequence[SampleLine], made: Sequence[SampleLine], terms: Terms) -> Verification:
    """Compare the lines that were made again with those stated.

    Raises ``BadData`` where a prompt was given in another way, or has not as many samples.
    """
    before = {(line.language, line.prompt_id): line for line in stated}
    pairs = [(before[line.language, line.prompt_id], line) for line in made]
    _check_alike(pairs)
    found = agreements(pairs)
    if _EMT not in found:
        raise BadData("No prompt has a score in both: nothing can be compared.")
    return Verification(len(pairs), len(stated), terms, differing(pairs, terms.tolerance), found)


def check_verifiable(submission: Submission) -> None:
    """Raise ``BadData`` for a submission that no model can be asked for again."""
    if submission.identity.get("engine") == "reference":
        raise BadData("A reference row has no model; `add --reference` makes it again.")


def _check_alike(pairs: Sequence[Pair]) -> None:
    if any(one.asked != other.asked for one, other in pairs):
        raise BadData("The prompts are not those of the submission: another release of the data?")
    short = [each for each in pairs if len({len(line.texts) for line in each}) > 1]
    if short:
        raise BadData(
            f"The prompt {shown(short[0][0].prompt_id)} has {len(short[0][0].texts)} samples in "
            f"the submission, and the suite has {len(short[0][1].texts)}. Check it first."
        )
