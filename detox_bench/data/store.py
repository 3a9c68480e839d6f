"""The data store: a folder a data set, in it one parquet file a language and a manifest.

The manifest names each file with its sha256, and replacing the manifest is what puts an import in
force: one that is interrupted leaves the former store as it was, and what it left behind is
removed by the next. Files carry their hash in the name, so that an import never writes over a file
somebody reads. A lock keeps two imports of one data set apart.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from detox_bench.errors import BadData
from detox_bench.locations import data_folder

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT = 1  # of manifest and columns together; a store of another format is not read
_MANIFEST = "manifest.json"
_TEMPORARY = ".import-"
_STORED = f"*.{'[0-9a-f]' * 12}.parquet"


@dataclass(frozen=True, slots=True)
class StoredLanguage:
    """The file of one language: hash of the file, hash of its ids and texts, and counts."""

    file: str
    sha256: str
    content_sha256: str
    counts: Mapping[str, int]
    kept_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a store holds and where it came from; no path of the machine it was made on."""

    data_set: str
    release: str
    source: str
    source_sha256: str
    content_sha256: str
    languages: Mapping[str, StoredLanguage]
    left_out: tuple[str, ...] = ()
    created: str = ""
    format: int = FORMAT

    def total(self, count: str) -> int:
        """Return the sum of one count over the languages."""
        return sum(entry.counts.get(count, 0) for entry in self.languages.values())


@dataclass(frozen=True, slots=True)
class Import:
    """What is to be stored: a release, its source, and a table a language with its counts."""

    data_set: str
    releases: Mapping[str, str]
    schema: str
    source: str
    source_sha256: str
    tables: Mapping[str, "Dataset"]
    counts: Mapping[str, Mapping[str, int]]
    kept_out: Mapping[str, Mapping[str, int]]
    left_out: tuple[str, ...] = field(default=())


def read_manifest(data_set: str) -> Manifest | None:
    """Return what is stored of ``data_set``, None if nothing is. Raises ``BadData``."""
    path = data_folder() / data_set / _MANIFEST
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        languages = {c: StoredLanguage(**entry) for c, entry in content.pop("languages").items()}
        left_out = tuple(content.pop("left_out"))
        manifest = Manifest(**content, languages=languages, left_out=left_out)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise BadData(f"The manifest {path} is damaged: {_again(data_set)}") from error
    if manifest.format != FORMAT:
        raise BadData(
            f"The data store {path.parent} has format {manifest.format}, this version reads "
            f"{FORMAT}: {_again(data_set)}"
        )
    return manifest


def load_table(manifest: Manifest, language: str) -> "Dataset":
    """Return all columns of one stored language. Raises ``BadData`` where the file is damaged."""
    from datasets import Dataset

    return Dataset(_read(manifest, language, None))


def load_columns(manifest: Manifest, language: str, columns: list[str]) -> list[dict[str, Any]]:
    """Return some columns of one stored language as rows, without loading ``datasets``."""
    rows: list[dict[str, Any]] = _read(manifest, language, columns).to_pylist()
    return rows


def damaged(manifest: Manifest) -> list[str]:
    """Return the languages whose file is missing or has changed since it was stored."""
    return [code for code in manifest.languages if not _intact(manifest, code)]


def content_sha256(prompts: Iterable[tuple[str, str]]) -> str:
    """Return the sha256 over the ``(id, text)`` pairs, a JSON list a line: what was asked."""
    digest = hashlib.sha256()
    for pair in prompts:
        digest.update(json.dumps(list(pair), ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def save(new: Import, replace: bool = False) -> Manifest:
    """Store ``new`` in place of what is stored of its data set, all of it or nothing.

    Raises ``BadData`` where the disk is full or not writable, or where the store holds a language
    that ``new`` does not have and ``replace`` is false.
    """
    folder = data_folder() / new.data_set
    with _sentence_for_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{new.data_set}.lock")):
            _check_nothing_lost(new, replace)
            manifest = _put_in_force(new, folder)
            _remove_leftovers(folder, {entry.file for entry in manifest.languages.values()})
    return manifest


def _put_in_force(new: Import, folder: Path) -> Manifest:
    """Write the files, then the manifest."""
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as temporary:
        entries = {code: _write(new, code, Path(temporary)) for code in new.tables}
        manifest = _manifest(new, entries)
        for entry in entries.values():
            (Path(temporary) / entry.file).replace(folder / entry.file)
        path = Path(temporary) / _MANIFEST
        path.write_text(json.dumps(asdict(manifest), indent=1) + "\n", "utf-8")
        path.replace(folder / _MANIFEST)
    return manifest


def _check_nothing_lost(new: Import, replace: bool) -> None:
    """Raise ``BadData`` for a language lost; a damaged manifest is superseded without a word."""
    try:
        manifest = read_manifest(new.data_set)
    except BadData:
        return
    if manifest is None:
        return
    lost = sorted(manifest.languages.keys() - new.tables.keys())
    if lost and not replace:
        raise BadData(
            f"The store holds {len(manifest.languages)} languages ({manifest.release}) and "
            f"{new.source} has no {', '.join(lost)}: add --replace to store it instead."
        )


def _write(new: Import, code: str, folder: Path) -> StoredLanguage:
    """Write the table of one language under a name with its hash."""
    import pyarrow.parquet  # type: ignore[import-untyped, unused-ignore]

    table = new.tables[code]
    plain = folder / f"{code}.parquet"
    pyarrow.parquet.write_table(table.data.table, plain, compression="zstd")
    digest = _file_sha256(plain)
    file = plain.rename(folder / f"{code}.{digest[:12]}.parquet")
    ids, texts = (table.data.column(name).to_pylist() for name in ("id", "text"))
    content = content_sha256(zip(ids, texts, strict=True))
    return StoredLanguage(file.name, digest, content, new.counts[code], new.kept_out[code])


def _manifest(new: Import, entries: Mapping[str, StoredLanguage]) -> Manifest:
    content = content_sha256((code, entries[code].content_sha256) for code in sorted(entries))
    return Manifest(
        data_set=new.data_set,
        release=new.releases.get(content, f"unknown {new.schema} schema"),
        source=new.source,
        source_sha256=new.source_sha256,
        content_sha256=content,
        languages={code: entries[code] for code in sorted(entries)},
        left_out=new.left_out,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _read(manifest: Manifest, language: str, columns: list[str] | None) -> Any:
    """Return a table. No threads: they gain nothing here and can outlive a short process."""
    import pyarrow  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet

    path = data_folder() / manifest.data_set / manifest.languages[language].file
    if not _intact(manifest, language):
        raise BadData(f"{path} is damaged or gone: {_again(manifest.data_set)}")
    stored = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(path.read_bytes()), pre_buffer=False)
    return stored.read(columns, use_threads=False)


def _intact(manifest: Manifest, language: str) -> bool:
    entry = manifest.languages[language]
    path = data_folder() / manifest.data_set / entry.file
    return path.is_file() and _file_sha256(path) == entry.sha256


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remove_leftovers(folder: Path, in_force: set[str]) -> None:
    """Remove what former imports left, finished or killed; what cannot be removed stays."""
    for temporary in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(temporary, ignore_errors=True)
    for path in folder.glob(_STORED):
        if path.name not in in_force:
            with suppress(OSError):
                path.unlink()


@contextmanager
def _sentence_for_os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadData(
            f"Cannot write the data store {folder} ({error.strerror or error}): free some space, "
            "or set DETOX_BENCH_DATA to another folder."
        ) from error


def _again(data_set: str) -> str:
    return f"run `detox-bench data {data_set} SOURCE` again."
