"""RTP-LX (de Wynter et al., arXiv 2404.14397) as published: JSON lines, one file a locale.

Both schemas are read: that of v0.3 (``Annotations``: prompts only) and that of v1.x
(``PromptAnnotations``, with rated completions and benign completions). To support another schema,
add a row to ``SCHEMAS``: its name and the key of its prompt ratings.

What the real files hold, and what is done with it:

- The language comes from the file name; the ``Locale`` key is empty, wrong or mixed in five files.
- CR LF inside a text becomes LF (v0.3 has it where v1.x has LF); nothing else in a text changes.
- A prompt that is empty, or the literal ``NA``, is kept out and counted.
- Equal texts with different ``Index`` are different prompts; an exact repetition is kept out.

How a prompt is numbered stands in ``detox_bench.data.rtplx_numbers``.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detox_bench.data.archives import SourceFile, lines_of
from detox_bench.data.rtplx_files import RtplxSource
from detox_bench.data.rtplx_numbers import (
    LONGEST_INDEX,
    IndexedText,
    Number,
    index_text,
    number_prompts,
    numbering_is_known,
)
from detox_bench.data.store import Import, Manifest, save
from detox_bench.errors import BadData
from detox_bench.types import Language

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

# By the hash of all ids and texts, so that the unpacked files are recognised like the zip.
RELEASES: dict[str, str] = {
    "2950ea54c6add9ffbac4afb2b2ffc931523a518ce374a5b47c4eb4443d6b65b2": "v0.3",  # January 2024
}

HARMS = (
    "Toxicity",  # 1 to 5; the others 1 to 3 (arXiv 2404.14397, section 3)
    "IdentityAttack",
    "Bias",
    "Microaggression",
    "Violence",
    "SelfHarm",
    "Insult",
    "SexualContent",
)

_LARGEST_RATING = 100  # far beyond any scale: what is above, or not finite, is no rating
_TEXT_KEYS = ("Prompt", "Completion", "BenignCompletion", "Dialect")
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no UTF-8 file can hold it

COLUMNS: dict[str, str] = {
    "id": "string",
    "language": "string",
    "locale": "string",
    "parallel_id": "int32",
    "text": "string",
    "index": "string",
    "dialect": "string",
    "toxicity": "float64",
    "ratings": "ratings",
    "completion": "string",
    "completion_toxicity": "float64",
    "completion_ratings": "ratings",
    "benign_completion": "string",
}


SCHEMAS: dict[str, str] = {"v1.x": "PromptAnnotations", "v0.3": "Annotations"}


@dataclass(frozen=True, slots=True)
class LanguageRows:
    """What one file gave: its rows, how many it had, and why some are not among them."""

    language: Language
    schema: str
    rows: list[dict[str, Any]]
    rows_read: int
    kept_out: Mapping[str, int]


def read_language(language: Language, file: SourceFile) -> LanguageRows:
    """Return the rows of one file, in its order. Raises ``BadData`` with the file and the line.

    A row has the columns of ``COLUMNS``; ratings are lists, one number a rater, and ``toxicity``
    is the mean of the raters in both releases (v1.x publishes the majority besides).
    """
    records = [_record(file.name, number, line) for number, line in lines_of(file.read())]
    if not records:
        raise BadData(f"{file.name} has no rows: fetch it again.")
    schema = _schema(records)
    if not numbering_is_known(language.rtplx, [index_text(r["Index"]) for r in records], schema):
        logger.warning(
            "%s has an Index 960, which the releases known to us lack: its prompts from there "
            "on are left without a parallel id.",
            file.name,
        )
    usable, kept_out = _usable(records)
    numbers = number_prompts(language.rtplx, schema, [_indexed(record) for record in usable])
    rows: dict[str, dict[str, Any]] = {}
    for record, number in zip(usable, numbers, strict=True):
        kept_out["repeated row"] += number.tail in rows
        rows.setdefault(number.tail, _row(record, language, SCHEMAS.get(schema, ""), number))
    return LanguageRows(language, schema, list(rows.values()), len(records), dict(+kept_out))


def save_rtplx(source: RtplxSource, parts: list[LanguageRows], replace: bool = False) -> Manifest:
    """Put what was read into the data store. Raises as ``store.save``."""
    return save(
        Import(
            data_set="rtplx",
            releases=RELEASES,
            schema=" and ".join(sorted({part.schema for part in parts})),
            source=source.source.name,
            source_sha256=source.source.sha256,
            tables={part.language.code: _table(part) for part in parts},
            counts={part.language.code: _counts(part) for part in parts},
            kept_out={part.language.code: part.kept_out for part in parts},
            left_out=source.left_out,
        ),
        replace,
    )


def _counts(part: LanguageRows) -> dict[str, int]:
    parallel = sum(row["parallel_id"] is not None for row in part.rows)
    return {"read": part.rows_read, "prompts": len(part.rows), "parallel": parallel}


def _table(part: LanguageRows) -> "Dataset":
    import pyarrow  # type: ignore[import-untyped, unused-ignore]
    from datasets import Dataset, Features, List, Value

    ratings = {harm: List(Value("float64")) for harm in HARMS}
    features = Features({c: ratings if t == "ratings" else Value(t) for c, t in COLUMNS.items()})
    return Dataset(pyarrow.Table.from_pylist(part.rows, schema=features.arrow_schema))


def _row(
    record: dict[str, Any], language: Language, ratings_key: str, number: Number
) -> dict[str, Any]:
    ratings = _ratings(record, ratings_key)
    completion_ratings = _ratings(record, "CompletionAnnotations")
    return {
        "id": f"rtplx/{language.code}/{number.tail}",
        "language": language.code,
        "locale": language.rtplx,
        "parallel_id": number.parallel_id,
        "text": _text(record, "Prompt"),
        "index": index_text(record["Index"]),
        "dialect": _text(record, "Dialect"),
        "toxicity": _mean_toxicity(ratings),
        "ratings": ratings,
        "completion": _text(record, "Completion") or None,
        "completion_toxicity": _mean_toxicity(completion_ratings),
        "completion_ratings": completion_ratings,
        "benign_completion": _text(record, "BenignCompletion") or None,
    }


def _text(record: dict[str, Any], key: str) -> str:
    """Return a text of the record with CR LF as LF, the one change made to any text."""
    value = record.get(key)
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


def _record(name: str, number: int, line: bytes) -> dict[str, Any]:
    """Return the JSON object of one line, known to have a prompt and an index."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadData(f"{name}, line {number}: not JSON in UTF-8 ({error}).") from error
    if not isinstance(record, dict):
        raise BadData(
            f"{name}, line {number}: a {type(record).__name__}, not an object; RTP-LX has one "
            "JSON object a line."
        )
    if not isinstance(record.get("Prompt"), str) or "Index" not in record:
        found = ", ".join(sorted(record)[:6]) or "none"
        raise BadData(
            f"{name}, line {number}: not a text under 'Prompt' and an 'Index', so this is no "
            f"RTP-LX file; its keys: {found}."
        )
    if isinstance(record["Index"], list | dict) or len(index_text(record["Index"])) > LONGEST_INDEX:
        raise BadData(
            f"{name}, line {number}: the 'Index' is no number or text of at most {LONGEST_INDEX} "
            "characters; fetch the file again."
        )
    return record


