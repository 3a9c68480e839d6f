"""Strings of others in Markdown: shown as they are, and escaped only where they would act.

A letter acts by its place: ``_`` beside a space but not within ``average_toxicity``, ``<`` before a
name but not before a number. Rules are those of CommonMark 0.31 and of GitHub's additions. To add
one, add a row to ``_ACTING``: an expression that finds the letters, and only them and digits.
"""

import re

_ACTING = (
    r"\\(?=[!-/:-@\[-`{-~]|$)",  # an escape
    r"`|\||\$",  # code, cells, formulas
    r"(?<!\s)[*~]|[*~](?!\s)",  # emphasis, struck out
    r"(?<!\w)_+|_+(?!\w)",  # emphasis, which begins and ends outside a word
    r"\](?=[(\[:])|^\[(?=[ xX]\])",  # links and what they refer to; a box to tick
    r"<(?=[A-Za-z/!?])|&(?=\#?\w+;)",  # HTML
    r"^>|^[-+](?=\s|$)|^[-=](?=[-=\s]*$)|^\d{1,9}[.)](?=\s|$)",  # quotes, lists, lines
    r"^\#{1,6}(?=\s|$)|(?<=\s)\#+$",  # headings, their end too
    r"(?<!\w)@(?=\w)|@(?=[\w-]+\.\w)|\#(?=\d+\b)",  # people, addresses, issues of GitHub
    r":(?=//)|(?<=\b[Ww]{3})\.|:(?!\d\d\D)(?=[\w+-]+:)",  # addresses; emoji, but not 10:20:30
)
_FOUND = re.compile("|".join(f"(?:{each})" for each in _ACTING))
#: What a backslash does not stop: HTML, and what GitHub looks for in the text.
_ENTITIES = {"<": "&lt;", "&": "&amp;", ">": "&gt;"} | {c: f"&#{ord(c)};" for c in "@#$:"}


def escaped(text: str) -> str:
    """Return a string of others on one line that Markdown and HTML show as it is."""
    return _FOUND.sub(lambda found: "".join(map(_letter, found[0])), " ".join(text.split()))


def _letter(letter: str) -> str:
    return letter if letter.isdigit() else _ENTITIES.get(letter, f"\\{letter}")
