"""A program that answers lines with lines: started without a shell, kept alive, ended with us."""

import logging
import os
import queue
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BufferedReader, RawIOBase
from typing import Any, cast

from detox_bench.errors import ScorerUnavailable

logger = logging.getLogger(__name__)

#: A longer line of an answer is cut there, and so is no JSON.
LONGEST_LINE = 1 << 20
#: Lines that wait to be read; then the program has to wait.
_MOST_LINES = 10_000
#: Seconds a program gets to end by itself once its input is closed.
_GRACE = 2.0


class ProgramDied(Exception):
    """The program ended, or was ended because it gave no answer in time."""


class Program:
    """A running program. Its stderr goes to the log; its last line there is part of an error.

    Raises ``ScorerUnavailable`` if it cannot be started.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # without it a Python program holds its answers back
                bufsize=0,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ScorerUnavailable(
                f"The program {arguments[0]} cannot be started: "
                f"{getattr(error, 'strerror', None) or error}. Does it begin with a line like "
                "#!/usr/bin/env python3, and may it be executed?"
            ) from error
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MOST_LINES)
        self._last_words: deque[str] = deque(maxlen=1)
        self._errors = _thread(_log, self._process.stderr, arguments[0], self._last_words)
        _thread(_collect, self._process.stdout, self._lines)
        self._stop = weakref.finalize(self, _end, self._process)

    def send(self, lines: Sequence[bytes]) -> None:
        """Write ``lines`` to the program, in a thread: it may answer before it has read all."""
        _thread(_write, self._process.stdin, lines)

    def line(self, deadline: float) -> bytes:
        """Return the next line the program writes, waiting until ``deadline`` (``monotonic``).

        Raises ``ProgramDied`` when it has ended, or was ended because nothing came in time.
        """
        try:
            left = deadline - time.monotonic()
            if left <= 0:  # lines that are no answers may come without end
                raise queue.Empty
            line = self._lines.get(timeout=left)
        except queue.Empty:
            _kill(self._process)
            self.close()
            raise ProgramDied(
                "the program gave no answer in time (does it flush its output after every line?)"
            ) from None
        if line is None:
            raise ProgramDied(self._how_it_ended())
        return line

    def close(self) -> None:
        """End the program, and all that it started."""
        self._stop()

    def _how_it_ended(self) -> str:
        """Return how the program ended, with what it said last."""
        self._errors.join(_GRACE)
        self.close()
        code = self._process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        said = f": {self._last_words[0][:150]}" if self._last_words else ""
        return f"the program ended ({how}){said}"


def _thread(target: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Return a thread that was started and does not keep us from ending."""
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def _write(stdin: RawIOBase, lines: Sequence[bytes]) -> None:
    """Write ``lines``; that a program no longer reads shows by its silence."""
    with suppress(OSError, ValueError):
        for line in lines:
            left = memoryview(line)
            while left:
                left = left[stdin.write(left) or 0 :]


def _collect(stdout: RawIOBase, lines: "queue.Queue[bytes | None]") -> None:
    """Put every line into ``lines``, None at the end."""
    with suppress(OSError, ValueError), BufferedReader(stdout) as reader:
        while line := reader.readline(LONGEST_LINE):
            lines.put(line)
    lines.put(None)


def _log(stderr: RawIOBase, name: str, last: "deque[str]") -> None:
    """Pass what the program says on to the log."""
    with suppress(OSError, ValueError), BufferedReader(stderr) as reader:
        while line := reader.readline(LONGEST_LINE):
            if words := line.decode("utf-8", "replace").strip():
                last.append(words)
                logger.info("%s: %s", name, words)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Close the input of ``process``; if that does not end it, kill it and what it started.

    The pipe is unbuffered: closing a buffered one would wait for a write that hangs.
    """
    with suppress(OSError):
        cast(RawIOBase, process.stdin).close()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill ``process`` and what it started, unless it has ended."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
