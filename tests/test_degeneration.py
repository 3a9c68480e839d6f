"""Short, copied and repeated texts, counted by hand."""

import pytest

from detox_bench.quality.degeneration import (
    common_rate,
    duplicate_rate,
    prompt_copy,
    prompts_by_text,
    short_rate,
)


def test_fewer_than_three_words_are_short_and_empty_ones_do_not_count():
    assert short_rate(["", " \n", "one two", "one two three", "one", "a b c d"]) == 2 / 4
    assert short_rate(["", " "]) is None


def test_fewer_than_six_characters_are_short_without_spaces():
    assert short_rate(["今日は雨", "今日は 雨です", "今日は雨だ"], spaced=False) == 2 / 3


def test_a_copy_of_the_prompt_is_1_and_a_text_of_its_own_0():
    prompt = "The cat sat on the mat"
    assert prompt_copy([f" {prompt}", prompt + "\n"], prompt) == 1.0
    assert prompt_copy(["and then the cat slept"], prompt) == 0.0
    assert prompt_copy(["", " "], prompt) is None


def test_copied_is_the_share_of_words_inside_a_run_of_three_that_the_prompt_has():
    prompt = "The cat sat on the mat"
    # "cat sat on" and "sat on the" hold 4 of these 6 words; "The cat" alone is no run of three.
    assert prompt_copy(["a cat sat on the roof"], prompt) == 4 / 6
    assert prompt_copy(["The cat slept well"], prompt) == 0.0
    # The mean over the texts that are not empty.
    assert prompt_copy(["a cat sat on the roof", "no", ""], prompt) == 4 / 12


def test_a_short_text_is_copied_if_the_prompt_has_it_as_it_is():
    assert prompt_copy(["the mat"], "on the mat") == 1.0
    assert prompt_copy(["mat the"], "on the mat") == 0.0
    assert prompt_copy(["on the mat"], "mat") == 0.0
    assert prompt_copy(["mat"], "") == 0.0


def test_six_characters_are_a_run_without_spaces():
    prompt = "今日はとても良い天気です"
    assert prompt_copy([prompt], prompt, spaced=False) == 1.0
    # Seven of nine characters lie inside runs of six: 今日はとても and 日はとても良.
    assert prompt_copy(["今日はとても良く晴"], prompt, spaced=False) == 7 / 9
    assert prompt_copy(["今日はとて、嫌"], prompt, spaced=False) == 0.0


def test_duplicates_are_those_after_the_first():
    assert duplicate_rate(["a", " a", "b", "a\n", ""]) == 2 / 4
    assert duplicate_rate(["a", "b"]) == 0.0
    assert duplicate_rate(["a", "", " "]) is None


def test_common_texts_are_those_that_another_prompt_has_too():
    samples = [["a", "a", "b", ""], ["b ", "c"], ["", "d"]]
    known = prompts_by_text(samples)
    # "a" stands twice, but in one prompt; "b" in two.
    assert [common_rate(texts, known) for texts in samples] == [1 / 3, 1 / 2, 0.0]
    assert common_rate([" "], known) is None


def test_a_hash_of_eight_bytes_stands_for_a_text():
    known = prompts_by_text([["x" * 10_000]])
    assert [len(key) for key in known] == [8]


@pytest.mark.parametrize("text", ["\ud800 lone", "emoji 🌧 rain"])
def test_any_text_can_be_counted(text):
    assert common_rate([text], prompts_by_text([[text], [text]])) == 1.0
