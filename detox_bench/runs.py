"""The run folder: what a model was, what it wrote, and what each scorer said of it.

::

    run.json                   the run's identity: model, weights, precision, seed
    generations-<rank>.jsonl   a line a continuation, written as they come, one file a process
    scores-<scorer>.jsonl      a line a prompt with its samples' scores (``detox-bench score``)

To generations lines are only ever added. A process that dies, by ``kill -9`` too, leaves at most a
half-written last line, which is cut off when the folder is opened again. Prompt texts are not kept,
only a hash that tells whether a prompt is still the same.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from detox_bench.errors import BadRunFolder

logger = logging.getLogger(__name__)

_SCHEMA = 1
_RECORD = "run.json"


class SampleKey(NamedTuple):
    """What makes a continuation: the settings (a digest), the prompt, and the sample's number."""

    settings: str
    prompt_id: str
    prompt_hash: str
    sample: int


@dataclass(frozen=True, slots=True)
class StoredGeneration:
    """One line of a generations file."""

    settings: str
    prompt_id: str
    prompt_hash: str
    language: str | None
    sample: int
    text: str

    @property
    def key(self) -> SampleKey:
        """Return what the continuation is found by."""
        return SampleKey(self.settings, self.prompt_id, self.prompt_hash, self.sample)


def digest(value: object) -> str:
    """Return 16 hex digits that stand for any JSON value, or for a text."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class RunFolder:
    """A run folder opened for writing by one process (``rank``); use it in a ``with``."""

    def __init__(self, path: Path, identity: Mapping[str, Any], rank: int = 0) -> None:
        """Open ``path`` for the run that ``identity`` describes; ``with`` is what writes.

        Raises ``BadRunFolder`` on entering if the folder cannot be written, is in use by another
        process, or holds another run.
        """
        self.path = path
        self._identity = dict(identity)
        self._rank = rank
        self._lock = FileLock(path / f".lock-{rank}")
        self._file: RawIOBase | None = None

    def __enter__(self) -> "RunFolder":
        """Lock the folder, check whose run it holds, and mend a half-written last line."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise BadRunFolder(
                f"Another process is writing to {self.path}. Wait for it, or name another folder."
            ) from error
        except OSError as error:
            raise BadRunFolder(_cannot("write to", self.path, error)) from error
        try:
            self._claim()
            own = self.path / f"generations-{self._rank}.jsonl"
            mend_last_line(own)
            self._file = own.open("ab", buffering=0)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file and release the lock."""
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def add(self, generations: Iterable[StoredGeneration]) -> None:
        """Write continuations, all of them or, when the disk is full, whole lines of them."""
        assert self._file is not None, "the folder is not open"
        lines = [json.dumps(asdict(each), ensure_ascii=True) + "\n" for each in generations]
        try:
            left = memoryview("".join(lines).encode())
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise BadRunFolder(_cannot("write to", self.path, error)) from error

    def texts(self, settings: str) -> dict[SampleKey, str]:
        """Return the continuations that all processes have written under ``settings``."""
        stored = read_generations(self.path)
        return {each.key: each.text for each in stored if each.settings == settings}

    def _claim(self) -> None:
        """Write the record of a new run, or compare that of the run that is there."""
        record = self.path / _RECORD
        try:
            found = dict(json.loads(record.read_text("utf-8"))["identity"])
        except FileNotFoundError:
            write_json(record, self._record())
            return
        except (ValueError, KeyError, TypeError) as error:
            raise BadRunFolder(
                f"{record} is not the record of a run. Name another folder, or delete it."
            ) from error
        except OSError as error:
            raise BadRunFolder(_cannot("read", record, error)) from error
        differences = [
            f"{key} is {found.get(key)!r}, now {self._identity.get(key)!r}"
            for key in sorted({*found, *self._identity})
            if found.get(key) != self._identity.get(key)
        ]
        if differences:
            raise BadRunFolder(
                f"{self.path} holds another run: {'; '.join(differences)}. Name another folder."
            )

    def _record(self) -> dict[str, Any]:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return {"schema": _SCHEMA, "created": created, "identity": self._identity}


def read_generations(path: Path) -> Iterator[StoredGeneration]:
    """Yield the continuations of a run folder; raises as ``locate_generations``."""
    return (generation for _, _, generation in locate_generations(path))


def locate_generations(path: Path) -> Iterator[tuple[Path, int, StoredGeneration]]:
    """Yield the continuations of a run folder, each with its file and where its line begins.

    A half-written last line is left out. Raises ``BadRunFolder`` for a line that is none.
    """
    for file in sorted(path.glob("generations-*.jsonl")):
        start = 0
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield file, start, StoredGeneration(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise BadRunFolder(
                        f"{file} line {number} is not a continuation: {error}. "
                        f"Delete the line, and the run will make it again."
                    ) from error
                start += len(line)


def mend_last_line(file: Path) -> None:
    """Cut off what a killed process left behind the last line end; say so in the log."""
    if not file.exists():
        return
    size = file.stat().st_size
    kept = _end_of_last_line(file, size)
    if kept < size:
        logger.warning("%s ended in a half-written line, which was removed.", file)
        os.truncate(file, kept)


def check_writable(folder: Path) -> None:
    """Raise ``BadRunFolder`` if nothing can be written below ``folder``, before long work."""
    probe = folder / f".detox-bench-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        raise BadRunFolder(
            f"Cannot write to {folder}: {error.strerror or error}. Name another place to write to."
        ) from error


def check_files(*files: Path | None) -> None:
    """Raise ``BadRunFolder`` if one of the ``files`` cannot be written; None is no file."""
    for file in filter(None, files):
        if file.is_dir():
            raise BadRunFolder(f"{file} is a folder. Name a file to write to.")
        check_writable(file.parent)


def write_json(file: Path, value: object) -> None:
    """Write ``value`` so that the file is either the old one or the whole new one.

    Folders that are not there are made.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
        temporary.replace(file)
    except OSError as error:
        raise BadRunFolder(_cannot("write", file, error)) from error


def _end_of_last_line(file: Path, size: int, block: int = 65536) -> int:
    """Return the place behind the last line end, looking from the end; 0 if there is none."""
    with file.open("rb") as content:
        end = size
        while end > 0:
            start = max(0, end - block)
            content.seek(start)
            found = content.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def _cannot(what: str, path: Path, error: OSError) -> str:
    return (
        f"Cannot {what} {path}: {error.strerror or error}. "
        "What was written before is kept; free the disk or name another folder."
    )
