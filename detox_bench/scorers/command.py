"""The scorer ``command:<executable>``: a program of one's own, JSON lines in and out.

A line ``{"id": 7, "text": "…", "language": "de"}`` a text goes to its stdin; a line
``{"id": 7, "score": 0.3, "attributes": {"insult": 0.1}}`` or ``{"id": 7, "score": null, "reason":
"…"}`` is read from its stdout, in any order. It is started once, and not by a shell.
"""

import hashlib
import itertools
import json
import logging
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detox_bench.errors import ScorerUnavailable
from detox_bench.scorers.command_process import Program, ProgramDied
from detox_bench.scorers.options import checked_version, read_options
from detox_bench.types import ToxicityScore

logger = logging.getLogger(__name__)

#: A program that died so often in succession without an answer is broken.
MOST_DEATHS = 8
#: Attributes beyond this are no numbers one can store and read again.
_LARGEST = 1e300


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOptions:
    """Options of a program that scores.

    ``timeout``: the most seconds without an answer, loading a model included. ``batch_size``:
    texts it gets at a time. ``version``: whatever tells apart a program whose answers have changed
    though its files have not (a folder of weights); it is part of the scorer's id.
    """

    languages: frozenset[str] = frozenset()
    threshold: float = 0.5
    timeout: float = 120.0
    batch_size: int = 64
    version: str = "local"


class CommandScorer:
    """Scores by asking a program. ``arguments`` begin with the path of the executable."""

    libraries = ()

    def __init__(self, spec: str, arguments: Sequence[str], options: CommandOptions) -> None:
        self.spec = spec
        self.arguments = tuple(arguments)
        self.options = options
        name = Path(arguments[0]).name
        self.name = f"command:{''.join('_' if c in '@#' or c.isspace() else c for c in name)}"
        self.id = f"{self.name}@{options.version}#{_digest(arguments)[:12]}"
        self.languages = options.languages
        self.threshold = options.threshold
        self.texts_per_call = options.batch_size
        self._numbers = itertools.count(1)
        self._program: Program | None = None
        self._deaths = 0
        self._stray = 0

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is asked: the file names of the executable and of its arguments."""
        return {"arguments": [Path(self.arguments[0]).name, *self.arguments[1:]]}

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:
        """Return one score a text. If the program dies, what is left is asked one by one.

        A text that it dies of again is unscored. Raises ``ScorerUnavailable`` if it cannot be
        started, or dies time and again.
        """
        scores: dict[int, ToxicityScore] = {}
        try:
            self._ask(dict(enumerate(texts)), language, scores)
        except ProgramDied as error:
            self._count_death(error)
            for place, text in enumerate(texts):
                if place not in scores:
                    scores[place] = self._ask_alone(text, language)
        return [scores[place] for place in range(len(texts))]

    def _ask_alone(self, text: str, language: str) -> ToxicityScore:
        scores: dict[int, ToxicityScore] = {}
        try:
            self._ask({0: text}, language, scores)
        except ProgramDied as error:
            self._count_death(error)
            return ToxicityScore(None, reason=str(error))
        return scores[0]

    def _ask(
        self, texts: Mapping[int, str], language: str, scores: dict[int, ToxicityScore]
    ) -> None:
        """Put the score of each text into ``scores`` as it comes. Raises ``ProgramDied``."""
        if not texts:
            return
        program = self._program = self._program or Program(self.arguments)
        waiting = {next(self._numbers): place for place in texts}
        program.send([_line(n, texts[place], language) for n, place in waiting.items()])
        deadline = time.monotonic() + self.options.timeout
        while waiting:
            line = program.line(deadline)
            answer = read_answer(line)
            if answer is None or answer[0] not in waiting:
                self._note_stray(line)
                continue
            scores[waiting.pop(answer[0])] = answer[1]
            self._deaths = 0
            deadline = time.monotonic() + self.options.timeout

    def _count_death(self, error: ProgramDied) -> None:
        """Forget the program, so that it is started again; raise if it always dies."""
        if self._program is not None:
            self._program.close()
        self._program = None
        self._deaths += 1
        logger.debug("%s: %s", self.name, error)
        if self._deaths >= MOST_DEATHS:
            raise ScorerUnavailable(
                f"{self.name} failed {self._deaths} times in succession without an answer; the "
                f"last time, {error}. Mend the program, and run the command again."
            ) from error

    def _note_stray(self, line: bytes) -> None:
        """Say once that the program writes lines that answer nothing."""
        self._stray += 1
        if self._stray == 1:
            logger.warning(
                "%s wrote a line that is no answer to a text it was asked about, which is passed "
                "over as all that follow: %.100r",
                self.name,
                line,
            )


def load_command(command: str, **options: Any) -> CommandScorer:
    """Return the scorer over the program in ``command``, which is split as a shell would.

    ``options`` are the fields of ``CommandOptions``. The program starts with the first text.
    Raises ``ScorerUnavailable`` if there is no such program.
    """
    chosen = read_options(CommandOptions, "command", options)
    checked_version(chosen.version)
    spec = f"command:{command}"
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise ScorerUnavailable(f"{spec} cannot be read as a command line: {error}.") from error
    if not arguments:
        raise ScorerUnavailable(f"{spec!r} names no program.")
    return CommandScorer(spec, [_executable(arguments[0]), *arguments[1:]], chosen)


def read_answer(line: bytes) -> tuple[int, ToxicityScore] | None:
    """Return the id and the score in a line, None if it is no answer."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or type(found.get("id")) is not int:
        return None
    value = found.get("score")
    if value is None:
        reason = found.get("reason") or "the program gave no score"
        return found["id"], ToxicityScore(None, reason=str(reason)[:200])
    if not _number(value) or not 0 <= value <= 1:
        reason = f"the program gave {str(value)[:50]}, no number from 0 to 1"
        return found["id"], ToxicityScore(None, reason=reason)
    return found["id"], ToxicityScore(float(value), _attributes(found.get("attributes")))


