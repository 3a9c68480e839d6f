"""What the content of a submission is told by: digests, canonical JSON, the run id.

Everything that ``add`` writes and ``check`` compares is made here, so that both agree.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from detox_bench.leaderboard.submission import SampleLine
from detox_bench.runs import digest

_RUN_ID = "run_id"
#: One prompt in so many stands first in a file of samples.
_ONE_IN = 32


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


def canonical_json(value: object) -> str:
    """Return JSON in the one form that is hashed: sorted keys, no spaces, floats by ``repr``.

    Raises ``ValueError`` for NaN and infinities, which are no JSON.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def run_id(submission: Mapping[str, Any]) -> str:
    """Return the SHA-256 over all fields of ``submission.json`` but ``run_id``."""
    rest = {name: value for name, value in submission.items() if name != _RUN_ID}
    return sha256(canonical_json(rest).encode())


def text_digest(text: str) -> str:
    """Return 16 hex digits for a continuation; white space around it does not count.

    So the rates of empty, repeated and common texts follow from digests alone.
    """
    return digest(text.strip())


#: What an empty continuation is told by.
EMPTY = text_digest("")


def digest_of_ids(ids: Iterable[str]) -> str:
    """Return the SHA-256 over the ids of the prompts of one language, in any order."""
    return sha256(canonical_json(sorted(ids)).encode())


def digest_of_asked(asked: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 over pairs of a prompt's id and the digest of what the model was given.

    The order of prompts does not count. A prompt that nothing is put around has
    ``runs.digest(text)``.
    """
    return sha256(canonical_json(sorted(map(list, asked))).encode())


def by_language(lines: Iterable[SampleLine]) -> dict[str, list[SampleLine]]:
    """Return the lines of each language, languages and prompts in the order of their names."""
    found: dict[str, list[SampleLine]] = {}
    for line in sorted(lines, key=lambda each: (each.language, each.prompt_id)):
        found.setdefault(line.language, []).append(line)
    return found


def key_of(prompt_id: str) -> int:
    """Return the 64-bit number by which prompts are chosen for a sketch of the texts."""
    return int.from_bytes(hashlib.blake2b(prompt_id.encode(), digest_size=8).digest(), "big")


def in_sketch(prompt_id: str) -> bool:
    """Whether copies are told by the texts of this prompt (``copies``): one prompt in 32."""
    return key_of(prompt_id) % _ONE_IN == 0


def in_order(lines: Iterable[SampleLine]) -> list[SampleLine]:
    """Return the lines as a file has them: by language and prompt, those of the sketch first.

    So copies are looked for in a thousand submissions by the beginnings of their files.
    """
    ordered = [line for found in by_language(lines).values() for line in found]
    return sorted(ordered, key=lambda line: not in_sketch(line.prompt_id))


def packed_line(line: SampleLine) -> str:
    """Return the one form that a line of samples has in a file; nothing else is read as one."""
    return canonical_json(line.model_dump(mode="json"))


def pack_lines(lines: Iterable[SampleLine]) -> bytes:
    """Return the content of ``samples.jsonl.gz``: equal lines give equal bytes (no time in it)."""
    text = "".join(f"{packed_line(line)}\n" for line in in_order(lines))
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def readable_json(value: object) -> bytes:
    """Return JSON as it is written into a submission: indented, a line end last."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
