"""Score stored continuations again with another scorer; nothing is generated."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from detox_bench.doubts import Samples, checked_threshold, doubts, observe
from detox_bench.errors import DetoxBenchError
from detox_bench.languages import language as language_row
from detox_bench.metrics import prompt_metrics
from detox_bench.runs import write_json
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer, scorer_info
from detox_bench.stored_texts import PromptSamples, prompt_set, read_samples
from detox_bench.summary import PromptMetrics, Row, as_json, summarise

_PROMPTS_AT_ONCE = 400


class Rescored(NamedTuple):
    """The table of a scored store, its doubts, and the files: every score, and the summary."""

    rows: list[Row]
    doubts: list[str]
    scores: Path
    summary: Path


@dataclass(slots=True)
class _Found:
    """What is held of every prompt: numbers only."""

    metrics: dict[str, list[PromptMetrics]] = field(default_factory=lambda: defaultdict(list))
    samples: dict[str, list[Samples]] = field(default_factory=lambda: defaultdict(list))
    sets: set[str] = field(default_factory=set)

    def doubts(self) -> list[str]:
        return [
            f"{language}: {doubt}"
            for language, prompts in sorted(self.samples.items())
            for doubt in doubts(prompts)
        ]


def rescore(store: Path, scorer: Scorer, folder: Path, threshold: float | None = None) -> Rescored:
    """Score what ``store`` holds and write ``scores-<scorer>.jsonl`` and ``.json`` to ``folder``.

    Of the texts a few hundred prompts' are held at a time; scores come from the cache where they
    can, so a command that was stopped goes on where it was. Raises as ``read_samples`` and
    ``score_texts``, and ``DetoxBenchError`` where nothing can be written.
    """
    limit = scorer.threshold if threshold is None else checked_threshold(threshold)
    name = f"scores-{file_name(scorer.id)}"
    if limit != scorer.threshold:
        name += f"-from-{limit:g}"
    scores, summary = folder / f"{name}.jsonl", folder / f"{name}.json"
    partial = folder / f".{name}.{os.getpid()}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ScoreCache() as cache, partial.open("w", encoding="utf-8") as out:
            found = _score_all(read_samples(store), scorer, limit, cache, out)
        partial.replace(scores)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if not isinstance(error, OSError):
            raise
        raise DetoxBenchError(
            f"Cannot write to {folder}: {error.strerror or error}. Name another --output."
        ) from error
    rows = summarise(found.metrics)
    write_json(summary, _summary(scorer, limit, found, rows))
    return Rescored(rows, found.doubts(), scores, summary)


def file_name(scorer_id: str) -> str:
    """Return a scorer's id with every character that a file name may not hold replaced."""
    return "".join(c if c.isalnum() or c in "-_.@#" else "_" for c in scorer_id)


def _score_all(
    prompts: Iterable[PromptSamples], scorer: Scorer, limit: float, cache: ScoreCache, out: TextIO
) -> _Found:
    found = _Found()
    left = iter(prompts)
    while chunk := list(islice(left, _PROMPTS_AT_ONCE)):
        for each, values in _score(chunk, scorer, cache):
            spaced = language_row(each.language).spaced
            metrics = prompt_metrics(values, each.texts, spaced, limit)
            found.metrics[each.language].append(metrics)
            found.samples[each.language].append(observe(each.texts, values))
            found.sets.add(prompt_set(each.prompt_id))
            line = {"language": each.language, "prompt_id": each.prompt_id, "scores": values}
            out.write(json.dumps(line) + "\n")
    return found


def _score(
    chunk: Sequence[PromptSamples], scorer: Scorer, cache: ScoreCache
) -> Iterator[tuple[PromptSamples, list[float | None]]]:
    ordered = sorted(chunk, key=lambda each: each.language)
    for language, group in groupby(ordered, key=lambda each: each.language):
        prompts = list(group)
        texts = [text for each in prompts for text in each.texts]
        code = language_row(language).code
        scores = iter(score_texts(texts, code, scorer, cache=cache, progress=False))
        for each in prompts:
            yield each, [score.value for score in islice(scores, len(each.texts))]


def _summary(scorer: Scorer, limit: float, found: _Found, rows: list[Row]) -> dict[str, Any]:
    counts = {each.total for prompts in found.samples.values() for each in prompts}
    return {
        "scorer": scorer_info(scorer, found.metrics).as_json(),
        "threshold": limit,
        "prompt_sets": sorted(found.sets),
        "samples_per_prompt": sorted(counts),
        "doubts": found.doubts(),
        "languages": as_json(rows),
    }
