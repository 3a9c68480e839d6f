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


def prompt_set(prompt_id: str) -> str:
    """Return the set that a prompt is of, by the beginning of its id; "" for an id without one."""
    name, slash, _ = prompt_id.partition("/")
    return name if slash else ""


def _newest(folder: Path) -> list[Path]:
    """Return the last samples file of each task; lm-eval adds the time to their names."""
    files = sorted(folder.rglob("samples_*.jsonl"))
    newest = {file.stem.rpartition("_")[0]: file for file in files}
    models = sorted({str(file.parent) for file in files})
    if len(models) > 1:
        raise BadData(
            f"{folder} holds the samples of several models, which are not to be mixed. Give one "
            f"of {', '.join(models)}."
        )
    return list(newest.values())


def _from_run(path: Path) -> Iterator[PromptSamples]:
    found: dict[tuple[str, str], dict[int, str]] = {}
    ways = set()
    for each in read_generations(path):
        if each.language is None:
            continue  # of another task than ours
        ways.add((each.settings, each.prompt_id, each.prompt_hash))
        found.setdefault((each.language, each.prompt_id), {})[each.sample] = each.text
    if len(ways) > len(found):
        raise BadData(
            f"{path} holds continuations of the same prompts under several settings, or of prompts "
            "put in several ways, which are not to be mixed. Score the samples files of lm-eval."
        )
    sets = sorted({prompt_set(prompt_id) for _, prompt_id in found})
    if len(sets) > 1:
        raise BadData(
            f"{path} holds prompts of several sets ({', '.join(sets)}), which are not to be mixed. "
            "Score the samples files of lm-eval, one command's at a time."
        )
    for (language, prompt_id), texts in found.items():
        yield PromptSamples(language, prompt_id, tuple(texts[n] for n in sorted(texts)))


def _from_samples_file(file: Path) -> Iterator[PromptSamples]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                if {"id", "language"} <= row["doc"].keys():
                    yield _from_row(row)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                raise BadData(
                    f"{file} line {number} is not a line of a samples file of lm-eval: "
                    f"{type(error).__name__} {error}."
                ) from error


def _from_row(row: dict[str, Any]) -> PromptSamples:
    doc, texts = row["doc"], tuple(map(str, row["resps"][0]))
    if not texts:
        raise ValueError("no continuations")
    return PromptSamples(doc["language"], doc["id"], texts)
