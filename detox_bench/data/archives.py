"""The files in what a data set is published as: a zip, encrypted or not, a folder, one file."""

import gzip
import hashlib
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path, PurePosixPath

from detox_bench.errors import BadData

#: No file of a data set is larger, packed in an archive or as .gz; a damaged or hostile one may be.
MOST_BYTES = 256 * 2**20

_AES = 99  # the compression method that announces AES, APPNOTE.TXT of PKWARE, appendix E

#: What the standard library raises where packed content is damaged.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source: its ``name`` (``open_source``), its stored ``size`` in bytes."""

    name: str
    size: int
    read_stored: Callable[[], bytes]

    def read(self) -> bytes:
        """Return the bytes, unpacked where the name ends in ``.gz``. Raises ``BadData``."""
        stored = self.read_stored()
        if not self.name.lower().endswith(".gz"):
            return stored
        try:
            with gzip.open(io.BytesIO(stored)) as packed:
                content = packed.read(MOST_BYTES + 1)
        except DAMAGED as error:
            raise BadData(
                f"{self.name} is damaged or cut short ({error}): fetch it again."
            ) from error
        check_size(self.name, len(content))
        return content


@dataclass(frozen=True, slots=True)
class Source:
    """What a user pointed at: its base name, the sha256 of its content, and the files in it."""

    name: str
    sha256: str
    files: tuple[SourceFile, ...]


def check_size(name: str, size: int) -> None:
    """Raise ``BadData`` for a file whose unpacked ``size`` is above ``MOST_BYTES``."""
    if size > MOST_BYTES:
        raise BadData(
            f"{name} unpacks to more than {MOST_BYTES // 2**20} MB, which no file of these data "
            "sets has: fetch it again, or unpack it and give the folder."
        )


def open_source(
    path: Path, pattern: re.Pattern[str], password: str | None = None, by_path: bool = False
) -> Source:
    """Return the files in ``path`` whose name matches ``pattern``, sorted by name.

    The name is without folders, in a zip with them where ``by_path``. One file is returned whatever
    its name. The sha256 is that of the file; of a folder, that of the lines ``<sha256>  <name>`` of
    the files found. Raises ``BadData`` where ``path`` is nothing that can be read.
    """
    if not path.exists():
        raise BadData(f"There is no file or folder {str(path)!r}: check the path.")
    path = path.resolve()
    if path.is_dir():
        return _open_folder(path, pattern)
    if path.suffix.lower() == ".zip":
        files = _members(path, pattern, password, by_path)
        return Source(path.name, _sha256(path.read_bytes()), files)
    only = SourceFile(path.name, path.stat().st_size, path.read_bytes)
    return Source(path.name, _sha256(path.read_bytes()), (only,))


def needs_password(path: Path) -> bool:
    """Return whether ``path`` is a zip with an encrypted member. Raises ``BadData``."""
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    with _open_zip(path) as archive:
        return any(member.flag_bits & 1 for member in archive.infolist())


def _open_folder(path: Path, pattern: re.Pattern[str]) -> Source:
    found = sorted((p for glob in ("*", "*/*") for p in path.glob(glob)), key=lambda p: p.name)
    files = tuple(
        SourceFile(file.name, file.stat().st_size, file.read_bytes)
        for file in found
        if file.is_file()
        and not _ignored(file.relative_to(path).as_posix())
        and pattern.fullmatch(file.name)
    )
    if not files and (zips := sorted(path.glob("*.zip"))):
        raise BadData(f"{path.name} holds no data files, but {zips[0].name}: give that file.")
    lines = "".join(f"{_sha256(file.read_stored())}  {file.name}\n" for file in files)
    return Source(path.name, _sha256(lines.encode()), files)


def _members(
    path: Path, pattern: re.Pattern[str], password: str | None, by_path: bool
) -> tuple[SourceFile, ...]:
    with _open_zip(path) as archive:
        members = [each for each in archive.infolist() if not _ignored(each.filename)]
    named = [(m.filename if by_path else PurePosixPath(m.filename).name, m) for m in members]
    return tuple(
        SourceFile(name, member.compress_size, partial(_read_member, path, member, password))
        for name, member in sorted(named, key=itemgetter(0))
        if pattern.fullmatch(name)
    )


def _ignored(inside: str) -> bool:
    """Return whether a path inside a source is a folder, or a shadow that macOS adds of a file."""
    parts = PurePosixPath(inside).parts
    return not parts or inside.endswith("/") or "__MACOSX" in parts or parts[-1].startswith("._")


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        size = path.stat().st_size
        raise BadData(
            f"{path.name} ({size:,} bytes) is no zip file or is cut short ({error}): "
            "download it again."
        ) from error


def _read_member(path: Path, member: zipfile.ZipInfo, password: str | None) -> bytes:
    """Return the bytes of one member, every way it can fail turned into one sentence."""
    check_size(member.filename, member.file_size)
    encrypted = bool(member.flag_bits & 1)
    if member.compress_type == _AES:
        raise BadData(
            f"{member.filename} in {path.name} is encrypted with AES, which Python cannot open: "
            "unpack the file with 7z (or pyzipper) and give the folder."
        )
    if encrypted and not password:
        raise BadData(
            f"{path.name} is encrypted: give the password its README documents with --password, "
            "or set RTP_LX_PASSWORD."
        )
    try:
        with _open_zip(path) as archive:
            return archive.read(member, password.encode() if password and encrypted else None)
    except (RuntimeError, zipfile.BadZipFile, *DAMAGED) as error:
        raise BadData(_why(path, member, error, encrypted)) from error


def _why(path: Path, member: zipfile.ZipInfo, error: Exception, encrypted: bool) -> str:
    """Say what a failed read means: one wrong password in 256 passes the zip's own check."""
    if isinstance(error, RuntimeError) and "password" in str(error):
        return f"The password does not open {path.name}: see the README of the release."
    doubt = "the password is wrong or the file is damaged" if encrypted else "the file is damaged"
    return f"{member.filename} in {path.name} cannot be read, {doubt} ({error})."


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def lines_of(content: bytes) -> Iterator[tuple[int, bytes]]:
    r"""Yield the number (from 1) and bytes of each line that is not blank, split at ``\n`` only.

    Texts may hold U+2028 and other characters at which ``str.splitlines`` would break.
    """
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield number, line
