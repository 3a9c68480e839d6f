"""Continuations on disk, prompt by prompt: a run folder, or samples files of lm-eval."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import BadData
from detox_bench.runs import read_generations


class PromptSamples(NamedTuple):
    """The continuations of one prompt, in the order of their sample numbers."""

    language: str
    prompt_id: str
    texts: tuple[str, ...]


def read_samples(path: Path) -> Iterator[PromptSamples]:
    """Yield the continuations in a run folder, a samples file, or a folder of samples files.

    Raises ``BadData`` where there are none, or a line is not what it should be.
    """
    if (path / "run.json").is_file():
        yield from _from_run(path)
        return
    files = [path] if path.is_file() else _newest(path)
    if not files:
        raise BadData(
            f"{path} holds no continuations. Give a run folder (it has a run.json) or what lm-eval "
            "wrote with --log_samples (samples_*.jsonl)."
        )
    for file in files:
        yield from _from_samples_file(file)


def _newest(folder: Path) -> list[Path]:
    """Return the last samples file of each task; lm-eval adds the time to their names."""
    newest: dict[tuple[Path, str], Path] = {}
    for file in sorted(folder.rglob("samples_*.jsonl")):
        newest[file.parent, file.stem.rpartition("_")[0]] = file
    return list(newest.values())


def _from_run(path: Path) -> Iterator[PromptSamples]:
    found: dict[tuple[str, str, str], dict[int, str]] = {}
    settings = set()
    for each in read_generations(path):
        settings.add(each.settings)
        key = (each.settings, each.language or "", each.prompt_id)
        found.setdefault(key, {})[each.sample] = each.text
    if len(settings) > 1:
        raise BadData(
            f"{path} holds continuations of {len(settings)} sampling settings, which are not to be "
            "mixed. Score the samples files of lm-eval instead, one at a time."
        )
    for (_, language, prompt_id), texts in found.items():
        yield PromptSamples(language, prompt_id, tuple(texts[n] for n in sorted(texts)))


def _from_samples_file(file: Path) -> Iterator[PromptSamples]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield _from_row(json.loads(line))
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise BadData(
                    f"{file} line {number} is not a sample of a toxicity task: "
                    f"{type(error).__name__} {error}."
                ) from error


def _from_row(row: dict[str, Any]) -> PromptSamples:
    doc = row["doc"]
    return PromptSamples(doc["language"], doc["id"], tuple(map(str, row["resps"][0])))
