"""FLORES-200 (NLLB team, arXiv 2207.04672) as published: one file a language and split.

Read are the official archive (``flores200_dataset.tar.gz``), the folder in it, a folder of one
split, and copies on the Hub with a table a language. The splits are multiway parallel: line i is
the same sentence in every language. Texts are kept as they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from detox_bench.data.archives import Source, SourceFile
from detox_bench.data.parallel_files import Column, check_equal_lengths, open_files, texts_of
from detox_bench.data.store import Import, Manifest, load_columns, read_manifest, save
from detox_bench.errors import BadData, unknown_name
from detox_bench.languages import LANGUAGES
from detox_bench.types import Language

if TYPE_CHECKING:
    from datasets import Dataset

DATA_SET = "flores"
SPLITS = ("dev", "devtest")

# By the hash of all ids and texts of the 28 languages.
RELEASES: dict[str, str] = {
    "ef29ee738494fb5108ce4d6304556c014c59bd2d731a206d4ed8cce087c46826": "FLORES-200",
}

_CODE = r"(?P<code>[a-z]{3}_[A-Z][a-z]{3})"
_SPLIT = r"(?P<split>dev|devtest)"
_TABLE = r"(?:parquet|jsonl(?:\.gz)?)"
#: The official layout, that of FLORES+ on the Hub, and that of the Hub's own conversion.
_LAYOUTS = tuple(
    re.compile(rf"(?:.*/)?{name}")
    for name in (
        rf"{_CODE}\.{_SPLIT}",
        rf"{_SPLIT}/{_CODE}\.{_TABLE}",
        rf"{_CODE}/{_SPLIT}/[^/]*\.{_TABLE}",
    )
)
_ANY_LAYOUT = re.compile("|".join(re.sub(r"\?P<\w+>", "?:", each.pattern) for each in _LAYOUTS))
_COLUMN = Column(("text", "sentence"))  # FLORES+, and facebook/flores
_NEWER_CODES = {"cmn_Hans": "zho_Hans", "cmn_Hant": "zho_Hant"}  # of FLORES+


class FloresFile(NamedTuple):
    """The file of one language and split."""

    language: Language
    split: str
    file: SourceFile


@dataclass(frozen=True, slots=True)
class FloresSource:
    """The files of a FLORES in our languages, and the codes of the others in it."""

    source: Source
    files: tuple[FloresFile, ...]
    left_out: tuple[str, ...]


def open_flores(path: Path) -> FloresSource:
    """Return the FLORES files in an archive or a folder. Raises ``BadData`` where there is none."""
    source = open_files(path, _ANY_LAYOUT)
    by_code = {row.flores: row for row in LANGUAGES.values()}
    named = [(*_code_and_split(file.name), file) for file in source.files]
    files = tuple(
        FloresFile(by_code[code], split, file) for code, split, file in named if code in by_code
    )
    if not files:
        raise BadData(
            f"{source.name} holds no FLORES file of our languages. Give flores200_dataset.tar.gz, "
            "the folder in it, or a folder of files like dev/deu_Latn.dev or dev/deu_Latn.parquet."
        )
    _check_unique(files)
    left_out = sorted({code for code, *_ in named} - set(by_code))
    return FloresSource(source, files, tuple(left_out))


def read_flores(opened: FloresSource) -> dict[str, dict[str, list[str]]]:
    """Return the texts by language and split. Raises ``BadData`` for files that do not fit."""
    texts: dict[str, dict[str, list[str]]] = {}
    for language, split, file in opened.files:
        texts.setdefault(language.code, {})[split] = texts_of(file, _COLUMN)
    for split in SPLITS:
        files = [
            (f.file.name, len(texts[f.language.code][split]))
            for f in opened.files
            if f.split == split
        ]
        check_equal_lengths(files)
    return texts


def save_flores(
    opened: FloresSource, texts: Mapping[str, Mapping[str, list[str]]], replace: bool = False
) -> Manifest:
    """Put what was read into the data store.

    Raises as ``store.save``, and ``BadData`` where the store holds a split that ``opened`` lacks
    and ``replace`` is false.
    """
    if not replace:
        _check_splits(opened, texts)
    return save(
        Import(
            data_set=DATA_SET,
            releases=RELEASES,
            schema="FLORES",
            source=opened.source.name,
            source_sha256=opened.source.sha256,
            tables={code: _table(code, splits) for code, splits in texts.items()},
            counts={
                code: {split: len(splits.get(split, ())) for split in SPLITS}
                for code, splits in texts.items()
            },
            kept_out={code: {} for code in texts},
            left_out=opened.left_out,
        ),
        replace,
    )


def _check_splits(opened: FloresSource, texts: Mapping[str, Mapping[str, list[str]]]) -> None:
    """Raise ``BadData`` where a split would be lost; a damaged manifest is superseded."""
    try:
        manifest = read_manifest(DATA_SET)
    except BadData:
        return
    stored = manifest.languages.values() if manifest else ()
    held = {split for entry in stored for split, count in entry.counts.items() if count}
    lost = sorted(held - {split for splits in texts.values() for split in splits})
    if lost:
        raise BadData(
            f"The store holds {', '.join(lost)} of FLORES and {opened.source.name} does not: add "
            "--replace to store it instead."
        )


def flores_sentences(language: str, split: str) -> tuple[str, dict[str, str]]:
    """Return the release, and the prepared sentences of a language and split by id.

    Raises:
        UnknownName: for a split that is none.
        BadData: where FLORES has not been prepared, or not with this language and split.
    """
    if split not in SPLITS:
        raise unknown_name("split of FLORES", split, SPLITS)
    manifest = read_manifest(DATA_SET)
    if manifest is None:
        raise BadData(
            "No FLORES has been prepared: run `detox-bench data flores SOURCE` with "
            "flores200_dataset.tar.gz or the folder in it."
        )
    there = [code for code, entry in manifest.languages.items() if entry.counts[split]]
    if language not in there:
        raise BadData(
            f"The prepared FLORES ({manifest.source}) has no {language!r} in {split}, only "
            f"{', '.join(there) or 'none'}: run `detox-bench data flores SOURCE` with one that has."
        )
    rows = load_columns(manifest, language, ["id", "split", "text"])
    return manifest.release, {row["id"]: row["text"] for row in rows if row["split"] == split}


def _code_and_split(name: str) -> tuple[str, str]:
    found = next(match for each in _LAYOUTS if (match := each.fullmatch(name)))
    return _NEWER_CODES.get(found["code"], found["code"]), found["split"]


def _check_unique(files: tuple[FloresFile, ...]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for language, split, file in files:
        other = seen.setdefault((language.code, split), file.name)
        if other != file.name:
            raise BadData(f"{other} and {file.name} are both {language.name}, {split}: keep one.")


def _table(code: str, splits: Mapping[str, list[str]]) -> "Dataset":
    from datasets import Dataset

    rows = [
        {"id": f"flores/{split}/{number}", "language": code, "split": split, "text": text}
        for split in SPLITS
        for number, text in enumerate(splits.get(split, ()))
    ]
    return Dataset.from_list(rows)
