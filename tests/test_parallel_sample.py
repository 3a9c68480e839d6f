"""The parallel sample: complete, all different, in the script of each language."""

import unicodedata

import pytest

from detox_bench.data.parallel_sample import parallel_languages, sample_sentences
from detox_bench.data.sample import sample_prompts
from detox_bench.errors import UnknownName
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES

#: The word in a character's Unicode name, by script.
SCRIPTS = {
    "Arab": "ARABIC",
    "Cyrl": "CYRILLIC",
    "Deva": "DEVANAGARI",
    "Hans": "CJK",
    "Jpan": ("HIRAGANA", "KATAKANA", "CJK"),
    "Kore": "HANGUL",
    "Latn": "LATIN",
}


def test_it_covers_the_paper_s_languages_with_at_least_50_sentences_each():
    assert set(parallel_languages()) == set(PAPER_LANGUAGES)
    ids = list(sample_sentences("en"))
    assert len(ids) >= 50 and len(set(ids)) == len(ids)


@pytest.mark.parametrize("code", PAPER_LANGUAGES)
def test_sentences_are_different_clean_and_in_their_script(code):
    sentences = sample_sentences(code)
    assert sentences.keys() == sample_sentences("en").keys()
    assert len(set(sentences.values())) == len(sentences)
    for text in sentences.values():
        assert text == text.strip() == unicodedata.normalize("NFC", text)
        assert text[-1] in ".?。？।؟" and "  " not in text and "\n" not in text
        letters = [c for c in text if unicodedata.category(c)[0] == "L"]
        named = SCRIPTS[LANGUAGES[code].script]
        assert all(unicodedata.name(letter).startswith(named) for letter in letters), text


def test_no_sentence_stands_in_two_languages_and_lengths_fit():
    everything = [text for code in PAPER_LANGUAGES for text in sample_sentences(code).values()]
    assert len(set(everything)) == len(everything)
    english = sample_sentences("en")
    for code in ("de", "es", "fr", "it", "nl", "pt", "sv"):
        for number, text in sample_sentences(code).items():
            assert 0.5 < len(text) / len(english[number]) < 1.9, (code, number)


def test_it_is_apart_from_the_sample_prompts_and_has_no_other_language():
    assert not set(sample_sentences("en").values()) & {p.text for p in sample_prompts("en")}
    with pytest.raises(UnknownName, match="language of the parallel sample 'fi'"):
        sample_sentences("fi")
