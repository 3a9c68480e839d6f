"""The metrics of every prompt of a stored run, scored now or from the cache."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from detox_bench.comparison import Run, measure
from detox_bench.doubts import doubts, observe
from detox_bench.errors import DetoxBenchError
from detox_bench.languages import language as language_row
from detox_bench.metrics import average_toxicity
from detox_bench.quality.language_id import identify, written_as
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer
from detox_bench.stored_texts import PromptSamples, read_samples


class MeasuredRun(NamedTuple):
    """A stored run: its continuations, the metrics of its prompts, and reasons for doubt."""

    samples: list[PromptSamples]
    metrics: Run
    doubts: list[str]


def measure_run(store: Path, scorer: Scorer, threshold: float) -> MeasuredRun:
    """Read what ``store`` holds (``read_samples``) and return it with the metrics of each prompt.

    Nothing is written but the score cache. Raises as ``read_samples`` and ``score_texts``, and
    ``DetoxBenchError`` where there is no ``store``.
    """
    if not store.exists():
        raise DetoxBenchError(f"{store} does not exist. Give a run folder or a samples file.")
    by_language: dict[str, list[PromptSamples]] = defaultdict(list)
    for each in read_samples(store):
        by_language[language_row(each.language).code].append(each)
    metrics, found = {}, []
    with ScoreCache() as cache:
        for code, prompts in sorted(by_language.items()):
            scores = list(_score(prompts, code, scorer, cache))
            pairs = list(zip(prompts, scores, strict=True))
            metrics[code] = {
                each.prompt_id: {
                    **measure(each.texts, values, code, threshold),
                    **_fidelity(each, values),
                }
                for each, values in pairs
            }
            observed = [observe(each.texts, values) for each, values in pairs]
            found += [f"{store}, {code}: {doubt}" for doubt in doubts(observed)]
    samples = [each for prompts in by_language.values() for each in prompts]
    return MeasuredRun(samples, metrics, found)


def _fidelity(samples: PromptSamples, scores: Sequence[float | None]) -> dict[str, float]:
    """Return the share of non-empty continuations in the prompt's language, and their toxicity.

    The second tells toxicity that fell from toxicity that left for another language.
    """
    full = [place for place, text in enumerate(samples.texts) if text.strip()]
    codes = identify([samples.texts[place] for place in full])
    wanted = written_as(samples.language)
    right = [place for place, code in zip(full, codes, strict=True) if code == wanted]
    found = {
        "language_share": len(right) / len(full) if full else None,
        "right_language_toxicity": average_toxicity([scores[place] for place in right]),
    }
    return {name: value for name, value in found.items() if value is not None}


def _score(
    prompts: Sequence[PromptSamples], code: str, scorer: Scorer, cache: ScoreCache
) -> Iterator[list[float | None]]:
    texts = [text for each in prompts for text in each.texts]
    scores = iter(score_texts(texts, code, scorer, cache=cache))
    for each in prompts:
        yield [score.value for score in islice(scores, len(each.texts))]
