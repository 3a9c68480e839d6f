"""Which RTP-LX prompt is which: ids that outlive a release, and what is a translation of what.

999 prompts are the same 999 items in all 28 locales; their ``parallel_id``, 0 to 998, is the
``Index`` of the English file. ``Index`` itself misleads in three ways, each measured on v0.3:

1. Nine locales (``SHIFTED``) have no Index 960 and are one ahead of English from there on, so
   that a plain join on Index is wrong for the last 39 items.
2. BCMS and SW have the Index ``NA`` in their culture-specific rows.
3. v1.x counts the rows of BCMS and SW anew, after sorting them by Index *as text* (0, 1, 10, 100,
   101, …); SW got a row after 107. ``RENUMBERED`` undoes it (equal to a match by text in all
   1,067 even-numbered v1.x rows of the two).

The id of a prompt is ``rtplx/<language>/<tail>``. The tail is

- the parallel id, where there is one: ``rtplx/de/960`` and ``rtplx/en/960`` are one item;
- else the Index, where a release never changed it: 999 and above, culture-specific;
- else ``x`` and ten hexadecimal digits of the sha256 of the text without white space around it:
  rows without Index, the culture-specific rows of BCMS and SW, different texts with one Index.

So an id is the same in v0.3 and v1.x, though a few texts differ by a space between them.
"""

import hashlib
from collections import Counter
from typing import NamedTuple

N_PARALLEL = 999
LONGEST_INDEX = 100  # characters; those published have at most 4
_MISSING = 960  # the Index that the shifted locales skip

SHIFTED = frozenset({"AR", "BCMS", "CS", "DE", "ES", "FR", "IT", "SW", "ZH-Hans"})

_AS_TEXT: tuple[int | None, ...] = tuple(
    sorted((n for n in range(N_PARALLEL + 1) if n != _MISSING), key=str)
)
RENUMBERED: dict[str, tuple[int | None, ...]] = {
    "BCMS": _AS_TEXT,
    "SW": (*_AS_TEXT[:11], None, *_AS_TEXT[11:]),
}


class IndexedText(NamedTuple):
    """A prompt and its ``Index`` as the file has it."""

    source_index: str
    text: str


class Number(NamedTuple):
    """The last part of a prompt's id, and its place among the 999 parallel prompts if any."""

    tail: str
    parallel_id: int | None


def number_prompts(locale: str, schema: str, prompts: list[IndexedText]) -> list[Number]:
    """Return the number of each prompt of one locale, in order."""
    parallel = [_parallel_id(locale, prompt.source_index, schema) for prompt in prompts]
    if not numbering_is_known(locale, [prompt.source_index for prompt in prompts], schema):
        parallel = [p if p is not None and p < _MISSING else None for p in parallel]
    tails = [_tail(locale, prompt, p) for prompt, p in zip(prompts, parallel, strict=True)]
    different = {(tail, prompt.text) for tail, prompt in zip(tails, prompts, strict=True)}
    shared = {tail for tail, n in Counter(tail for tail, _ in different).items() if n > 1}
    return [
        Number(_text_tail(prompt.text), None) if tail in shared else Number(tail, p)
        for prompt, tail, p in zip(prompts, tails, parallel, strict=True)
    ]


def numbering_is_known(locale: str, indices: list[str], schema: str) -> bool:
    """Return whether the file is numbered as the releases this module was measured on."""
    firsts = {_first_index(locale, index, schema) for index in indices}
    return locale not in SHIFTED or _MISSING not in firsts


def _parallel_id(locale: str, index: str, schema: str) -> int | None:
    number = _first_index(locale, index, schema)
    if number is None:
        return None
    if locale in SHIFTED and number >= _MISSING:
        number = number - 1 if number > _MISSING else N_PARALLEL
    return number if number < N_PARALLEL else None


def _first_index(locale: str, index: str, schema: str) -> int | None:
    """Return the Index that v0.3 gives the row, None where it gives none."""
    number = as_number(index)
    if number is None or schema != "v1.x" or locale not in RENUMBERED:
        return number
    order = RENUMBERED[locale]
    return order[number] if number < len(order) else None


def index_text(index: object) -> str:
    """Return ``Index`` as text: it is a number in 19 files, a string in 9, 'NA' in 134 rows."""
    return str(int(index) if isinstance(index, float) and index.is_integer() else index)


def as_number(index: str) -> int | None:
    """Return an Index as a number, None for ``NA`` and anything else that is none."""
    is_number = index.isascii() and index.isdigit() and len(index) <= LONGEST_INDEX
    return int(index) if is_number else None


def _tail(locale: str, prompt: IndexedText, parallel_id: int | None) -> str:
    if parallel_id is not None:
        return str(parallel_id)
    number = as_number(prompt.source_index)
    if number is None or number < N_PARALLEL or locale in RENUMBERED:
        return _text_tail(prompt.text)
    return str(number)


def _text_tail(text: str) -> str:
    return "x" + hashlib.sha256(text.strip().encode()).hexdigest()[:10]
