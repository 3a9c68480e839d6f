"""The files of a submission, read safely: a size guard first, then JSON, then the schema.

Whatever is wrong comes back as sentences beside what could be read; nothing is raised for it.
Nothing is executed, unpickled or fetched, and no link is followed.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from detox_bench.errors import BadData
from detox_bench.leaderboard.content import packed_line
from detox_bench.leaderboard.json_of_strangers import open_regular, parse_json, read_json
from detox_bench.leaderboard.reproduction_schema import Reproduction
from detox_bench.leaderboard.submission import (
    BADGE,
    REPRODUCTION,
    SUBMISSION,
    Badge,
    SampleLine,
    Submission,
)
from detox_bench.leaderboard.wording import plain, shown

#: Bytes that a file may have. That of the samples is also limited by what comes out of it: list
#: ``full`` has 9 MB of samples that unpack to 22 MB.
MOST_JSON = 1_000_000
MOST_SAMPLES_FILE = 20_000_000
MOST_SAMPLES = 80_000_000
#: Bytes of a line of samples: so many for the prompt, and so many for each sample. With 25 of them
#: ``add`` writes 1,200.
_LINE, _LINE_SAMPLE = 2_000, 80
_BLOCK = 1 << 16
#: So many sentences about one file are enough.
_MOST_PROBLEMS = 20
_MOST_BADGES = 20

#: How the sentences of pydantic begin.
_SHOULD = re.compile(r"^(Input|Value|String|Dictionary|List) should (be |have )?")

RecordT = TypeVar("RecordT", bound=BaseModel)


class Read(NamedTuple, Generic[RecordT]):
    """A record, None where it could not be read; the JSON it is from; what was wrong with it."""

    record: RecordT | None
    raw: Mapping[str, Any]
    problems: list[str]


class ReadBadges(NamedTuple):
    """The badges of a submission that are right, and what was wrong with the others."""

    badges: tuple[Badge, ...]
    problems: list[str]


class SampleLimits(NamedTuple):
    """How many prompts there may be in a file of samples, and samples of a prompt."""

    prompts: int
    samples: int


class ReadSamples(NamedTuple):
    """The lines of a file of samples that are right, and what was wrong with the others."""

    lines: list[SampleLine]
    problems: list[str]


def read_submission(folder: Path) -> Read[Submission]:
    """Return the ``submission.json`` of a submission's folder."""
    return read_record(folder / SUBMISSION, Submission)


def read_badges(folder: Path) -> ReadBadges:
    """Return what ``badge.json`` lists; nothing is wrong where there is none."""
    file = folder / BADGE
    if not os.path.lexists(file):
        return ReadBadges((), [])
    try:
        raw = read_json(file, MOST_JSON)
        if not isinstance(raw, list) or len(raw) > _MOST_BADGES:
            raise BadData(f"{BADGE} holds {shown(raw)}, not a list of up to {_MOST_BADGES} badges.")
    except BadData as error:
        return ReadBadges((), [str(error)])
    found = [validated(each, Badge, f"{BADGE}, badge {n}") for n, each in enumerate(raw, 1)]
    wrong = [problem for _, problems in found for problem in problems]
    return ReadBadges(tuple(badge for badge, _ in found if badge), wrong[:_MOST_PROBLEMS])


def read_reproduction(folder: Path) -> tuple[Mapping[str, Any], list[str]]:
    """Return what ``repro.json`` holds, a JSON object, and what is wrong by its schema."""
    found = read_record(folder / REPRODUCTION, Reproduction)
    return found.raw, found.problems


def read_record(file: Path, model: type[RecordT]) -> Read[RecordT]:
    """Return a JSON file as a ``model``; types are not converted, so that ``"1"`` is no number."""
    try:
        raw = read_json(file, MOST_JSON)
        if not isinstance(raw, dict):
            raise BadData(f"{plain(file.name)} holds {shown(raw)}, not an object.")
    except BadData as error:
        return Read(None, {}, [str(error)])
    record, problems = validated(raw, model, plain(file.name))
    return Read(record, raw, problems)


def validated(raw: Any, model: type[RecordT], name: str) -> tuple[RecordT | None, list[str]]:
    """Return JSON as a ``model``, or one sentence for each field that is wrong."""
    try:
        return model.model_validate(raw, strict=True), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        sentences = [_sentence(dict(each), name) for each in found[:_MOST_PROBLEMS]]
        if len(found) > _MOST_PROBLEMS:
            sentences.append(f"{name} has {len(found) - _MOST_PROBLEMS} more wrong fields.")
        return None, sentences


