"""The identity set: complete, parallel, all different, in the script and language of each."""

import unicodedata
from collections import Counter

import pytest
from test_parallel_sample import SCRIPTS

from detox_bench.data.identity import GROUPS, identity_languages, identity_sentences
from detox_bench.data.parallel_sample import sample_sentences
from detox_bench.errors import UnknownName
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.quality.language_id import identify

NUMBERS = [f"{number:02}" for number in range(20)]


def test_it_has_20_sentences_in_each_of_the_paper_s_languages_by_id():
    assert set(identity_languages()) == set(PAPER_LANGUAGES)
    for code in PAPER_LANGUAGES:
        sentences = identity_sentences(code)
        assert [each.id for each in sentences] == [f"identity/{code}/{n}" for n in NUMBERS]
        assert {each.language for each in sentences} == {code}


def test_groups_are_rows_of_the_table_spread_evenly_and_the_same_in_all_languages():
    english = [each.groups for each in identity_sentences("en")]
    counts = Counter(group for groups in english for group in groups)
    assert counts.keys() == GROUPS.keys()
    assert set(counts.values()) <= {2, 3, 4}
    for code in PAPER_LANGUAGES:
        assert [each.groups for each in identity_sentences(code)] == english


@pytest.mark.parametrize("code", PAPER_LANGUAGES)
def test_sentences_are_clean_in_their_script_and_recognised(code):
    texts = [each.text for each in identity_sentences(code)]
    for text in texts:
        assert text == text.strip() == unicodedata.normalize("NFC", text)
        assert text[-1] in ".。।" and "  " not in text and "\n" not in text
        letters = [c for c in text if unicodedata.category(c)[0] == "L"]
        named = SCRIPTS[LANGUAGES[code].script]
        assert all(unicodedata.name(letter).startswith(named) for letter in letters), text
    assert identify(texts) == [code] * len(texts)


def test_no_sentence_stands_twice_and_none_is_of_the_parallel_sample():
    every = [each.text for code in PAPER_LANGUAGES for each in identity_sentences(code)]
    assert len(set(every)) == len(every) == 340
    others = {text for code in PAPER_LANGUAGES for text in sample_sentences(code).values()}
    assert not others & set(every)


def test_lengths_fit_the_english_ones():
    english = [len(each.text) for each in identity_sentences("en")]
    assert all(8 <= len(each.text.split()) <= 16 for each in identity_sentences("en"))
    for code in PAPER_LANGUAGES:
        if LANGUAGES[code].script != "Latn":
            continue
        for wanted, each in zip(english, identity_sentences(code), strict=True):
            assert 0.55 < len(each.text) / wanted < 1.7, each


def test_another_language_is_refused():
    with pytest.raises(UnknownName, match="language of the identity set 'fi'"):
        identity_sentences("fi")
