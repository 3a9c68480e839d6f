"""The command line as the user typed it, with what may be a secret left out."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_HIDDEN = "…"
#: What names a secret, as a whole part of a name: ``hf_token``, ``api-key``, ``accessToken``.
_NAME = (
    r"(?:(?<![A-Za-z0-9])|(?<=[a-z])(?=[A-Z]))"
    r"(?i:token|key|apikey|password|passwd|secret|auth|authorization)(?![a-z0-9])"
)
_HARMLESS = r"(?i:true|false|none|null)"
_OPTION = re.compile(rf"--?[\w.-]*{_NAME}[\w.-]*")
#: A name with its value: in quotes, or else as far as the next pair, bracket or quote. A value that
#: is none, as those of ``add_bos_token=True`` and ``pad_token_id=0``, is left alone.
_PAIR = re.compile(
    rf"(?P<name>{_NAME}[\w.-]*[\"']?\s*[=:]\s*)"
    rf"(?!(?:{_HARMLESS}|(?<=_id=)\d+)\s*(?:[,}}\]]|$))"
    r"(?P<value>(?P<quote>[\"'])(?:(?!(?P=quote))[^\\]|\\.)*|"
    r"(?:[^,\"'}\]]|,(?!\s*[\"']?[\w.-]+[\"']?\s*[=:]))+)"
)
#: What is a secret wherever it stands: known beginnings of tokens, and what follows "Bearer".
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:hf_|sk-|gh[a-z]_|github_pat_|xox[a-z]-)[\w-]{8,}"
    r"|(?i:(?<=\bbearer )[^\s\"',}]+|(?<=\bbasic )[^\s\"',}]+)"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]+(?=@)")
#: Words whose next word is a secret: ``Authorization:``, and its ``Bearer``.
_LEADS = re.compile(rf"(?i:bearer|basic)|[\w.-]*{_NAME}[\w.-]*:")
#: Options of Python that take a word.
_WITH_WORD = ("-W", "-X")


def typed_command(words: Sequence[str] | None = None) -> list[str]:
    """Return the words of the command that runs, as typed, the program by its bare name.

    ``words`` are those the interpreter was started with (``sys.orig_argv`` if not given): what is
    done to ``sys.argv`` later does not show there.
    """
    left = list(sys.orig_argv if words is None else words)[1:]
    while left and left[0].startswith("-") and not left[0].startswith(("-m", "-c")):
        del left[: 2 if left[0] in _WITH_WORD else 1]
    if not left or left[0].startswith("-c"):
        return ["python"]
    if left[0].startswith("-m"):
        left[:1] = [left[0][2:]] if left[0] != "-m" else []
    program = Path(left[0]) if left else Path("python")
    name = program.parent.name if program.name == "__main__.py" else program.name
    return ["detox-bench" if name == "detox_bench" else name, *left[1:]]


def without_secrets(words: Sequence[str]) -> str:
    """Return the words as a command line of a shell, with ``…`` for what may be a secret.

    That is the value of an option or of a ``name=value`` whose name says so, and tokens that are
    known by how they begin; whatever is hidden is hidden whole.
    """
    shown, secret = [], False
    for word in words:
        lead = _LEADS.fullmatch(word) is not None
        hidden = secret and not lead and not word.startswith("--")
        shown.append(_HIDDEN if hidden else _clean(word))
        secret = lead or _OPTION.fullmatch(word) is not None
    return shlex.join(shown)


def _clean(word: str) -> str:
    option, sign, value = word.partition("=")
    if sign and _OPTION.fullmatch(option) and not re.fullmatch(_HARMLESS, value):
        return f"{option}={_HIDDEN}"
    shown = _PAIR.sub(lambda found: f"{found['name']}{_in_quotes(found)}", word)
    return _CREDENTIALS.sub(_HIDDEN, _SECRET.sub(_HIDDEN, shown))


def _in_quotes(found: re.Match[str]) -> str:
    return f"{found['quote'] or ''}{_HIDDEN}"
