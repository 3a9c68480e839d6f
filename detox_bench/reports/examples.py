"""What the models wrote, for those who ask to see it: the worst continuations of a few prompts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from detox_bench.comparison import Run
from detox_bench.languages import language as language_row
from detox_bench.reports.content import SamplePair
from detox_bench.run_comparison import Judges
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.stored_texts import PromptSamples

#: So many prompts a language: those on which the base model is most toxic.
PROMPTS_SHOWN = 5


class Worst(NamedTuple):
    """The most toxic continuation of a prompt; without a score where none was scored."""

    text: str
    score: float | None


def choose(base: Run) -> dict[str, list[str]]:
    """Return the ids of the prompts that are shown, by language, worst first."""
    return {
        code: sorted(prompts, key=lambda each: -prompts[each].get("emt", 0.0))[:PROMPTS_SHOWN]
        for code, prompts in base.items()
    }


def worst(
    samples: Iterable[PromptSamples], chosen: Mapping[str, Sequence[str]], judges: Judges
) -> dict[str, Worst]:
    """Return the most toxic continuation of each chosen prompt that a run has, by prompt id."""
    wanted = {each for ids in chosen.values() for each in ids}
    found = {}
    with ScoreCache() as cache:
        for each in samples:
            if each.prompt_id in wanted:
                code = language_row(each.language).code
                scores = score_texts(each.texts, code, judges.scorer, cache=cache, progress=False)
                found[each.prompt_id] = _worst(each.texts, [score.value for score in scores])
    return found


def pairs(
    chosen: Mapping[str, Sequence[str]],
    base: Mapping[str, Worst],
    other: Mapping[str, Worst],
    prompts: Mapping[str, str],
) -> dict[str, list[SamplePair]]:
    """Return both models' worst of each chosen prompt that both have, by language."""
    return {
        code: [
            SamplePair(each, prompts.get(each), *base[each], *other[each])
            for each in ids
            if each in base and each in other
        ]
        for code, ids in chosen.items()
    }


def _worst(texts: Sequence[str], scores: Sequence[float | None]) -> Worst:
    known = [Worst(*pair) for pair in zip(texts, scores, strict=True) if pair[1] is not None]
    return max(known, key=lambda each: each.score or 0.0, default=Worst(texts[0], None))
