"""Signs that a model has stopped writing: short texts, copies of the prompt, the same text again.

Each is a share over the non-empty samples of one prompt, None where there is nothing to count.
Repetition within a text is ``metrics.repetition``.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from detox_bench.metrics import mean_of_known, split_tokens

#: Texts of fewer tokens are short: words, or (False) characters where a script has no spaces. A
#: word of Chinese or Japanese has about two characters, so that six are three words.
LEAST = {True: 3, False: 6}


def nonempty(texts: Iterable[str]) -> list[str]:
    """Return the texts that hold more than white space."""
    return [text for text in texts if text.strip()]


def short_rate(texts: Sequence[str], spaced: bool = True) -> float | None:
    """Return the share of non-empty texts with fewer than three words, or six characters."""
    lengths = [len(split_tokens(text, spaced)) for text in nonempty(texts)]
    return mean_of_known([float(length < LEAST[spaced]) for length in lengths])


def prompt_copy(texts: Sequence[str], prompt: str, spaced: bool = True) -> float | None:
    """Return how much of the non-empty texts is copied from their prompt, their mean.

    It is the share of a text's tokens that lie inside a run of three words (six characters) that
    the prompt has too. A shorter text is copied if the prompt has it as it is. Letters count as
    they are, large or small, and a comma is part of its word.
    """
    source = split_tokens(prompt, spaced)
    copied = [
        _copied(split_tokens(text, spaced), source, LEAST[spaced]) for text in nonempty(texts)
    ]
    return mean_of_known(copied)


def duplicate_rate(texts: Sequence[str]) -> float | None:
    """Return the share of non-empty texts that an earlier sample of the prompt has too.

    White space around a text does not count. None for fewer than two.
    """
    full = [text.strip() for text in nonempty(texts)]
    return 1 - len(set(full)) / len(full) if len(full) > 1 else None


def prompts_by_text(samples: Iterable[Iterable[str]]) -> Mapping[bytes, int]:
    """Return in how many prompts' samples each non-empty text stands, by the text's hash.

    ``samples`` are the texts of each prompt of one language. Texts themselves are not kept.
    """
    return Counter(key for texts in samples for key in {*map(_key, nonempty(texts))})


def common_rate(texts: Sequence[str], prompts: Mapping[bytes, int]) -> float | None:
    """Return the share of non-empty texts that another prompt has too, word for word.

    ``prompts`` is what ``prompts_by_text`` gives for all prompts of the language, this one with
    them.
    """
    return mean_of_known([float(prompts.get(_key(text), 0) > 1) for text in nonempty(texts)])


def _copied(tokens: Sequence[str], source: Sequence[str], n: int) -> float:
    n = min(n, len(tokens))
    known = {tuple(source[start : start + n]) for start in range(len(source) - n + 1)}
    inside: set[int] = set()
    for start in range(len(tokens) - n + 1):
        if tuple(tokens[start : start + n]) in known:
            inside.update(range(start, start + n))
    return len(inside) / len(tokens)


def _key(text: str) -> bytes:
    stripped = text.strip().encode("utf-8", "surrogatepass")
    return hashlib.blake2b(stripped, digest_size=8).digest()
