"""Score stored continuations again with another scorer; nothing is generated.

::

    scores-<scorer>.jsonl   a line a prompt, in the order of the store, with its samples' scores
    scores-<scorer>.json    the scorer, the threshold, and the table by language

A file is there only when it is whole. Who scores is a ``Way``: this process, several
(``score_processes``), or a Ray cluster (``score_ray``); the files are the same.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from filelock import FileLock, Timeout
from tqdm import tqdm

from detox_bench.doubts import Samples, checked_threshold, doubts, observe
from detox_bench.errors import DetoxBenchError
from detox_bench.languages import language as language_row
from detox_bench.metrics import Scores, prompt_metrics
from detox_bench.runs import write_json
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer, scorer_info
from detox_bench.stored_texts import PromptSamples, prompt_set, read_samples, size_of
from detox_bench.summary import PromptMetrics, Row, as_json, summarise

#: Prompts that are scored, and held, at once.
_PROMPTS_AT_ONCE = 128


class PromptScores(NamedTuple):
    """The scores of one prompt's samples; ``truncated`` texts were cut by another process."""

    samples: PromptSamples
    values: Scores
    truncated: int = 0


#: What scores a store: yields its prompts with their scores, in the order of the store.
Way = Callable[[Path, Scorer], Iterator[PromptScores]]


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
    truncated: int = 0

    def doubts(self) -> list[str]:
        return [
            f"{language}: {doubt}"
            for language, prompts in sorted(self.samples.items())
            for doubt in doubts(prompts)
        ]


def score_here(store: Path, scorer: Scorer) -> Iterator[PromptScores]:
    """Score a store in this process; raises as ``read_samples`` and ``score_texts``."""
    with ScoreCache() as cache:
        for block in blocks(read_samples(store)):
            yield from score_block(block, scorer, cache)


def rescore(
    store: Path,
    scorer: Scorer,
    folder: Path,
    threshold: float | None = None,
    way: Way = score_here,
    recorded: Scorer | None = None,
) -> Rescored:
    """Score what ``store`` holds and write ``scores-<scorer>.jsonl`` and ``.json`` to ``folder``.

    Of the texts a few prompts' are held at a time; scores come from the cache where they can, so a
    command that was stopped goes on where it was.

    Args:
        store: A run folder, a samples file or a folder of those.
        scorer: What scores the texts.
        folder: Where to write.
        threshold: Toxic from here on; the scorer's own if None.
        way: Who scores.
        recorded: What the files name as scorer, if not ``scorer``: the same with its values put on
            another scale by ``put_on_scale`` (``score_maps.MappedScorer``).

    Raises as ``read_samples`` and ``score_texts``, and ``DetoxBenchError`` where nothing can be
    written or another command writes the same file.
    """
    named = recorded or scorer
    limit = named.threshold if threshold is None else checked_threshold(threshold)
    name = f"scores-{file_name(named.id)}"
    if limit != named.threshold:
        name += f"-from-{limit:g}"
    rescale = getattr(named, "put_on_scale", _as_they_are)
    of_store = {"store": store.name, "store_bytes": size_of(store)}
    with _whole_file(folder, f"{name}.jsonl") as out:
        found = _write_scores(way(store, scorer), limit, rescale, out)
    rows = summarise(found.metrics)
    info = scorer_info(named, found.metrics).as_json()
    info["truncated"] += found.truncated
    write_json(folder / f"{name}.json", _summary(info, limit, found, rows) | of_store)
    return Rescored(rows, found.doubts(), folder / f"{name}.jsonl", folder / f"{name}.json")


def file_name(scorer_id: str) -> str:
    """Return a scorer's id with every character that a file name may not hold replaced."""
    return "".join(c if c.isalnum() or c in "-_.@#+" else "_" for c in scorer_id)


def blocks(prompts: Iterable[PromptSamples]) -> Iterator[list[PromptSamples]]:
    """Yield prompts in the lists that are scored at once.

    Processes share out whole blocks, not prompts: what is in a batch with a text moves the last
    bits of a classifier's score, and so every text has the neighbours that it has in one process.
    """
    left = iter(prompts)
    while block := list(islice(left, _PROMPTS_AT_ONCE)):
        yield block


def by_language(block: Sequence[PromptSamples]) -> dict[str, list[str]]:
    """Return the texts of a block by the code of their language."""
    texts: dict[str, list[str]] = defaultdict(list)
    for each in block:
        texts[language_row(each.language).code] += each.texts
    return texts


def score_block(
    block: Sequence[PromptSamples], scorer: Scorer, cache: ScoreCache
) -> Iterator[PromptScores]:
    """Yield the prompts of a block with their scores, from the cache where it has them."""
    scores = {
        code: iter(score_texts(texts, code, scorer, cache=cache, progress=False))
        for code, texts in sorted(by_language(block).items())
    }
    for each in block:
        own = islice(scores[language_row(each.language).code], len(each.texts))
        yield PromptScores(each, [score.value for score in own])


def _write_scores(
    scored: Iterable[PromptScores],
    limit: float,
    rescale: Callable[[Scores, str], Scores],
    out: TextIO,
) -> _Found:
    """Write a line a prompt; return its metrics and what doubts need."""
    found = _Found()
    for each, given, truncated in tqdm(scored, "Scoring", unit=" prompts", disable=None):
        values = rescale(given, each.language)
        spaced = language_row(each.language).spaced
        metrics = prompt_metrics(values, each.texts, spaced, limit)
        found.metrics[each.language].append(metrics)
        found.samples[each.language].append(observe(each.texts, values))
        found.sets.add(prompt_set(each.prompt_id))
        found.truncated += truncated
        line = {"language": each.language, "prompt_id": each.prompt_id, "scores": values}
        out.write(json.dumps(line) + "\n")
    return found


@contextmanager
def _whole_file(folder: Path, name: str) -> Iterator[TextIO]:
    """Yield a file that becomes ``name`` when all went well; one command at a time writes it.

    What a killed command left of its file is written over by the next.
    """
    partial, lock = (folder / f".{name}.{end}" for end in ("partial", "lock"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            try:
                with partial.open("w", encoding="utf-8") as out:
                    yield out
                partial.replace(folder / name)
            finally:
                for file in (partial, lock):
                    with suppress(OSError):
                        file.unlink(missing_ok=True)
    except Timeout as error:
        raise DetoxBenchError(
            f"Another command is writing {folder / name}. Wait for it, or name another --output."
        ) from error
    except OSError as error:
        raise DetoxBenchError(
            f"Cannot write to {folder}: {error.strerror or error}. Name another --output."
        ) from error


def _as_they_are(values: Scores, language: str) -> Scores:  # noqa: ARG001
    return values


def _summary(info: dict[str, Any], limit: float, found: _Found, rows: list[Row]) -> dict[str, Any]:
    counts = {each.total for prompts in found.samples.values() for each in prompts}
    return {
        "scorer": info,
        "threshold": limit,
        "prompt_sets": sorted(found.sets),
        "samples_per_prompt": sorted(counts),
        "doubts": found.doubts(),
        "languages": as_json(rows),
    }
