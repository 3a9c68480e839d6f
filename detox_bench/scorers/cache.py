"""The score cache: one SQLite file (WAL), shared by processes, holding numbers and JSON only.

A score is kept under SHA-256 of (scorer id, language if it matters, text); no text is stored.
"""

import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import platformdirs

from detox_bench.errors import DetoxBenchError
from detox_bench.types import ToxicityScore

logger = logging.getLogger(__name__)

#: The environment variable that names another file, or a folder to hold ``scores.sqlite``.
CACHE_VARIABLE = "DETOX_BENCH_CACHE"
_NAME = "scores.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS scores_1
    (key BLOB PRIMARY KEY, value REAL NOT NULL, attributes TEXT NOT NULL) WITHOUT ROWID
"""
_BUSY_SECONDS = 30.0
_KEYS_A_QUERY = 500
_ATTEMPTS = 8

T = TypeVar("T")


def cache_path() -> Path:
    """Return where the cache lies: ``DETOX_BENCH_CACHE``, or the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if not named:
        return Path(platformdirs.user_cache_dir("detox-bench")) / _NAME
    path = Path(named).expanduser()
    return path / _NAME if path.is_dir() else path


class ScoreCache:
    """Scores that were computed before; a context manager that closes its file.

    A file that is no database, or a damaged one, is moved aside with a warning and a new one is
    begun. A write that fails (a full disk) warns once and scoring goes on without it.

    Where no file can be made, a cache in memory stands in with a warning, unless the user named
    the file: then ``DetoxBenchError``.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = cache_path() if path is None else Path(path)
        self._named = path is not None or CACHE_VARIABLE in os.environ
        self._writable = True
        self._connection = self._begin()

    def __enter__(self) -> "ScoreCache":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM scores_1").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(
        self, scorer_id: str, language: str | None, texts: Sequence[str]
    ) -> dict[str, ToxicityScore]:
        """Return the scores that are known, by text."""
        by_key = {_key(scorer_id, language, text): text for text in texts}
        try:
            rows = self._mended(lambda: list(self._rows(list(by_key)))) or []
        except sqlite3.OperationalError as error:
            logger.warning("The score cache %s cannot be read: %s.", self.path, error)
            return {}
        return {
            by_key[key]: ToxicityScore(value, json.loads(attributes))
            for key, value, attributes in rows
        }

    def put(
        self, scorer_id: str, language: str | None, scores: Mapping[str, ToxicityScore]
    ) -> None:
        """Keep the scores that have a value, given by text, in one commit."""
        rows = [
            # a number of numpy would be stored as bytes
            (_key(scorer_id, language, text), float(score.value), _json(score.attributes))
            for text, score in scores.items()
            if score.value is not None
        ]
        if not rows or not self._writable:
            return
        try:
            self._mended(lambda: self._write(rows))
        except sqlite3.OperationalError as error:
            self._writable = False
            logger.warning("Scores are no longer cached in %s: %s.", self.path, error)

    def _rows(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, float, str]]:
        """Yield the rows stored under ``keys``."""
        for start in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[start : start + _KEYS_A_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, value, attributes FROM scores_1 WHERE key IN ({marks})"
            yield from self._connection.execute(query, some)

    def _write(self, rows: Sequence[tuple[bytes, float | None, str]]) -> None:
        """Write ``rows`` in one transaction."""
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO scores_1 VALUES (?, ?, ?)", rows)

    def _mended(self, action: Callable[[], T]) -> T | None:
        """Return what ``action`` does; where the file is damaged begin a new one, return None."""
        try:
            return action()
        except sqlite3.DatabaseError as error:
            if not _damage(error):
                raise
            self._connection.close()
            if _inode(self.path) == self._inode:  # else another process has mended it
                self._move_aside(error)
            self._connection = self._begin()
            return None

    def _begin(self) -> sqlite3.Connection:
        """Return an open connection: to the file, or to memory where there can be no file."""
        try:
            connection = self._open()
            self._inode = _inode(self.path)
        except (OSError, sqlite3.Error) as error:
            if self._named:
                raise DetoxBenchError(
                    f"The score cache {self.path} cannot be opened: {error}. "
                    f"Name a file you can write in {CACHE_VARIABLE}."
                ) from error
            logger.warning("No score cache can be kept in %s: %s.", self.path, error)
            connection = _connect(":memory:")
            self._inode = None
        return connection

    def _open(self) -> sqlite3.Connection:
        """Return a connection to the file, moving a damaged one aside first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if not _damage(error):
                raise
            self._move_aside(error)
            return _connect(self.path)

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        """Rename the database and its two companions, with a warning."""
        aside = next(path for path in _free_names(self.path) if not path.exists())
        logger.warning(
            "The score cache %s is damaged (%s): it is now %s, and a new one is begun.",
            self.path,
            error,
            aside.name,
        )
        for suffix in ("", "-wal", "-shm"):
            companion = self.path.with_name(self.path.name + suffix)
            if companion.exists():
                companion.replace(aside.with_name(aside.name + suffix))


def _connect(path: Path | str) -> sqlite3.Connection:
    """Return a connection with the table made and the file checked to be a database."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Turn on WAL and make the table, waiting for a process that does the same just now.

    SQLite answers "locked" at once, without its timeout, when two processes turn WAL on.
    """
    for attempt in range(_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_SCHEMA)
            connection.execute("SELECT key, value, attributes FROM scores_1 LIMIT 1").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.05 * 2**attempt)


def _damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether ``error`` says that the file is no database or a damaged one.

    Nothing else may move a good file aside: not a full disk, a lock, or a mistake of ours.
    """
    return type(error) is sqlite3.DatabaseError  # as SQLITE_CORRUPT and SQLITE_NOTADB are raised


def _inode(path: Path) -> int | None:
    """Return the number of the file at ``path``, None if there is none."""
    return path.stat().st_ino if path.exists() else None


def _free_names(path: Path) -> Iterator[Path]:
    """Yield names for a damaged ``path``, in order of preference."""
    number = 1
    while True:
        yield path.with_name(f"{path.name}.damaged-{number}")
        number += 1


def _key(scorer_id: str, language: str | None, text: str) -> bytes:
    """Return the 32 bytes a score is kept under; lone surrogates are no error."""
    fields = (scorer_id, language or "", text)
    joined = "\0".join(fields).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).digest()


def _json(attributes: Mapping[str, float]) -> str:
    """Return ``attributes`` as compact JSON."""
    return json.dumps({name: float(value) for name, value in attributes.items()})
