"""What the texts of a preference pair have in common, and how both are cut to one length."""

import re
from collections.abc import Callable
from typing import Any

#: Cuts a chosen and a rejected text to one length.
Cut = Callable[[str, str], tuple[str, str]]

_FEWEST_COPIED_WORDS = 2
_HALF_A_CHARACTER = "\ufffd"
_CLOSING = ",.;:!?…%)]}»”’"
_WORD = re.compile(r"\s*\S+")


def copied_start(prompt: str, chosen: str, rejected: str) -> str:
    """Return the copy of the prompt's beginning that opens both continuations, or ``""``.

    In the pairs of Lee et al. (arXiv 2401.01967) both continuations begin with the first five or
    so tokens of the prompt, which are in ``prompt_text`` too. A copy is at least two words, and
    ends where a word of both continuations does; white space before a text is passed over.
    """
    texts = [prompt.lstrip(), chosen.lstrip(), rejected.lstrip()]
    end = shared_characters(texts)
    while end and not all(_word_ends(each, end) for each in texts[1:]):
        end -= 1
    copy = texts[0][:end].rstrip()
    return copy if len(copy.split()) >= min(_FEWEST_COPIED_WORDS, len(prompt.split())) else ""


def without_start(text: str, start: str) -> str:
    """Return ``text`` after its leading white space and ``start``."""
    return text.lstrip().removeprefix(start) if start else text


def without_prompt(prompt: str, text: str) -> str:
    """Return a completion without the prompt it repeats at its start, if it repeats all of it.

    Case, white space and punctuation between the words do not matter.
    """
    words = re.findall(r"\w+", prompt)
    if not words:
        return text
    pattern = r"\W*" + r"\W+".join(map(re.escape, words)) + r"(?!\w)[.…\"'”’»)\]]*"
    match = re.match(pattern, text, re.IGNORECASE)
    return text[match.end() :] if match else text


def shared_words(first: str, second: str) -> str:
    """Return the words, with the space between them, that both texts begin with."""
    end = 0
    for one, other in zip(_WORD.finditer(first), _WORD.finditer(second), strict=False):
        if one.group() != other.group():
            break
        end = one.end()
    return first[:end]


def shared_characters(texts: list[str]) -> int:
    """Return how many characters all ``texts`` begin with alike."""
    shortest = min(map(len, texts))
    alike = (len({text[place] for text in texts}) == 1 for place in range(shortest))
    return next((place for place, same in enumerate(alike) if not same), shortest)


def continuing(prompt: str, text: str, spaced: bool) -> str:
    """Return ``text`` as it follows ``prompt``: with one space between, where words have one."""
    stripped = text.strip()
    if not (stripped and prompt):
        return stripped
    needs_space = spaced and not prompt[-1].isspace() and stripped[0] not in _CLOSING
    return f" {stripped}" if needs_space else stripped


def word_cut(spaced: bool = True, most: int | None = None) -> Cut:
    """Return a cut to equally many words, or characters where a script has no spaces."""
    unit = _WORD if spaced else re.compile(r"\s*\S")

    def cut(chosen: str, rejected: str) -> tuple[str, str]:
        ends = [[match.end() for match in unit.finditer(each)] for each in (chosen, rejected)]
        length = _one_length(len(ends[0]), len(ends[1]), most)
        return tuple(  # type: ignore[return-value]
            each[: places[length - 1]] if length else ""
            for each, places in zip((chosen, rejected), ends, strict=True)
        )

    return cut


def token_cut(tokenizer: Any, most: int | None = None) -> Cut:
    """Return a cut to equally many tokens of a fast tokenizer of transformers.

    Cut texts are tokenised again, since the last word may fall into other tokens, and cut further
    until both have one length; the last character is never halved.
    """

    def cut(chosen: str, rejected: str) -> tuple[str, str]:
        ends = [_token_ends(tokenizer, chosen), _token_ends(tokenizer, rejected)]
        for length in range(_one_length(len(ends[0]), len(ends[1]), most), 0, -1):
            pair = chosen[: ends[0][length - 1]], rejected[: ends[1][length - 1]]
            if token_count(tokenizer, pair[0]) == token_count(tokenizer, pair[1]):
                return pair
        return "", ""

    return cut


def token_count(tokenizer: Any, text: str) -> int:
    """Return the number of tokens of ``text``, without those that begin or end a text."""
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def whole_characters(text: str) -> str:
    """Return ``text`` without the half character that a limit of tokens may leave at its end."""
    return text.rstrip(_HALF_A_CHARACTER)


def _token_ends(tokenizer: Any, text: str) -> list[int]:
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return [end for _, end in found["offset_mapping"]]


def _one_length(first: int, second: int, most: int | None) -> int:
    shorter = min(first, second)
    return shorter if most is None else min(shorter, most)


def _word_ends(text: str, place: int) -> bool:
    return place == len(text) or not (text[place].isalnum() and text[place - 1].isalnum())
