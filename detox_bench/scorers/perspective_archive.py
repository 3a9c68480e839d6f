"""The archive of raw answers of a Perspective service: a JSON line an answer, with its date.

Answers are written as they come and lines are only ever added, so a killed run asks for no text
twice, and scores can be read again when the service is gone. No text and no key is in it: an
answer is found by a hash of what was asked (endpoint, version, attributes, language, text).
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from detox_bench.errors import BadRunFolder
from detox_bench.runs import check_writable, mend_last_line

_KEY = re.compile(rb'\{"key": "([0-9a-f]{64})"')


class Answer(NamedTuple):
    """An answer that is worth keeping: the status of HTTP, and the JSON object of the body."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What an answer depends on. ``language`` is the service's own code."""

    endpoint: str
    version: str
    attributes: tuple[str, ...]
    language: str
    text: str

    @property
    def key(self) -> str:
        """The SHA-256 of all fields, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class AnswerArchive:
    """The file of one service; held by one process at a time, used by its threads.

    In memory is the place of each answer, about 150 bytes an answer; the answers stay on disk.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._places: dict[bytes, int] = {}
        self._read_to = 0
        self._threads = threading.Lock()
        # one lock a process, whatever the number of scorers over this file
        self._processes = FileLock(file.with_name(f".{file.name}.lock"), is_singleton=True)

    def __len__(self) -> int:
        return len(self._places)

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the file, and yield how many answers another process added since it was read.

        Waits while another process holds it. Raises ``BadRunFolder`` if it cannot be written.
        """
        check_writable(self.file.parent)
        with self._processes:
            mend_last_line(self.file)
            yield self.refresh()

    def refresh(self) -> int:
        """Find the answers added since the last look; return how many there are."""
        size = self.file.stat().st_size if self.file.exists() else 0
        if size < self._read_to:  # another file by now
            self._places, self._read_to = {}, 0
        before = len(self._places)
        if size > self._read_to:
            with self.file.open("rb") as lines:
                lines.seek(self._read_to)
                for line in takewhile(_whole, lines):
                    self._note(line)
        return len(self._places) - before

    def get(self, question: Question) -> Answer | None:
        """Return the answer to ``question``, None if it was never given."""
        place = self._places.get(bytes.fromhex(question.key))
        if place is None:
            return None
        with self.file.open("rb") as lines:
            lines.seek(place)
            try:
                found = json.loads(lines.readline())
                return Answer(int(found["status"]), dict(found["answer"]))
            except (ValueError, KeyError, TypeError):
                return None  # a damaged line: asking again is the mending

    def put(self, question: Question, answer: Answer) -> None:
        """Add an answer with the present date. Raises ``BadRunFolder`` if it cannot be written."""
        line = _line(question, answer)
        with self._threads:
            try:
                self._append(line)
            except OSError as error:
                with suppress(OSError):
                    mend_last_line(self.file)
                raise BadRunFolder(
                    f"Cannot write to {self.file}: {error.strerror or error}. The answers before "
                    "are kept; free the disk, or name another folder in archive=."
                ) from error
            self._note(line)

    def _append(self, line: bytes) -> None:
        """Write ``line`` at the end; a part of it is an error, and mended at the next opening."""
        with self.file.open("ab", buffering=0) as file:
            if file.write(line) < len(line):
                raise OSError("only a part of a line could be written")

    def _note(self, line: bytes) -> None:
        """Remember the place of the ``line`` that was read or written last."""
        if found := _KEY.match(line):
            self._places[bytes.fromhex(found.group(1).decode())] = self._read_to
        self._read_to += len(line)


def _whole(line: bytes) -> bool:
    """Return whether ``line`` has its line end."""
    return line.endswith(b"\n")


def archive_file(folder: Path, host: str) -> Path:
    """Return the file of the answers of ``host`` in ``folder``."""
    return folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', host)}.jsonl"


def _line(question: Question, answer: Answer) -> bytes:
    """Return the line of an answer, with its line end."""
    text = question.text.encode("utf-8", "surrogatepass")
    facts = {
        "key": question.key,
        "text_sha256": hashlib.sha256(text).hexdigest(),
        "language": question.language,
        "endpoint": question.endpoint,
        "version": question.version,
        "attributes": question.attributes,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": answer.status,
        "answer": answer.body,
    }
    return json.dumps(facts).encode() + b"\n"
