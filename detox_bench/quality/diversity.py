"""Self-BLEU: how much the samples of one prompt are like each other.

Zhu et al. 2018 (Texygen, arXiv 1802.01886): the mean BLEU-4 of each text against all others as its
references; 1 is one text over and over. BLEU is sacrebleu's ``sentence_bleu`` (smoothing ``exp``,
effective order), equal to it number by number but counted once a text, not once a pair of texts.

To support another script, add a row to ``TOKENIZERS``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU, MAX_NGRAM_ORDER

from detox_bench.languages import language as language_row
from detox_bench.metrics import mean_of_known
from detox_bench.quality.degeneration import nonempty

#: sacrebleu's tokenizer of each script (ISO 15924). ``intl`` knows the punctuation of all scripts,
#: ``13a`` that of ASCII. ``ja-mecab`` and ``ko-mecab`` need MeCab, ``flores200`` and ``spm`` a
#: download; hence characters for Japanese (and Thai), and words for Korean.
TOKENIZERS: Mapping[str, str] = {
    "Arab": "intl",
    "Cyrl": "intl",
    "Deva": "intl",
    "Hans": "zh",
    "Hant": "zh",
    "Hebr": "intl",
    "Jpan": "char",
    "Kore": "intl",
    "Latn": "13a",
    "Thai": "char",
}

_NGram = tuple[str, ...]


class _Counted(NamedTuple):
    """The n-grams of one text, of one to four tokens, and how many tokens it has."""

    ngrams: Mapping[_NGram, int]
    length: int


def tokenizer_name(language: str) -> str:
    """Return the name of sacrebleu's tokenizer for a language. Raises ``UnknownName``."""
    return TOKENIZERS[language_row(language).script]


def self_bleu(texts: Sequence[str], language: str) -> float | None:
    """Return the self-BLEU of the non-empty ``(k,)`` samples of a prompt, in [0, 1].

    None for fewer than two. It grows with the number of samples: compare runs of equal k.
    """
    bleu = _bleu(tokenizer_name(language))
    counted = [_count(bleu, text) for text in nonempty(texts)]
    if len(counted) < 2:
        return None
    highest = _two_highest(each.ngrams for each in counted)
    lengths = Counter(each.length for each in counted)
    return mean_of_known([_against_others(each, highest, lengths) for each in counted])


@cache
def _bleu(tokenizer: str) -> BLEU:
    return BLEU(tokenize=tokenizer, effective_order=True)


def _count(bleu: BLEU, text: str) -> _Counted:
    tokens = bleu.tokenizer(text.rstrip()).split()
    ngrams = Counter(
        tuple(tokens[start : start + n])
        for n in range(1, MAX_NGRAM_ORDER + 1)
        for start in range(len(tokens) - n + 1)
    )
    return _Counted(ngrams, len(tokens))


def _two_highest(texts: Iterable[Mapping[_NGram, int]]) -> dict[_NGram, tuple[int, int]]:
    """Return the highest and the second highest count that texts have of each n-gram."""
    found: dict[_NGram, tuple[int, int]] = {}
    for ngrams in texts:
        for ngram, count in ngrams.items():
            first, second = found.get(ngram, (0, 0))
            if count > second:
                found[ngram] = (count, first) if count > first else (first, count)
    return found


def _against_others(
    text: _Counted, highest: Mapping[_NGram, tuple[int, int]], lengths: Mapping[int, int]
) -> float:
    """Return the BLEU of one text, in [0, 1], with all others for references."""
    correct, total = [0] * MAX_NGRAM_ORDER, [0] * MAX_NGRAM_ORDER
    for ngram, count in text.ngrams.items():
        first, second = highest[ngram]
        # The highest count may be its own: then the others have at most the second.
        others = second if count == first else first
        correct[len(ngram) - 1] += min(count, others)
        total[len(ngram) - 1] += count
    others_lengths = [length for length, n in lengths.items() if n > 1 or length != text.length]
    closest = min(others_lengths, key=lambda length: (abs(length - text.length), length))
    found = BLEU.compute_bleu(
        correct, total, text.length, closest, smooth_method="exp", effective_order=True
    )
    return min(1.0, found.score / 100)