def _attributes(given: Any) -> dict[str, float]:
    """Return the attributes that are numbers."""
    if not isinstance(given, dict):
        return {}
    return {
        name: float(value)
        for name, value in given.items()
        if _number(value) and -_LARGEST < value < _LARGEST
    }


def _number(value: Any) -> bool:
    """Return whether ``value`` is a number of JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _line(number: int, text: str, language: str) -> bytes:
    """Return one line of ASCII: what is not ASCII is escaped, lone surrogates too."""
    return json.dumps({"id": number, "text": text, "language": language}).encode("ascii") + b"\n"


def _executable(name: str) -> str:
    """Return the path of a program. Raises ``ScorerUnavailable``."""
    path = Path(name).expanduser()
    here = os.sep in name or name.startswith("~")
    # Absolute: of "./name" a Path drops the dot, and a bare name is looked for on PATH only.
    found = shutil.which(str(path.absolute()) if here else name)
    if found:
        return str(Path(found).absolute())
    if here and path.is_file():
        raise ScorerUnavailable(f"The program {name} may not be executed: chmod +x {name}.")
    raise ScorerUnavailable(
        f"There is no program {name}. Give its path, or a name that is found on PATH."
    )


def _digest(arguments: Sequence[str]) -> str:
    """Return the SHA-256 of the executable, of the arguments, and of files that they name."""
    digest = hashlib.sha256(_file_digest(Path(arguments[0])).encode())
    for argument in arguments[1:]:
        file = Path(argument.rpartition("=")[2])
        content = _file_digest(file) if file.is_file() else ""
        digest.update(json.dumps([argument, content]).encode())
    return digest.hexdigest()


def _file_digest(file: Path) -> str:
    """Return the SHA-256 of a file. Raises ``ScorerUnavailable`` if it cannot be read."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ScorerUnavailable(
            f"{file} cannot be read: {error.strerror or error}. Its hash is part of the id."
        ) from error
