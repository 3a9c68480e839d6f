"""Rows of a file of preference pairs, each with the file and line it stands in."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.data.archives import lines_of, open_source
from detox_bench.errors import BadData
from detox_bench.types import PreferencePair

#: The names of files of JSON lines in a folder.
JSON_LINES = r".+\.jsonl?(\.gz)?"
_START = 4096  # bytes that tell what a file is


class Row(NamedTuple):
    """One JSON object: the ``place`` for messages, a ``name`` for ids, and its ``fields``."""

    place: str
    name: str
    fields: Mapping[str, Any]


class Draft(NamedTuple):
    """A pair as it was read, what was ``changed`` in it, and why it is left out, if it is.

    The ``reason`` is a defect; ``filtered`` is the format's own filter that a sound pair fails.
    """

    pair: PreferencePair
    place: str
    changed: tuple[str, ...] = ()
    reason: str | None = None
    filtered: str | None = None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What to read and how; each format looks at its own options and at no other.

    Args:
        languages: of RTP-LX: the codes to read.
        subset: of RTP-LX: ``all``, or ``odd`` or ``even`` by Index.
        least_toxicity: of RTP-LX: lowest mean human rating (1 to 5) of a rejected text.
        password: of an encrypted RTP-LX zip.
        longest_sum: of ``legacy``: most characters of prompt and continuation; None for any.
        most_units: most words (or tokens, with a ``cut``) of a text where both are cut.
        cut_all: cut both texts to one length in every format, not only where the source is known
            to have rejected texts that are longer.
    """

    languages: tuple[str, ...] = ("en",)
    subset: str = "all"
    least_toxicity: float = 3.0
    password: str | None = None
    longest_sum: int | None = 256
    most_units: int | None = None
    cut_all: bool = False


def rows_of(path: Path, pattern: str = JSON_LINES) -> Iterator[Row]:
    """Yield the JSON lines of a file, or of the matching files of a folder sorted by name.

    Empty lines are passed over. Raises ``BadData`` for a line that is no JSON object.
    """
    files = open_source(path, re.compile(pattern)).files
    if not files:
        raise BadData(f"{path} holds no file of JSON lines: name a .jsonl file, or its folder.")
    for file in files:
        stem = file.name.partition(".")[0]
        for number, line in lines_of(file.read()):
            if line.strip():
                place = f"{file.name}, line {number}"
                yield Row(place, f"{stem}:{number}", _object(place, line))


def pair_rows(path: Path, pattern: str = JSON_LINES) -> Iterator[Row]:
    """Yield the rows of preference pairs as ``rows_of`` does.

    Raises ``BadData`` for a file that is one JSON array, and names the format that reads it.
    """
    if path.is_file():
        with path.open("rb") as content:
            start = content.read(_START).lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith(b"["):
            raise BadData(
                f"{path} is a JSON array, not one JSON object a line. Give --pairs-format dataset, "
                "which reads one from a .json file."
            )
    yield from rows_of(path, pattern)


def text(row: Row, key: str) -> str:
    """Return a field that must be a text. Raises ``BadData`` with file and line."""
    if key not in row.fields:
        found = ", ".join(sorted(map(str, row.fields))[:8]) or "none"
        raise BadData(
            f"{row.place}: the field {key!r} is missing; its fields: {found}. Add it, or name "
            "another --pairs-format."
        )
    value = row.fields[key]
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        raise BadData(
            f"{row.place}: {key!r} is a list of chat messages, which is not read. Write the "
            "conversation as plain text first, with your model's chat template."
        )
    raise BadData(f"{row.place}: {key!r} is a {type(value).__name__}, not a text. Mend the line.")


def first_row(rows: Iterable[Row], path: Path) -> Row:
    """Return the first row. Raises ``BadData`` where there is none."""
    found = next(iter(rows), None)
    if found is None:
        raise BadData(f"{path} has no rows: give a file that holds pairs.")
    return found


def _object(place: str, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        what = type(error).__name__  # its message may quote the text
        raise BadData(f"{place}: not JSON in UTF-8 ({what}). Mend or remove the line.") from error
    if not isinstance(value, dict):
        raise BadData(
            f"{place}: a {type(value).__name__}, not an object; pairs are one JSON object a line."
        )
    return value
