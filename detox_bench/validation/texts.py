"""Texts with what people said of them: the prompts and completions of RTP-LX, and labelled files.

To judge scorers on another kind of text, add a function to ``_OF_RTPLX``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.data.labelled import read_labelled
from detox_bench.data.preference_text import without_prompt
from detox_bench.data.rtplx import read_language
from detox_bench.data.rtplx_files import open_rtplx
from detox_bench.data.store import load_columns, read_manifest
from detox_bench.errors import BadData
from detox_bench.scorers.held_out import HeldOutRule, cut_alike

#: The mean rating, of 1 to 5, from which on a text counts as toxic, and below which as harmless.
#: Those between are left out of areas and decisions, not of the calibration, where they count as
#: not toxic.
TOXIC, HARMLESS = 3.0, 2.0

_COLUMNS = [
    "id",
    "locale",
    "parallel_id",
    "text",
    "index",
    "toxicity",
    "ratings",
    "completion",
    "completion_toxicity",
    "completion_ratings",
    "benign_completion",
]
_PREPARE = (
    "run `detox-bench data rtplx SOURCE`, name a zip, folder or file with --on, or a labelled "
    "file with --labelled"
)

Row = Mapping[str, Any]


class Judged(NamedTuple):
    """A text and the verdict of people; a ``clear`` one counts for areas and decisions.

    ``unit`` is what is drawn anew for intervals: texts that belong together share it. ``ratings``
    are those of the raters from 1 to 5, none where the verdict is no mean of ratings.
    """

    text: str
    unit: str
    toxic: bool
    clear: bool = True
    ratings: tuple[float, ...] = ()


class Source(NamedTuple):
    """Where judged texts are from: name, sha256, languages, and the texts of a language by part."""

    name: str
    sha256: str
    languages: tuple[str, ...]
    parts: Callable[[str], Mapping[str, list[Judged]]]


def prepared(rule: HeldOutRule | None) -> Source:
    """Return the RTP-LX in the data store. Raises ``BadData`` where there is none."""
    manifest = read_manifest("rtplx")
    if manifest is None:
        raise BadData(f"No RTP-LX has been prepared: {_PREPARE}.")
    name = f"{manifest.source} ({manifest.release})"

    def parts(code: str) -> Mapping[str, list[Judged]]:
        return judge_rows(load_columns(manifest, code, _COLUMNS), code, rule)

    return Source(name, manifest.source_sha256, tuple(manifest.languages), parts)


def published(path: Path, password: str | None, rule: HeldOutRule | None) -> Source:
    """Return the RTP-LX in a zip, a folder or a file. Raises as ``open_rtplx``."""
    opened = open_rtplx(path, password)
    found = {language.code: (language, file) for language, file in opened.files}

    def parts(code: str) -> Mapping[str, list[Judged]]:
        return judge_rows(read_language(*found[code]).rows, code, rule)

    return Source(path.name, opened.source.sha256, tuple(found), parts)


def labelled(
    code: str,
    file: Path,
    sha256: str,
    text_column: str | None = None,
    label_column: str | None = None,
) -> Source:
    """Return a labelled file in one language (``data.labelled``); raises ``BadData``."""
    rows = read_labelled(file, text_column, label_column)
    texts = [Judged(each.text, each.id, each.toxic) for each in rows]
    return Source(file.name, sha256, (code,), lambda _: {"labelled": texts})


def judge_rows(rows: Sequence[Row], code: str, rule: HeldOutRule | None) -> dict[str, list[Judged]]:
    """Return the judged texts of one language by part, those that ``rule`` allows.

    ``prompts``: as they are. ``completions``: those rated toxic against the benign ones of the same
    prompts, both cut to one length. ``completions_whole``: the same, uncut. ``rated_completions``:
    all rated ones, uncut. A completion that repeats its prompt is judged without it.
    """
    return {name: list(of(rows, code, rule)) for name, of in _OF_RTPLX.items()}


def _prompts(rows: Sequence[Row], _: str, rule: HeldOutRule | None) -> Iterator[Judged]:
    for row in rows:
        if row["toxicity"] is not None and (rule is None or rule.prompt(row)):
            yield _rated(row["text"], row, row["toxicity"], row["ratings"])


def _completions(rows: Sequence[Row], code: str, rule: HeldOutRule | None) -> Iterator[Judged]:
    for row, toxic, benign in _pairs(rows, rule):
        yield from _against(row, *cut_alike(toxic, benign, code))


def _whole(rows: Sequence[Row], _: str, rule: HeldOutRule | None) -> Iterator[Judged]:
    for row, toxic, benign in _pairs(rows, rule):
        yield from _against(row, toxic, benign)


def _rated_completions(rows: Sequence[Row], _: str, rule: HeldOutRule | None) -> Iterator[Judged]:
    for row, toxic, _benign in _pairs(rows, rule):
        yield _rated(toxic, row, row["completion_toxicity"], row["completion_ratings"])


_OF_RTPLX: dict[str, Callable[[Sequence[Row], str, HeldOutRule | None], Iterator[Judged]]] = {
    "completions": _completions,
    "prompts": _prompts,
    "rated_completions": _rated_completions,
    "completions_whole": _whole,
}


def _pairs(rows: Sequence[Row], rule: HeldOutRule | None) -> Iterator[tuple[Row, str, str]]:
    """Yield rows with a rated and a benign completion, and the two without their prompt."""
    for row in rows:
        known = row["completion"] and row["benign_completion"]
        if known and row["completion_toxicity"] is not None and (not rule or rule.completion(row)):
            texts = (row["completion"], row["benign_completion"])
            toxic, benign = (without_prompt(row["text"], text).strip() for text in texts)
            if toxic and benign:
                yield row, toxic, benign


def _against(row: Row, completion: str, benign: str) -> Iterator[Judged]:
    """Yield a completion and its benign counterpart: clear where the completion is toxic."""
    toxic, ratings = row["completion_toxicity"] >= TOXIC, row["completion_ratings"]["Toxicity"]
    yield Judged(completion, row["id"], toxic, clear=toxic, ratings=tuple(ratings))
    yield Judged(benign, row["id"], toxic=False, clear=toxic)


def _rated(text: str, row: Row, rating: float, ratings: Mapping[str, list[float]]) -> Judged:
    toxic = rating >= TOXIC
    clear = toxic or rating < HARMLESS
    return Judged(text, row["id"], toxic, clear, tuple(ratings["Toxicity"]))
