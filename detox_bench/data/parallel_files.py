r"""The files of a parallel data set: a tar, a zip, a folder of any depth, one file.

A file is lines of text, or a table (``.jsonl``, ``.parquet``) with one column of texts, as copies
on the Hub have it. Line i of every file of a split is the same sentence, so that a blank line is an
error, never left out. Lines end at ``\n`` or CR LF; other line separators may be inside a text.
"""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detox_bench.data.archives import DAMAGED, Source, SourceFile, check_size, open_source
from detox_bench.errors import BadData

_TARS: dict[str, Callable[[Path], io.BufferedIOBase]] = {
    ".tar": lambda path: path.open("rb"),
    ".tar.gz": gzip.GzipFile,
    ".tgz": gzip.GzipFile,
    ".tar.xz": lzma.LZMAFile,
    ".tar.bz2": bz2.BZ2File,
}
_PIECE = 2**20  # bytes read at once where none are kept


@dataclass(frozen=True, slots=True)
class Column:
    """Which column of a table holds the texts: the first of ``names`` that is there."""

    names: tuple[str, ...]

    def of(self, row: dict[str, Any], where: str) -> str:
        """Return the text of a row. Raises ``BadData``."""
        name = next((each for each in self.names if isinstance(row.get(each), str)), None)
        if name is None:
            raise BadData(
                f"{where}: no text under {' or '.join(map(repr, self.names))}; its columns: "
                f"{', '.join(sorted(row)[:6]) or 'none'}."
            )
        return str(row[name])


def open_files(path: Path, pattern: re.Pattern[str]) -> Source:
    """Return the files in ``path`` whose path in it matches ``pattern``, sorted by that path.

    The ``name`` of a file is that path; in a folder it begins with the folder's own name, which may
    be that of a split. Raises ``BadData`` for what cannot be read.
    """
    if path.is_dir():
        return _open_folder(path.resolve(), pattern)
    if path.is_file() and path.name.lower().endswith(tuple(_TARS)):
        return _open_tar(path.resolve(), pattern)
    found = open_source(path, pattern, by_path=True)
    return replace(found, files=tuple(f for f in found.files if pattern.fullmatch(f.name)))


def texts_of(file: SourceFile, column: Column) -> list[str]:
    """Return the texts of a file in its order. Raises ``BadData``, naming file and line."""
    kind = next((each for each in _READERS if each in file.name.lower()), "")
    texts = _READERS.get(kind, _lines)(file, column)
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise BadData(
                f"{file.name}, line {number}: blank, so that the lines behind it would belong to "
                "other sentences; fetch the file again."
            )
    if not texts:
        raise BadData(f"{file.name} has no lines: fetch it again.")
    return texts


def check_equal_lengths(files: Sequence[tuple[str, int]]) -> None:
    """Raise ``BadData`` where files of (name, lines) are not all equally long."""
    if not files:
        return
    usual = max(files, key=lambda file: sum(lines == file[1] for _, lines in files))
    for name, lines in files:
        if lines != usual[1]:
            raise BadData(
                f"{name} has {lines:,} lines and {usual[0]} {usual[1]:,}, so that they are not "
                "translations line by line: fetch both again."
            )


def _open_folder(path: Path, pattern: re.Pattern[str]) -> Source:
    found = sorted(
        (file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()
    )
    inside = f"{path.name}/"
    files = tuple(
        SourceFile(inside + name, file.stat().st_size, file.read_bytes)
        for name, file in found
        if pattern.fullmatch(inside + name)
    )
    lines = "".join(
        f"{_sha256(file.read_stored())}  {file.name.removeprefix(inside)}\n" for file in files
    )
    return Source(path.name, _sha256(lines.encode()), files)


def _open_tar(path: Path, pattern: re.Pattern[str]) -> Source:
    """Read the wanted members into memory: a packed tar is slow to go through more than once.

    It is read to its very end, behind the last member, where the checksum of it all is.
    """
    unpack = next(_TARS[end] for end in _TARS if path.name.lower().endswith(end))
    try:
        with unpack(path) as stream:
            contents = dict(_tar_members(stream, pattern))
            while stream.read(_PIECE):
                pass
    except (tarfile.TarError, *DAMAGED) as error:
        raise BadData(
            f"{path.name} is no tar archive or is cut short ({error}): download it again."
        ) from error
    files = tuple(
        SourceFile(name, len(content), _returning(content))
        for name, content in sorted(contents.items())
    )
    return Source(path.name, _sha256(path.read_bytes()), files)


def _tar_members(
    stream: io.BufferedIOBase, pattern: re.Pattern[str]
) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            if member.isreg() and pattern.fullmatch(member.name):
                check_size(member.name, member.size)
                content = archive.extractfile(member)
                yield member.name, content.read() if content else b""


def _returning(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def _lines(file: SourceFile, column: Column) -> list[str]:  # noqa: ARG001
    content = _text(file)
    return [text.removesuffix("\r") for text in content.split("\n")] if content else []


def _json_lines(file: SourceFile, column: Column) -> list[str]:
    return list(_json_texts(file, column))


def _json_texts(file: SourceFile, column: Column) -> Iterator[str]:
    for number, line in enumerate(_text(file).split("\n"), start=1):
        where = f"{file.name}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadData(f"{where}: not JSON ({error}); fetch the file again.") from error
        if not isinstance(row, dict):
            raise BadData(f"{where}: a {type(row).__name__}, not an object.")
        yield column.of(row, where)


def _parquet(file: SourceFile, column: Column) -> list[str]:
    import pyarrow  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.ParquetFile(io.BytesIO(file.read())).read().to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise BadData(f"{file.name} is no parquet file ({error}): fetch it again.") from error
    return [column.of(row, f"{file.name}, row {n}") for n, row in enumerate(rows, start=1)]


_READERS: dict[str, Callable[[SourceFile, Column], list[str]]] = {
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}


def _text(file: SourceFile) -> str:
    """Return the content without the line end that closes it. Raises ``BadData``."""
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(f"{file.name} is not UTF-8 ({error}): fetch it again.") from error
    return text.removesuffix("\n").removesuffix("\r")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