def read_sample_lines(file: Path, limits: SampleLimits) -> ReadSamples:
    """Return the lines of ``samples.jsonl.gz``; reading stops where a limit is passed.

    It stops too at the first line that is right, and yet not as ``content.pack_lines`` writes it:
    others read lines without parsing them. At most ``limits.prompts`` lines are held, each with at
    most ``limits.samples`` samples.
    """
    lines: list[SampleLine] = []
    problems: list[str] = []
    name = plain(file.name)
    try:
        with open_regular(file, MOST_SAMPLES_FILE) as content:
            most = _LINE + _LINE_SAMPLE * limits.samples
            for number, text in enumerate(unpacked_lines(content, name, most), 1):
                if number > limits.prompts:
                    raise BadData(f"{name} has more lines than the list has prompts.")
                line, wrong = _sample_line(text, f"{name} line {number}", limits.samples)
                problems += wrong
                if line is not None:
                    lines.append(line)
                if len(problems) >= _MOST_PROBLEMS:
                    raise BadData(f"{name} was not read further.")
    except BadData as error:
        problems.append(str(error))
    return ReadSamples(lines, problems)


def file_sha256(file: Path, most: int = MOST_SAMPLES_FILE) -> str | None:
    """Return the SHA-256 of a regular file of at most ``most`` bytes; None where it is none."""
    try:
        with open_regular(file, most) as content:
            found = hashlib.sha256()
            while block := content.read(_BLOCK):
                found.update(block)
            return found.hexdigest()
    except BadData:
        return None


def unpacked(content: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield what a gzip file holds, in blocks; raises ``BadData`` above ``MOST_SAMPLES`` bytes.

    Memory does not grow with what comes out, so that a bomb costs time up to the limit only.
    """
    unpacker, total = zlib.decompressobj(wbits=31), 0
    while not unpacker.eof:
        given = unpacker.unconsumed_tail or content.read(_BLOCK)
        try:
            block = unpacker.decompress(given, _BLOCK)
        except zlib.error as error:
            raise BadData(f"{name} is not gzip, or damaged: {error}.") from error
        if not (given or block):
            raise BadData(f"{name} ends in the middle, or is empty. Upload the whole file.")
        total += len(block)
        if total > MOST_SAMPLES:
            raise BadData(f"{name} unpacks to more than {MOST_SAMPLES:,} bytes.")
        yield block
    if unpacker.unused_data or content.read(1):
        raise BadData(f"{name} holds more behind the end of its gzip data.")


def unpacked_lines(content: BinaryIO, name: str, most: int) -> Iterator[bytes]:
    """Yield the whole lines of a gzip file, without their ends; raises as ``unpacked``.

    Besides, ``BadData`` for a line of more than ``most`` bytes, and where half a line is last.
    """
    rest = b""
    for block in unpacked(content, name):
        *whole, rest = (rest + block).split(b"\n")
        longest = max(map(len, (*whole, rest)))
        if longest > most:
            raise BadData(f"{name} has a line of more than {most:,} bytes.")
        yield from whole
    if rest:
        raise BadData(f"{name} ends in half a line. Upload the whole file.")


def _sample_line(text: bytes, name: str, samples: int) -> tuple[SampleLine | None, list[str]]:
    line = _as_written(text)
    if line is None:
        return None, _wrong_line(text, name)
    if max(len(line.texts), len(line.scores)) > samples:
        return None, [f"{name} has {len(line.texts)} texts; a prompt has {samples} samples."]
    return line, []


def _as_written(text: bytes) -> SampleLine | None:
    """Return a line that stands as ``content.packed_line`` has it; None for any other."""
    try:
        line = SampleLine.model_validate(json.loads(text), strict=True)
        return line if packed_line(line).encode() == text else None
    except (ValueError, RecursionError):
        return None


def _wrong_line(text: bytes, name: str) -> list[str]:
    """Return what is wrong with a line; raises ``BadData`` where it is nothing but its form."""
    try:
        raw = parse_json(text, name)
    except BadData as error:
        return [str(error)]
    if problems := validated(raw, SampleLine, name)[1]:
        return problems
    raise BadData(
        f"{name} is not in the one form that `leaderboard add` writes (sorted keys, no spaces, "
        "shortest numbers); it was not read further."
    )


def _sentence(error: Mapping[str, Any], name: str) -> str:
    where = ".".join(plain(str(part)) for part in error["loc"]) or "the whole"
    found = shown(error.get("input"))
    if error["type"] == "missing":
        return f"{name}: {where} is missing."
    if error["type"] == "extra_forbidden":
        return f"{name}: {where} is no field of it."
    wanted = _SHOULD.sub("", str(error["msg"]))
    return f"{name}: {where} is {found}, and should be: {wanted}."
