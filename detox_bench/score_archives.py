"""Archives of scores: JSON lines of a text, its language and the score that was stored for it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import BadData, UnknownName
from detox_bench.languages import language as language_row

#: What the fields are called: ours first, then those of PolygloToxicityPrompts.
_FIELDS = {
    "text": ("text", "prompt"),
    "language": ("language", "lang"),
    "score": ("score", "toxicity"),
}


#: Codes that are not ours; PolygloToxicityPrompts has one Chinese.
_CODES = {"zh": "zh-Hans"}


class ArchivedScore(NamedTuple):
    """One text of an archive, with the score in [0, 1] that was stored for it."""

    text: str
    language: str
    score: float


def read_archive(file: Path) -> Iterator[ArchivedScore]:
    """Yield the rows of JSON lines; those without a score are passed over.

    Raises ``BadData`` naming the line that is no row, and ``UnknownName`` for a language.
    """
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield from _archived(line, f"{file} line {number}")
    except OSError as error:
        raise BadData(f"The archive {file} cannot be read: {error.strerror or error}.") from error


def _archived(line: bytes, where: str) -> Iterator[ArchivedScore]:
    """Yield the row in a line, or nothing where it has no score."""
    try:
        row = json.loads(line)
        text, code, score = (_field(row, names) for names in _FIELDS.values())
        if score is None:
            return
        found = ArchivedScore(
            str(text), language_row(_CODES.get(code, str(code))).code, float(score)
        )
        if not 0 <= found.score <= 1:
            raise ValueError(f"the score {score} is not in [0, 1]")
    except UnknownName as error:
        raise BadData(f"{where}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(
            f"{where} is not a row of an archive ({error}). Give JSON lines with text, language "
            "and score."
        ) from error
    yield found


def _field(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first field that is there."""
    for name in names:
        if name in row:
            return row[name]
    raise KeyError(f"no {' or '.join(names)}")
