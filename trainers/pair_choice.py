"""Which continuations of a prompt make a pair: the least against the most toxic of one length.

Both texts of a pair have the same number of tokens, always. The least toxic of 25 continuations is
otherwise the shortest too, and a model that is trained on such pairs learns to stop early.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from detox_bench.errors import DetoxBenchError
from detox_bench.languages import language as language_row
from detox_bench.quality.language_id import identify, written_as
from detox_bench.types import PreferencePair, Prompt

_MOST_REPEATED = 0.5  # share of the n-grams of a text that occurred in it before
_MOST_COPIED = 0.5  # share of the n-grams of a text that are in its prompt
_GRAM = {True: 2, False: 4}  # words, or characters of an unspaced script
_FEWEST_GRAMS = 4


class Candidate(NamedTuple):
    """A continuation: its sample number, text, length in tokens, and toxicity score."""

    sample: int
    text: str
    length: int
    score: float


class Choice(NamedTuple):
    """A pair of continuations, the less toxic one first."""

    chosen: Candidate
    rejected: Candidate

    @property
    def margin(self) -> float:
        """Return how much more toxic the rejected one is."""
        return self.rejected.score - self.chosen.score


@dataclass(frozen=True, slots=True)
class ChoiceSettings:
    """The ``margin`` is the least difference of scores; ``fewest_tokens`` a text's least length.

    ``any_language`` also takes texts that are not surely in the language of their prompt.
    """

    margin: float = 0.3
    per_prompt: int = 2
    per_language: int | None = None
    fewest_tokens: int = 5
    seed: int = 0
    any_language: bool = False

    def __post_init__(self) -> None:
        """Raise ``DetoxBenchError`` for a margin no two scores can have."""
        if not 0 < self.margin <= 1:
            raise DetoxBenchError(f"--margin {self.margin} is not above 0 and at most 1.")
        if self.per_prompt < 1:
            raise DetoxBenchError(f"--per-prompt {self.per_prompt} leaves no pair. Give 1 or more.")


def choose(
    prompt: Prompt, candidates: Sequence[Candidate], settings: ChoiceSettings
) -> tuple[list[Choice], Counter[str]]:
    """Return the pairs of one prompt, widest margin first, and why texts were kept out of them.

    Within each length the least toxic text meets the most toxic one, the second least the second
    most, and so on while the margin lasts. No text is in two pairs.
    """
    kept_out: Counter[str] = Counter()
    by_length: dict[int, list[Candidate]] = defaultdict(list)
    for each in _different(candidates, kept_out):
        if reason := _unfit(prompt, each, settings, _NO_TEXT):
            kept_out[reason] += 1
        else:
            by_length[each.length].append(each)
    choices: list[Choice] = []
    for group in by_length.values():
        likeable = []
        for each in group:
            if reason := _unfit(prompt, each, settings, _NOT_TO_CHOOSE):
                kept_out[f"not to be chosen: {reason}"] += 1
            else:
                likeable.append(each)
        choices.extend(_couples(likeable, group, settings.margin))
    choices.sort(key=lambda each: (-each.margin, each.chosen.sample))
    return choices[: settings.per_prompt], kept_out


def stratified(
    pairs_by_prompt: Mapping[str, Sequence[PreferencePair]], settings: ChoiceSettings
) -> list[PreferencePair]:
    """Return at most ``per_language`` pairs: every prompt's first before any prompt's second."""
    shuffled = sorted(pairs_by_prompt, key=lambda prompt_id: _shuffling(prompt_id, settings.seed))
    deepest = max(map(len, pairs_by_prompt.values()), default=0)
    ordered = (
        pairs_by_prompt[prompt_id][rank]
        for rank in range(deepest)
        for prompt_id in shuffled
        if rank < len(pairs_by_prompt[prompt_id])
    )
    different = {(pair.prompt, pair.chosen, pair.rejected): pair for pair in ordered}
    return list(different.values())[: settings.per_language]


def _couples(
    likeable: Iterable[Candidate], group: Iterable[Candidate], margin: float
) -> Iterator[Choice]:
    best = sorted(likeable, key=lambda each: (each.score, each.sample))
    worst = sorted(group, key=lambda each: (-each.score, each.sample))
    for chosen, rejected in zip(best, worst, strict=False):
        if rejected.score - chosen.score < margin:
            return
        yield Choice(chosen, rejected)


def _different(candidates: Iterable[Candidate], kept_out: Counter[str]) -> list[Candidate]:
    """Return the first of each text, in the order of the sample numbers."""
    found: dict[str, Candidate] = {}
    for each in sorted(candidates):
        kept_out["same text"] += each.text.strip() in found
        found.setdefault(each.text.strip(), each)
    return list(found.values())


class _Case(NamedTuple):
    prompt: Prompt
    candidate: Candidate
    settings: ChoiceSettings


_Check = Callable[[_Case], bool]


def _unfit(
    prompt: Prompt, candidate: Candidate, settings: ChoiceSettings, checks: Mapping[str, _Check]
) -> str | None:
    case = _Case(prompt, candidate, settings)
    return next((reason for reason, applies in checks.items() if applies(case)), None)


def _grams(text: str, language: str) -> list[tuple[str, ...]]:
    spaced = language_row(language).spaced
    units = text.casefold().split() if spaced else [c for c in text if not c.isspace()]
    size = _GRAM[spaced]
    return [tuple(units[at : at + size]) for at in range(len(units) - size + 1)]


def _repeats(case: _Case) -> bool:
    grams = _grams(case.candidate.text, case.prompt.language)
    repeated = 1 - len(set(grams)) / len(grams) if grams else 0.0
    return len(grams) >= _FEWEST_GRAMS and repeated > _MOST_REPEATED


def _copies(case: _Case) -> bool:
    grams = _grams(case.candidate.text, case.prompt.language)
    known = set(_grams(case.prompt.text, case.prompt.language))
    copied = sum(gram in known for gram in grams)
    return len(grams) >= _FEWEST_GRAMS and copied > _MOST_COPIED * len(grams)


def _in_another_language(case: _Case) -> bool:
    """Return whether it is not surely of its language: else a pair would teach to change it."""
    if case.settings.any_language:
        return False
    return identify([case.candidate.text]) != [written_as(case.prompt.language)]


_NO_TEXT: dict[str, _Check] = {
    "empty": lambda case: not case.candidate.text.strip(),
    "too short": lambda case: case.candidate.length < case.settings.fewest_tokens,
    "broken character": lambda case: "\ufffd" in case.candidate.text,
    "another language, or undetermined": _in_another_language,
}
_NOT_TO_CHOOSE: dict[str, _Check] = {"repeats itself": _repeats, "copies the prompt": _copies}


def _shuffling(prompt_id: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}\0{prompt_id}".encode()).hexdigest()
