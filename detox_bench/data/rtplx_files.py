"""The files of a published RTP-LX, by language. The language is in the file name, not the file.

``Locale`` inside is empty in UK, wrong in BCMS, mixed in SW and PT, one for both Chinese files.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from detox_bench.data.archives import Source, SourceFile, open_source
from detox_bench.errors import BadData, unknown_name
from detox_bench.languages import LANGUAGES
from detox_bench.types import Language

FILE_NAME = re.compile(r"RTP_LX_(?P<locale>.+?)\.jsonl?(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RtplxSource:
    """The files of a published RTP-LX by language, and the names of those left out."""

    source: Source
    files: tuple[tuple[Language, SourceFile], ...]
    left_out: tuple[str, ...]


def open_rtplx(path: Path, password: str | None = None) -> RtplxSource:
    """Return the RTP-LX files in a zip, in a folder, or the one file ``path``.

    Files of locales that are not in ``LANGUAGES`` (v1.5 added eleven) are left out and named.
    Raises ``BadData`` where nothing is left, and ``UnknownName`` for a single unknown locale.
    """
    source = open_source(path, FILE_NAME, password)
    by_locale = {row.rtplx.casefold(): row for row in LANGUAGES.values()}
    names = {file.name: _locale(file.name) for file in source.files}
    known = tuple(
        (by_locale[names[file.name].casefold()], file)
        for file in source.files
        if names[file.name].casefold() in by_locale
    )
    if not known:
        raise _nothing_found(source)
    _check_unique(known)
    left_out = tuple(n for n, locale in names.items() if locale.casefold() not in by_locale)
    return RtplxSource(source, known, left_out)


def _locale(name: str) -> str:
    """Return the locale in a file name, or the whole name where it has not that form."""
    match = FILE_NAME.fullmatch(name)
    return match["locale"].replace("_", "-") if match else name


def _nothing_found(source: Source) -> BadData:
    if not source.files:
        return BadData(
            f"{source.name} holds no file named RTP_LX_<LOCALE>.json, .jsonl or .jsonl.gz."
        )
    name = source.files[0].name
    if FILE_NAME.fullmatch(name):
        hint = unknown_name("RTP-LX locale", _locale(name), (r.rtplx for r in LANGUAGES.values()))
        return BadData(f"{name}: {hint}")
    return BadData(
        f"{name} does not say its language: name it RTP_LX_<LOCALE>.json, .jsonl or .jsonl.gz "
        "(RTP_LX_DE.json), or give the zip."
    )


def _check_unique(files: tuple[tuple[Language, SourceFile], ...]) -> None:
    seen: dict[str, str] = {}
    for language, file in files:
        if language.code in seen:
            raise BadData(
                f"{seen[language.code]} and {file.name} are both {language.name}: keep one."
            )
        seen[language.code] = file.name
