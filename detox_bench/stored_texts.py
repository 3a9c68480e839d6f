"""Continuations on disk, prompt by prompt: a run folder, or samples files of lm-eval."""

import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from detox_bench.errors import BadData
from detox_bench.runs import digest, locate_generations

#: A place is the number of a file, then a byte in it, in so many bits: 256 TB.
_FILE_BITS = 48


class PromptSamples(NamedTuple):
    """The continuations of one prompt, in the order of their sample numbers.

    ``asked`` is a digest of all that the model was given: the prompt and what was put around it.
    """

    language: str
    prompt_id: str
    texts: tuple[str, ...]
    asked: str | None = None


def read_samples(path: Path) -> Iterator[PromptSamples]:
    """Yield the continuations in a run folder, a samples file, or a folder of samples files.

    Prompts come in the order in which they first appear. One prompt's texts are held at a time; of
    a run folder, whose lines may stand in any order, also where each text stands.

    Raises ``BadData`` where there are none, or a line is not what it should be.
    """
    if (path / "run.json").is_file():
        yield from _from_run(path)
        return
    for file in samples_files(path):
        yield from _from_samples_file(file)


def size_of(path: Path) -> int:
    """Return the bytes of all that ``read_samples`` reads: another number, other texts."""
    own = path.glob("generations-*.jsonl") if (path / "run.json").is_file() else samples_files(path)
    return sum(file.stat().st_size for file in own)


def prompt_set(prompt_id: str) -> str:
    """Return the set that a prompt is of, by the beginning of its id; "" for an id without one."""
    name, slash, _ = prompt_id.partition("/")
    return name if slash else ""


def samples_files(path: Path) -> list[Path]:
    """Return a samples file as a list, or the last one of each task in a folder.

    lm-eval adds the time to their names. Raises ``BadData`` where there is none.
    """
    files = [path] if path.is_file() else sorted(path.rglob("samples_*.jsonl"))
    if not files:
        raise BadData(
            f"{path} holds no continuations. Give a run folder (it has a run.json) or what lm-eval "
            "wrote with --log_samples (samples_*.jsonl)."
        )
    newest = {file.stem.rpartition("_")[0]: file for file in files}
    models = sorted({str(file.parent) for file in files})
    if len(models) > 1:
        raise BadData(
            f"{path} holds the samples of several models, which are not to be mixed. Give one "
            f"of {', '.join(models)}."
        )
    return list(newest.values())


@dataclass(slots=True)
class _Places:
    """Where the texts of one prompt stand in the files of a run: 16 bytes a text."""

    asked: str
    #: The number of each sample, and its file's number and the byte it begins at.
    samples: "array[int]" = field(default_factory=lambda: array("q"))
    starts: "array[int]" = field(default_factory=lambda: array("q"))

    def in_order(self) -> Iterator[int]:
        """Yield the places by sample number; of a sample that is there twice the last."""
        newest = dict(zip(self.samples, self.starts, strict=True))
        return (newest[sample] for sample in sorted(newest))


def _from_run(path: Path) -> Iterator[PromptSamples]:
    files = sorted(path.glob("generations-*.jsonl"))
    found = _find_places(path, files)
    with ExitStack() as opened:
        contents = [opened.enter_context(file.open("rb")) for file in files]
        for (language, prompt_id), places in found.items():
            texts = tuple(_text_at(contents, place) for place in places.in_order())
            yield PromptSamples(language, prompt_id, texts, places.asked)


def _find_places(path: Path, files: Sequence[Path]) -> dict[tuple[str, str], _Places]:
    """Return the places of every prompt's texts; raises ``BadData`` for what may not be mixed."""
    found: dict[tuple[str, str], _Places] = {}
    ways = set()
    number = {file: place for place, file in enumerate(files)}
    for file, start, each in locate_generations(path):
        if each.language is None or file not in number:
            continue  # of another task than ours, or of a process that began just now
        ways.add((each.settings, each.prompt_id, each.prompt_hash))
        places = found.setdefault((each.language, each.prompt_id), _Places(each.prompt_hash))
        places.samples.append(each.sample)
        places.starts.append(number[file] << _FILE_BITS | start)
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
    return found


def _text_at(contents: Sequence[BinaryIO], place: int) -> str:
    """Return the text of the line at ``place``."""
    content = contents[place >> _FILE_BITS]
    content.seek(place & ((1 << _FILE_BITS) - 1))
    return str(json.loads(content.readline())["text"])


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
    given = row.get("arguments", {}).get("gen_args_0", {}).get("arg_0")
    return PromptSamples(
        doc["language"], doc["id"], texts, None if given is None else digest(given)
    )
