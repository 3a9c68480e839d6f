"""Folders of text in: the documents to train on, by file name.

To support another kind of file, add a row to ``READERS``.
"""

import gzip
import json
import lzma
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from detox_bench.errors import BadData

HELD_OUT_EVERY = 50  # one document in so many is kept for the held-out loss


def read_folder(folder: Path) -> dict[str, list[str]]:
    """Return the documents of every text file in ``folder`` by file name without its endings.

    A document is a line, or the ``text`` field of a JSON line. Files of one stem are joined.

    Raises:
        BadData: if there is no folder, no text file or no text in it, or a line is no JSON.
    """
    if not folder.is_dir():
        raise BadData(f"{folder} is no folder: give one that holds {_endings()} files.")
    documents: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        ending = next((ending for ending in READERS if path.name.endswith(ending)), None)
        if ending is not None:
            documents.setdefault(path.name.removesuffix(ending), []).extend(READERS[ending](path))
    documents = {name: texts for name, texts in documents.items() if texts}
    if not documents:
        raise BadData(f"{folder} has no text in it: looked for {_endings()} files.")
    return documents


def split(documents: Mapping[str, list[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return (training, held-out) documents; a file of fewer than two keeps all for training."""
    held_out = {name: texts[1::HELD_OUT_EVERY] for name, texts in documents.items()}
    training = {
        name: [text for number, text in enumerate(texts) if number % HELD_OUT_EVERY != 1]
        for name, texts in documents.items()
    }
    return training, {name: texts for name, texts in held_out.items() if texts}


def _plain(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        yield from filter(None, (line.strip() for line in lines))


def _xz(path: Path) -> Iterator[str]:
    with lzma.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        yield from filter(None, (line.strip() for line in lines))


def _json_lines(path: Path) -> Iterator[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            text = _text_field(line, path, number).strip() if line.strip() else ""
            if text:
                yield text


def _text_field(line: str, path: Path, number: int) -> str:
    try:
        return str(json.loads(line)["text"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(
            f"{path.name} line {number} is no JSON object with a text field: mend or remove it."
        ) from error


def _endings() -> str:
    return ", ".join(f"*{ending}" for ending in READERS)


READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    ".txt": _plain,
    ".txt.xz": _xz,
    ".jsonl": _json_lines,
    ".jsonl.gz": _json_lines,
}
