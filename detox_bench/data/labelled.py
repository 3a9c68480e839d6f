"""Texts labelled toxic or not, from JSON lines and from CSV, Jigsaw's among them, and from pairs.

Columns are found by name, upper and lower case alike: the first of ``TEXT_COLUMNS`` and
``LABEL_COLUMNS`` that is there. To accept another spelling of a label, add it to ``LABELS``.
"""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.data.labelled_rows import Row, at_line, read_rows
from detox_bench.errors import BadData

logger = logging.getLogger(__name__)

TEXT_COLUMNS = ("text", "comment_text", "prompt")
LABEL_COLUMNS = ("label", "toxic", "is_toxic", "toxicity")
#: Words for a label; case, underscores, hyphens and spaces do not count. Numbers are not words.
LABELS: Mapping[str, bool] = {
    **dict.fromkeys(("toxic", "true", "yes", "offensive", "hateful", "abusive"), True),
    **dict.fromkeys(("nontoxic", "nottoxic", "false", "no", "neutral", "normal", "clean"), False),
}
#: A number from here on says toxic, as in Jigsaw's own evaluation of its rated comments.
TOXIC_FROM = 0.5


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One text; ``id`` is the file's, or else a hash of the text, so that equal texts share it."""

    id: str
    text: str
    toxic: bool


class _Columns(NamedTuple):
    """The columns that are read, as the file spells them."""

    text: str
    label: str
    id: str | None


def read_labelled(
    file: Path,
    text_column: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
) -> list[LabelledText]:
    """Return the texts of one file, in its order.

    Args:
        file: Of a kind in ``labelled_rows.READERS``.
        text_column: The column of the texts; found by name if None.
        label_column: That of the labels: a boolean, a number from 0 to 1 (toxic from
            ``TOXIC_FROM`` on), or a word of ``LABELS``.
        limit: Take so many of them, those whose ids hash lowest: whatever the file's order, the
            same ones.

    Raises:
        BadData: naming file and line, for a column that is not there, a label that is none, a line
            that cannot be read, and a file without texts or with one class only.
    """
    return read_labelled_files([file], text_column, label_column, limit)


def read_labelled_files(
    files: Sequence[Path],
    text_column: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
) -> list[LabelledText]:
    """Return the texts of several files, one after the other, as ``read_labelled``.

    ``limit`` counts, and both classes are asked for, over all files: each may have one of them.
    """
    texts = list(chain.from_iterable(_texts(file, text_column, label_column) for file in files))
    if limit is not None:
        texts = _lowest(texts, limit)
    _check_classes(texts, ", ".join(map(str, files)), limit)
    return texts


def hash_fraction(purpose: str, id_: str) -> float:
    """Return a number in [0, 1) that stands for an id; those of two purposes are unrelated."""
    found = hashlib.sha256(f"{purpose}/{id_}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(found[:6], "big") / 2**48


def _texts(file: Path, text_column: str | None, label_column: str | None) -> Iterator[LabelledText]:
    """Yield the texts of a file; those without a visible character are left out and counted."""
    columns, empty = None, 0
    for row in read_rows(file):
        columns = columns or _find(file, row, text_column, label_column)
        text, label = (_value(file, row, name) for name in (columns.text, columns.label))
        if not isinstance(text, str | None):
            raise BadData(
                at_line(file, row.line, f"{columns.text!r} is {text!r}, which is no text")
            )
        if (toxic := _toxic(label)) is None:
            what = f"the label {columns.label!r} is {label!r}; give true, false, a number from 0 "
            raise BadData(at_line(file, row.line, f"{what}to 1, or a word as toxic and non-toxic"))
        if text is None or not text.strip():
            empty += 1
            continue
        own = row.columns.get(columns.id) if columns.id else None
        yield LabelledText(_id(own, text), _encodable(text), toxic)
    if empty:
        logger.warning("%s: %d empty texts were left out.", file, empty)


def _find(file: Path, row: Row, text: str | None, label: str | None) -> _Columns:
    """Return the columns to read, found in the first row."""
    found = {name.strip().casefold(): name for name in reversed(list(row.columns))}
    texts, labels = (text,) if text else TEXT_COLUMNS, (label,) if label else LABEL_COLUMNS
    wanted = {"text": texts, "label": labels}
    columns = {}
    for what, names in wanted.items():
        name = next((found[each.casefold()] for each in names if each.casefold() in found), None)
        if name is None:
            raise BadData(
                f"{file} has no column {' or '.join(map(repr, names))} for the {what}s. "
                f"It has {', '.join(row.columns)}: name one with --{what}-column."
            )
        columns[what] = name
    return _Columns(**columns, id=found.get("id"))


def _value(file: Path, row: Row, column: str) -> Any:
    if column not in row.columns:
        raise BadData(at_line(file, row.line, f"no {column!r}, which the first row has"))
    return row.columns[column]


def _toxic(label: Any) -> bool | None:
    """Return what a label says; None if it is none."""
    if isinstance(label, bool):
        return label
    word = str(label).strip().casefold().translate(str.maketrans("", "", "-_ "))
    if word in LABELS:
        return LABELS[word]
    try:
        number = float(str(label))
    except ValueError:
        return None
    return number >= TOXIC_FROM if math.isfinite(number) and 0 <= number <= 1 else None


def _id(own: Any, text: str) -> str:
    if own is not None and str(own).strip():
        return str(own)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _encodable(text: str) -> str:
    """Return the text with a mark for each half of a character, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _lowest(texts: Sequence[LabelledText], limit: int) -> list[LabelledText]:
    places = [(hash_fraction("limit", each.id), each.text, n) for n, each in enumerate(texts)]
    return [texts[n] for n in sorted(n for _, _, n in sorted(places)[:limit])]


def _check_classes(texts: Iterable[LabelledText], where: str, limit: int | None) -> None:
    counts = Counter(each.toxic for each in texts)
    if not counts:
        raise BadData(f"There is no text in {where}.")
    if len(counts) == 1:
        [(toxic, count)] = counts.items()
        which = "toxic" if toxic else "not toxic"
        taken = "" if limit is None else f" taken (limit {limit})"
        told = f"All {count} texts{taken} in {where} are {which}."
        raise BadData(f"{told} Add texts of the other class.")
