"""Score stored continuations again with another scorer; nothing is generated."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

from detox_bench.languages import language as language_row
from detox_bench.metrics import prompt_metrics
from detox_bench.runs import write_json
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer, scorer_info
from detox_bench.stored_texts import PromptSamples, read_samples
from detox_bench.summary import PromptMetrics, Row, as_json, summarise

_PROMPTS_AT_ONCE = 400


class Rescored(NamedTuple):
    """The table of a scored store, and the files written: every score, and the summary."""

    rows: list[Row]
    scores: Path
    summary: Path


def rescore(store: Path, scorer: Scorer, folder: Path, threshold: float | None = None) -> Rescored:
    """Score what ``store`` holds and write ``scores-<scorer>.jsonl`` and ``.json`` to ``folder``.

    Memory holds a few hundred prompts' texts at a time; scores come from the cache where they can,
    so a run that was stopped goes on where it was. Raises as ``read_samples`` and ``score_texts``.
    """
    limit = scorer.threshold if threshold is None else threshold
    name = f"scores-{file_name(scorer.id)}"
    by_language: dict[str, list[PromptMetrics]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    partial, scores = folder / f".{name}.jsonl.partial", folder / f"{name}.jsonl"
    with ScoreCache() as cache, partial.open("w", encoding="utf-8") as out:
        for chunk in _chunks(read_samples(store)):
            for samples, values in _score(chunk, scorer, cache):
                spaced = language_row(samples.language).spaced
                metrics = prompt_metrics(values, samples.texts, spaced, limit)
                by_language.setdefault(samples.language, []).append(metrics)
                out.write(json.dumps(_line(samples, values)) + "\n")
    partial.replace(scores)
    rows = summarise(by_language)
    info = scorer_info(scorer, by_language).as_json()
    write_json(
        folder / f"{name}.json", {"scorer": info, "threshold": limit, "languages": as_json(rows)}
    )
    return Rescored(rows, scores, folder / f"{name}.json")


def file_name(scorer_id: str) -> str:
    """Return a scorer's id with every character that a file name may not hold replaced."""
    return "".join(c if c.isalnum() or c in "-_.@#" else "_" for c in scorer_id)


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


def _line(samples: PromptSamples, values: list[float | None]) -> dict[str, object]:
    return {"language": samples.language, "prompt_id": samples.prompt_id, "scores": values}


def _chunks(prompts: Iterator[PromptSamples]) -> Iterator[list[PromptSamples]]:
    while chunk := list(islice(prompts, _PROMPTS_AT_ONCE)):
        yield chunk
