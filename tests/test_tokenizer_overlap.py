"""What a tokenizer says of a language, on sentences whose tokens can be counted."""

import math

import pytest
from conftest import byte_tokenizer, ending_tokenizer

from detox_bench.errors import DetoxBenchError
from detox_bench.tokenizer_overlap import relative_fertility, subword_overlap, tokenizer_predictors


def test_bytes_are_the_tokens_of_a_byte_tokenizer():
    found = tokenizer_predictors(byte_tokenizer(), ["abc", "a"], ["жб", "ab"])
    # Four letters against two of two bytes each, and two; d0 b6 d0 b1 a b and a b c.
    assert found == {"relative_fertility": 6 / 4, "subword_overlap": 2 / 6}


def test_tokens_that_a_tokenizer_adds_are_not_counted():
    found = tokenizer_predictors(ending_tokenizer(), ["a b"], ["ab c ab c"])
    assert found == {"relative_fertility": 2.0, "subword_overlap": 0.0}


def test_english_is_as_fine_as_itself_and_shares_all():
    sentences = ["one", "two"]
    found = tokenizer_predictors(byte_tokenizer(), sentences, sentences)
    assert set(found.values()) == {1.0}


def test_no_token_is_not_a_number():
    assert math.isnan(relative_fertility([1], [])) and math.isnan(subword_overlap([], []))
    assert relative_fertility([], [1]) == 0.0


@pytest.mark.parametrize("other", [[], ["a", "b"]])
def test_sentences_that_are_not_parallel_are_refused(other):
    with pytest.raises(DetoxBenchError, match="not the same ones"):
        tokenizer_predictors(byte_tokenizer(), ["a"], other)
