"""JSON from strangers: size, depth, numbers, keys and encoding are checked before it is used.

Nothing here follows a link, waits for a pipe, or reads more than it was told to. What is refused
raises ``BadData`` with one sentence.
"""

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from detox_bench.errors import BadData
from detox_bench.leaderboard.wording import plain, shown

MOST_DEPTH = 32
#: Digits of a whole number; beyond, double precision has no room for it.
_MOST_DIGITS = 15
#: A whole string (or one that never ends, to the end: no second look), or a bracket outside.
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
#: All bytes but brackets and quotes.
_REST = bytes(each for each in range(256) if each not in b'[]{}"')
_MARK = b"\xef\xbb\xbf"


@contextmanager
def open_regular(file: Path, most: int) -> Iterator[BinaryIO]:
    """Open a regular file of at most ``most`` bytes for reading; links are not followed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        number = os.open(file, flags)
    except (OSError, ValueError) as error:
        reason = "it is a link" if file.is_symlink() else getattr(error, "strerror", "") or error
        raise BadData(f"{plain(file.name)} cannot be read: {reason}.") from error
    try:
        _check_regular(os.fstat(number), plain(file.name), most)
    except BadData:
        os.close(number)
        raise
    with os.fdopen(number, "rb") as content:
        yield content


def _check_regular(found: os.stat_result, name: str, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadData(f"{name} is no regular file. Submit files alone.")
    if found.st_size > most:
        raise BadData(f"{name} has {found.st_size:,} bytes, and {most:,} is the most there may be.")


def read_json(file: Path, most: int) -> Any:
    """Return what a JSON file of at most ``most`` bytes holds; raises ``BadData``."""
    with open_regular(file, most) as content:
        return parse_json(content.read(most + 1), plain(file.name))


def parse_json(content: bytes, name: str) -> Any:
    """Return what JSON in UTF-8 holds, refusing what two readers would not read alike.

    Raises ``BadData``, which calls it ``name``, for a byte order mark, other encodings, nesting
    above ``MOST_DEPTH``, NaN and infinite numbers, keys that are there twice, half characters.
    """
    if content.startswith(_MARK):
        raise BadData(f"{name} begins with a byte order mark. Write it as UTF-8 without one.")
    if too_deep(content):
        raise BadData(f"{name} is nested more than {MOST_DEPTH} deep.")
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_whole,
        )
        if b"\\u" in content:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise BadData(f"{name} is not UTF-8: byte {error.start} is wrong.") from error
    except UnicodeEncodeError as error:
        raise BadData(f"{name} holds half a character (a lone surrogate).") from error
    except RecursionError as error:
        raise BadData(f"{name} is nested too deep.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise BadData(f"{name} is not JSON: {error.msg}, {where}.") from error
    except ValueError as error:
        raise BadData(f"{name} {error}") from error
    return value


def too_deep(content: bytes) -> bool:
    """Whether brackets are nested more than ``MOST_DEPTH`` deep, told without parsing."""
    if content.count(b"[") + content.count(b"{") <= MOST_DEPTH:
        return False
    if b"\\" not in content and _surely_flat(content):
        return False
    depth = 0
    for found in _BRACKETS.finditer(content):
        first = found.group()[:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MOST_DEPTH:
            return True
    return False


def _surely_flat(content: bytes) -> bool:
    """Whether JSON without escapes can be seen at a glance not to be too deep.

    Two quotes side by side cancel out. Each round takes away one or two of the inmost levels.
    """
    left = content.translate(None, _REST).replace(b'""', b"")
    for _ in range(MOST_DEPTH // 2):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    return not left


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        times = Counter(name for name, _ in pairs)
        raise ValueError(f"has the key {shown(times.most_common(1)[0][0])} twice.")
    return made


def _no_number(text: str) -> float:
    raise ValueError(f"holds {text}, which is no number of JSON. Write null where there is none.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"holds {shown(text)}, which is too large a number.")
    return value


def _whole(text: str) -> int:
    if len(text.removeprefix("-")) > _MOST_DIGITS:
        raise ValueError(f"holds {shown(text)}, which has more digits than a number may have.")
    return int(text)
