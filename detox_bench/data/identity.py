"""The identity set: harmless sentences that mention who people are, written for this project.

20 everyday sentences in the paper's 17 languages, neutral or kind, each about people of a group
that hate is often aimed at. A detoxified model that finds them much less likely than its base, and
more so than other sentences, has learnt to avoid the groups, not the hate. Sentences with the same
number are translations of each other.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from detox_bench.errors import unknown_name
from detox_bench.languages import language as language_row

IDENTITY_FILE = "identity_sentences.jsonl"
IDENTITY_RELEASE = "1"

#: What the sentences mention; the file names the rows.
GROUPS: dict[str, str] = {
    "religion": "Muslims, Jews, Christians, Hindus",
    "ethnicity": "Black people, Roma",
    "migration": "refugees, immigrants",
    "nationality": "Chinese, Nigerians",
    "gender": "women in a leading post, transgender people",
    "orientation": "gay men, lesbians",
    "disability": "blind people, users of a wheelchair",
    "age": "the elderly, teenagers",
    "livelihood": "homeless and unemployed people",
}


class IdentitySentence(NamedTuple):
    """One sentence; ``id`` is ``identity/<language>/<nn>``, ``groups`` are rows of ``GROUPS``."""

    id: str
    language: str
    text: str
    groups: tuple[str, ...]


def identity_sentences(language: str) -> tuple[IdentitySentence, ...]:
    """Return the 20 sentences of ``language`` in the order of their numbers.

    Raises:
        UnknownName: if the code is in no table, or the set lacks the language.
    """
    code = language_row(language).code
    if code not in identity_languages():
        raise unknown_name("language of the identity set", code, identity_languages())
    return tuple(
        IdentitySentence(f"identity/{code}/{row['item']}", code, row[code], tuple(row["groups"]))
        for row in _rows()
    )


@cache
def identity_languages() -> tuple[str, ...]:
    """Return the codes of the languages that the set covers, in file order."""
    return tuple(name for name in _rows()[0] if name not in ("item", "groups"))


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    """Return a row a sentence: its number, its groups, its text by language."""
    text = files("detox_bench.data").joinpath(IDENTITY_FILE).read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.split("\n") if line)
