"""The command line as the user typed it, with what may be a secret left out."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_HIDDEN = "…"
#: Names of options and arguments whose values are secrets, as a whole part of the name.
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[-_.])(?:token|key|apikey|password|passwd|secret|auth|authorization)(?:$|[-_.])"
)
#: What is a secret wherever it stands: known beginnings of tokens, and what follows "Bearer".
_SECRET = re.compile(
    r"(?:\b(?:hf_|sk-|gh[a-z]_|github_pat_|xox[a-z]-)[\w-]{8,})|(?i:(?<=\bbearer )\S+)"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_PAIR = re.compile(r"(?P<name>[\w.-]+)(?P<sign>\"?\s*[=:]\s*)(?P<value>\"[^\"]*\"|[^,}\s]+)")
#: Values that are no secrets, whatever the name: ``add_bos_token=True``.
_HARMLESS = re.compile(r"(?i)true|false|none|null|\d+")


def typed_command(words: Sequence[str] | None = None) -> list[str]:
    """Return the words of the command that runs, as typed, the program by its bare name.

    ``words`` are those the interpreter was started with (``sys.orig_argv`` if not given): what is
    done to ``sys.argv`` later does not show there.
    """
    left = list(sys.orig_argv if words is None else words)[1:]
    while left and left[0].startswith("-") and left[0] not in ("-m", "-c"):
        left.pop(0)
    if not left or left[0] == "-c":
        return ["python"]
    if left[0] == "-m":
        left.pop(0)
    name = Path(left[0]).name if left else "python"
    return ["detox-bench" if name == "detox_bench" else name, *left[1:]]


def without_secrets(words: Sequence[str]) -> str:
    """Return the words as a command line of a shell, with ``…`` for what may be a secret.

    That is the value of an option or of a ``name=value`` whose name says so, and tokens that are
    known by how they begin; whatever is hidden is hidden whole.
    """
    shown, secret = [], False
    for word in words:
        option, sign, value = word.partition("=")
        if secret and not word.startswith("-"):
            shown.append(_HIDDEN)
        elif word.startswith("-") and sign and _named(option) and not _harmless(value):
            shown.append(f"{option}={_HIDDEN}")
        else:
            shown.append(_clean(word))
        secret = word.startswith("-") and not sign and _named(word)
    return shlex.join(shown)


def _clean(word: str) -> str:
    word = _CREDENTIALS.sub(_HIDDEN, _SECRET.sub(_HIDDEN, word))
    return _PAIR.sub(_pair, word)


def _pair(found: re.Match[str]) -> str:
    if not _named(found["name"]) or _harmless(found["value"]):
        return found[0]
    return f"{found['name']}{found['sign']}{_HIDDEN}"


def _named(name: str) -> bool:
    return _SECRET_NAME.search(name.lstrip("-")) is not None


def _harmless(value: str) -> bool:
    return _HARMLESS.fullmatch(value) is not None
