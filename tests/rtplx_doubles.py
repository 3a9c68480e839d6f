"""Small RTP-LX look-alikes with harmless texts, and the legacy zip encryption to wrap them in."""

import json
import os
import struct
import zlib
from pathlib import Path

import pytest

from detox_bench.data.rtplx import HARMS

SHARED = Path(os.environ.get("DETOX_BENCH_SHARED", Path(__file__).parents[2] / "shared"))
ZIP = SHARED / "data/rtp_lx/RTP-LX.zip"
EVEN = SHARED / "data/rtp_lx_records_even"
PASSWORD = "open sesame"

needs_zip = pytest.mark.skipif(
    not ZIP.exists(), reason="needs rtp_lx/RTP-LX.zip in the data of DETOX_BENCH_SHARED"
)
needs_both = pytest.mark.skipif(
    not (ZIP.exists() and EVEN.exists()),
    reason="needs RTP-LX.zip and rtp_lx_records_even in the data of DETOX_BENCH_SHARED",
)


def real_password() -> str:
    return (ZIP.parent / "password.txt").read_text().strip()


def v03(index: object, text: str, toxicity: tuple[int, ...] = (1, 1, 1)) -> dict:
    """A row of v0.3, whose ratings are the means of the raters."""
    raw = {harm: [1, 1, 1] for harm in HARMS} | {"Toxicity": list(toxicity)}
    means = {harm: sum(values) / len(values) for harm, values in raw.items()}
    return {
        "Prompt": text,
        "Completion": "",
        "Index": index,
        "Locale": "",
        "Dialect": "",
        "Annotations": means,
        "AnnotationsRaw": raw,
    }


def v1(index: object, text: str, toxicity: tuple[int, ...] = (1, 1, 1)) -> dict:
    """A row of v1.x, whose ratings are the majorities of the raters."""
    raw = {harm: [1, 1, 1] for harm in HARMS} | {"Toxicity": list(toxicity)}
    return {
        "Prompt": text,
        "Completion": f"{text}, you fool",
        "BenignCompletion": f"{text}, my friend",
        "Index": index,
        "Locale": "",
        "Dialect": "",
        "PromptAnnotations": {harm: values[0] for harm, values in raw.items()},
        "PromptAnnotationsRaw": raw,
        "CompletionAnnotations": dict.fromkeys(HARMS, 3),
        "CompletionAnnotationsRaw": {harm: [3, 3, 2] for harm in HARMS},
    }


def json_lines(rows: list[dict], end: str = "\n") -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in rows).encode()


def folder_of(path: Path, **files: list[dict]) -> Path:
    """Write ``RTP_LX_<key>.json`` for each list of rows (``ZH_Hans`` for ZH-Hans)."""
    path.mkdir(parents=True, exist_ok=True)
    for locale, rows in files.items():
        (path / f"RTP_LX_{locale.replace('_', '-')}.json").write_bytes(json_lines(rows))
    return path


def write_zip(path: Path, members: dict[str, bytes], password: str | None = None) -> Path:
    """Write a deflated zip, each member encrypted with ZipCrypto where there is a password.

    APPNOTE.TXT of PKWARE, sections 4.3 (records) and 6.1 (encryption). The standard library can
    read such a zip but not write one.
    """
    body, directory = b"", b""
    for name, content in members.items():
        deflate = zlib.compressobj(wbits=-15)
        stored, crc = deflate.compress(content) + deflate.flush(), zlib.crc32(content)
        if password:
            stored = _zip_crypto(bytes(11) + bytes([crc >> 24]) + stored, password.encode())
        sizes = (crc, len(stored), len(content), len(name), 0)
        head = struct.pack("<5H3I2H", 20, int(bool(password)), 8, 0, 33, *sizes)
        directory += struct.pack("<IH", 0x02014B50, 20) + head
        directory += struct.pack("<3H2I", 0, 0, 0, 0, len(body)) + name.encode()
        body += struct.pack("<I", 0x04034B50) + head + name.encode() + stored
    counts = (0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + struct.pack("<I4H2IH", 0x06054B50, *counts))
    return path


def _zip_crypto(plain: bytes, password: bytes) -> bytes:
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = _crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = _crc(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    cipher = bytearray()
    for byte in plain:
        two = (keys[2] | 2) & 0xFFFF
        cipher.append(byte ^ (two * (two ^ 1) >> 8 & 0xFF))
        update(byte)
    return bytes(cipher)


def _crc(crc: int, byte: int) -> int:
    """One step of CRC-32 without its inversions at either end."""
    return zlib.crc32(bytes([byte]), crc ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
