"""The metrics of every prompt of a stored run, scored now or from the cache."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from detox_bench.comparison import SAMPLES, Run
from detox_bench.doubts import doubts, observe
from detox_bench.errors import DetoxBenchError
from detox_bench.fluency import prompt_texts
from detox_bench.languages import language as language_row
from detox_bench.metrics import Scores
from detox_bench.quality.degeneration import common_rate, prompts_by_text
from detox_bench.quality.measures import measure
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer
from detox_bench.stored_texts import PromptSamples, read_samples
from detox_bench.summary import PromptMetrics


class MeasuredRun(NamedTuple):
    """A stored run: the metrics of its prompts, and reasons for doubt."""

    metrics: Run
    doubts: list[str]


def measure_run(store: Path, scorer: Scorer, threshold: float) -> MeasuredRun:
    """Read what ``store`` holds (``read_samples``) and return it with the metrics of each prompt.

    They are those of ``quality.measures``, ``common_rate``, and the number of samples. A metric
    without a value is missing, as toxicity where all samples are unscored, and ``prompt_copy``
    where the data set of the prompts is not prepared. Nothing is written but the score cache.
    Raises as ``read_samples`` and ``score_texts``, and ``DetoxBenchError`` where there is no
    ``store``.
    """
    if not store.exists():
        raise DetoxBenchError(f"{store} does not exist. Give a run folder or a samples file.")
    return measure_samples(read_samples(store), scorer, threshold, str(store))


def measure_samples(
    samples: Iterable[PromptSamples],
    scorer: Scorer,
    threshold: float,
    name: str,
    file: Path | None = None,
) -> MeasuredRun:
    """Return the metrics of each prompt of a run, which doubts call ``name``.

    The texts of the prompts are those in ``file`` (``prompt_texts``), or of their data set.
    """
    by_language: dict[str, list[PromptSamples]] = defaultdict(list)
    for each in samples:
        by_language[language_row(each.language).code].append(each)
    metrics, found = {}, []
    with ScoreCache() as cache:
        for code, prompts in sorted(by_language.items()):
            scores = list(_score(prompts, code, scorer, cache))
            known = _known_texts(prompts, file)
            metrics[code] = _measure(
                code, list(zip(prompts, scores, strict=True)), known, threshold
            )
            observed = [observe(p.texts, values) for p, values in zip(prompts, scores, strict=True)]
            found += [f"{name}, {code}: {doubt}" for doubt in doubts(observed)]
    return MeasuredRun(metrics, found)


def _measure(
    code: str,
    scored: Sequence[tuple[PromptSamples, Scores]],
    known: Mapping[str, str],
    threshold: float,
) -> dict[str, PromptMetrics]:
    """Return the metrics of each prompt of a language, by prompt id."""
    numbers = prompts_by_text(each.texts for each, _ in scored)
    found: dict[str, PromptMetrics] = {}
    for each, values in tqdm(scored, f"Metrics {code}", unit=" prompts", disable=None):
        metrics = measure(each.texts, values, code, threshold, known.get(each.prompt_id))
        common = common_rate(each.texts, numbers)
        if common is not None and len(scored) > 1:
            metrics["common_rate"] = common
        found[each.prompt_id] = {**metrics, SAMPLES: float(len(each.texts))}
    return found


def _known_texts(prompts: Sequence[PromptSamples], file: Path | None) -> Mapping[str, str]:
    """Return the prompts' texts by id; none where their data set is not there."""
    try:
        return prompt_texts(prompts, file)
    except DetoxBenchError:
        if file is not None:
            raise
        return {}


def _score(
    prompts: Sequence[PromptSamples], code: str, scorer: Scorer, cache: ScoreCache
) -> Iterator[list[float | None]]:
    texts = [text for each in prompts for text in each.texts]
    scores = iter(score_texts(texts, code, scorer, cache=cache))
    for each in prompts:
        yield [score.value for score in islice(scores, len(each.texts))]
