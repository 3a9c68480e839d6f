"""What a tokenizer says of a language: how finely it cuts it, what it shares with English.

Both are of parallel sentences, so that a language is not judged by what its texts are about.
"""

from collections.abc import Sequence
from typing import Any

from detox_bench.errors import DetoxBenchError

#: Names of the two predictors.
FERTILITY, OVERLAP = "relative_fertility", "subword_overlap"


def tokenizer_predictors(
    tokenizer: Any, english: Sequence[str], other: Sequence[str]
) -> dict[str, float]:
    """Return both numbers of a language by name.

    Args:
        tokenizer: A Hugging Face tokenizer; the tokens it adds by itself are not counted.
        english: Sentences.
        other: The same sentences in the other language.

    Raises ``DetoxBenchError`` where there is none, or their numbers differ.
    """
    if len(english) != len(other) or not english:
        raise DetoxBenchError(
            f"There are {len(english)} English sentences and {len(other)} in the other language, "
            "not the same ones. Give parallel sentences."
        )
    one, two = _tokens(tokenizer, english), _tokens(tokenizer, other)
    return {FERTILITY: relative_fertility(two, one), OVERLAP: subword_overlap(two, one)}


def relative_fertility(tokens: Sequence[int], english: Sequence[int]) -> float:
    """Return the number of tokens over that of the same text in English.

    The tokenization premium of Petrov et al. 2023 (arXiv 2305.15425). Tokens per word, the usual
    fertility, is not defined for languages written without spaces. NaN without English tokens.
    """
    return len(tokens) / len(english) if len(english) else float("nan")


def subword_overlap(tokens: Sequence[int], english: Sequence[int]) -> float:
    """Return the share of different tokens that both texts have, of those that either has.

    As Pires et al. 2019 (arXiv 1906.01502) between two languages. NaN where there is no token.
    """
    one, other = set(tokens), set(english)
    return len(one & other) / len(one | other) if one | other else float("nan")


def _tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    found = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [token for ids in found for token in ids]