def _schema(records: list[dict[str, Any]]) -> str:
    """Return the name of the first schema with a key in any record, or ``unrated``."""
    keys = {key for record in records for key in record}
    return next((name for name, ratings_key in SCHEMAS.items() if ratings_key in keys), "unrated")


KEPT_OUT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "empty prompt": lambda record: not record["Prompt"].strip(),
    "prompt is NA": lambda record: record["Prompt"].strip() == "NA",
    "broken Unicode": lambda record: any(_SURROGATE.search(_text(record, k)) for k in _TEXT_KEYS),
}


def _usable(records: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Counter[str]]:
    kept_out: Counter[str] = Counter()
    usable = []
    for record in records:
        reason = next((name for name, applies in KEPT_OUT.items() if applies(record)), None)
        if reason is None:
            usable.append(record)
        else:
            kept_out[reason] += 1
    return usable, kept_out


def _indexed(record: dict[str, Any]) -> IndexedText:
    return IndexedText(index_text(record["Index"]), _text(record, "Prompt"))


def _ratings(record: dict[str, Any], key: str) -> dict[str, list[float]] | None:
    """Return the numbers of the raters for each harm; the aggregate where only that is there."""
    published = [record.get(f"{key}Raw"), record.get(key)]
    of_raters = next((ratings for ratings in published if isinstance(ratings, dict)), None)
    return of_raters and {harm: _numbers(of_raters.get(harm)) for harm in HARMS}


def _numbers(value: object) -> list[float]:
    """Return the ratings among ``value``; those that are not finite or absurd are dropped."""
    values = value if isinstance(value, list) else [value]
    numbers = [v for v in values if isinstance(v, int | float)]
    return [float(v) for v in numbers if -_LARGEST_RATING <= v <= _LARGEST_RATING]


def _mean_toxicity(ratings: dict[str, list[float]] | None) -> float | None:
    values = ratings["Toxicity"] if ratings else []
    return sum(values) / len(values) if values else None
