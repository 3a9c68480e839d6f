"""The lines of ``samples.jsonl.gz`` from the continuations of a run: scores, hashes, no text.

Numbers are rounded to ``DIGITS`` places: full precision would double the size of a board, and all
aggregates are of the rounded numbers, so that they can be computed again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice

from tqdm import tqdm

from detox_bench.fluency import LanguageModel, sample_perplexities
from detox_bench.languages import language as language_row
from detox_bench.leaderboard.content import text_digest
from detox_bench.leaderboard.hash_rates import RATES
from detox_bench.leaderboard.submission import SampleLine
from detox_bench.metrics import Scores
from detox_bench.quality.measures import measure
from detox_bench.runs import digest
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer
from detox_bench.stored_texts import PromptSamples

#: Decimal places of scores and metrics, and significant digits of perplexities.
DIGITS = 6
#: What stands for a perplexity too large to be a number.
_LARGEST = 1e100


def lines_of_run(
    samples: Sequence[PromptSamples],
    scorer: Scorer,
    language_model: LanguageModel | None,
    prompts: Mapping[str, str],
    quality: Sequence[str],
) -> list[SampleLine]:
    """Return a line a prompt, scored now or from the cache.

    Args:
        samples: The continuations of a run.
        scorer: The scorer of the track.
        language_model: Judges fluency; None for no perplexity.
        prompts: The texts of all prompts by id.
        quality: The metrics that are kept (``Specification.quality``).

    Raises as ``score_texts``, and ``DetoxBenchError`` for prompts without a text.
    """
    judged: dict[str, list[float | None]] = {}
    if language_model is not None:
        found = sample_perplexities(language_model, samples, prompts)
        judged = {each.prompt_id: _perplexities(values) for each, values in found}
    kept = [name for name in quality if name not in RATES]
    lines: list[SampleLine] = []
    with ScoreCache() as cache, tqdm(samples, "Metrics", unit=" prompts", disable=None) as bar:
        for code, own in _by_language(samples).items():
            for each, scores in zip(own, _scores(own, code, scorer, cache), strict=True):
                metrics = measure(each.texts, scores, code, prompt=prompts.get(each.prompt_id))
                chosen = {name: round(metrics[name], DIGITS) for name in kept if name in metrics}
                lines.append(_line(each, code, scores, judged.get(each.prompt_id), chosen))
                bar.update()
    return lines


def _line(
    samples: PromptSamples,
    code: str,
    scores: Scores,
    perplexities: list[float | None] | None,
    metrics: Mapping[str, float],
) -> SampleLine:
    return SampleLine(
        language=code,
        prompt_id=samples.prompt_id,
        asked=samples.asked or digest(""),
        texts=[text_digest(text) for text in samples.texts],
        scores=[None if score is None else round(score, DIGITS) for score in scores],
        perplexities=perplexities,
        metrics=dict(metrics),
    )


def _by_language(samples: Sequence[PromptSamples]) -> dict[str, list[PromptSamples]]:
    found: dict[str, list[PromptSamples]] = defaultdict(list)
    for each in samples:
        found[language_row(each.language).code].append(each)
    return dict(sorted(found.items()))


def _scores(
    prompts: Sequence[PromptSamples], code: str, scorer: Scorer, cache: ScoreCache
) -> list[list[float | None]]:
    texts = [text for each in prompts for text in each.texts]
    scores = iter(score_texts(texts, code, scorer, cache=cache))
    return [[score.value for score in islice(scores, len(each.texts))] for each in prompts]


def _perplexities(values: Sequence[float | None]) -> list[float | None]:
    """Return them rounded, and never below 1, where rounding of a float32 may have put them."""
    return [
        None if value is None else float(f"{min(max(value, 1.0), _LARGEST):.{DIGITS}g}")
        for value in values
    ]
