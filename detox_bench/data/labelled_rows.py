"""The rows of a file of labelled texts: JSON lines, CSV or TSV, plain or gzipped.

To support another kind of file, add a row to ``READERS``. A row with ``chosen`` and ``rejected`` is
a preference pair and gives two: the chosen text is not toxic, the rejected one is.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import BadData

_Stream = BufferedReader | gzip.GzipFile
#: What the texts of a preference pair are called, and whether they are toxic.
_PAIR = {"chosen": False, "rejected": True}


class Row(NamedTuple):
    """Where a row begins, and its columns."""

    line: int
    columns: Mapping[str, Any]


def read_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a file; raises ``BadData`` naming file and line."""
    reader = READERS.get(Path(file.name.removesuffix(".gz")).suffix.lower())
    if reader is None:
        known = ", ".join(f"{suffix}, {suffix}.gz" for suffix in READERS)
        raise BadData(f"{file} is of no kind that holds labelled texts. Known: {known}.")
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            for row in reader(file, stream):
                yield from _unpaired(row)
    except (OSError, EOFError, zlib.error) as error:
        told = getattr(error, "strerror", None) or error
        raise BadData(f"{file} cannot be read: {told}.") from error


def _unpaired(row: Row) -> Iterator[Row]:
    """Yield a row, or the two texts of a pair under one id, so that they stay together."""
    if not row.columns.keys() >= _PAIR.keys():
        yield row
        return
    for name, toxic in _PAIR.items():
        columns = {"id": row.columns.get("id"), "text": row.columns[name], "label": toxic}
        yield Row(row.line, columns)


def _json_rows(file: Path, stream: _Stream) -> Iterator[Row]:
    for number, line in enumerate(stream, 1):  # ends at \n only, as a text may hold other ends
        if not line.strip():
            continue
        try:
            found = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise BadData(at_line(file, number, f"not JSON ({error})")) from error
        if not isinstance(found, dict):
            raise BadData(at_line(file, number, "not a JSON object with a text and a label"))
        yield Row(number, found)


def _separated_rows(file: Path, stream: _Stream, delimiter: str) -> Iterator[Row]:
    """Yield the rows below the header; a quoted field may go over several lines."""
    # Strict, since a quote that is never closed would else swallow the rest without a word.
    text = TextIOWrapper(stream, "utf-8-sig", newline="")
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    header, line = list[str](), 1
    try:
        for fields in rows:
            if fields and not header:
                header = fields
            elif fields and len(fields) != len(header):
                told = f"{len(fields)} fields, and the header has {len(header)}"
                raise BadData(at_line(file, line, told))
            elif fields:
                yield Row(line, dict(zip(header, fields, strict=True)))
            line = rows.line_num + 1
    except (csv.Error, UnicodeDecodeError) as error:
        told = at_line(file, line, f"it cannot be read ({error}); is a quote left open?")
        raise BadData(told) from error


READERS: dict[str, Callable[[Path, _Stream], Iterator[Row]]] = {
    ".jsonl": _json_rows,
    ".csv": partial(_separated_rows, delimiter=","),
    ".tsv": partial(_separated_rows, delimiter="\t"),
}


def at_line(file: Path, line: int, what: str) -> str:
    """Return the sentence that ``what`` is wrong in a line."""
    return f"{file} line {line}: {what}."
