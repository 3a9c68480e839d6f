"""What of a prompt a model is given, and what ends a text."""

from types import SimpleNamespace

import pytest
from conftest import WINDOW, byte_tokenizer, ending_tokenizer, tiny_gpt2, tiny_llama

from detox_bench.modeling.tokens import prompt_tokens, stop_tokens_of, window_of


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        ("ab c", 10, (4, 3, 2)),  # <s> ab c, without the </s> that the tokenizer adds
        ("ab c", 2, (3, 2)),  # the end is what is kept
        ("", 10, (4,)),
    ],
)
def test_a_prompt_never_ends_in_the_end_of_a_text(text, room, expected):
    assert ending_tokenizer()(text)["input_ids"][-1] == 5
    assert prompt_tokens(ending_tokenizer(), text, room) == expected


def test_an_empty_prompt_is_the_end_token_where_nothing_begins_a_text():
    assert prompt_tokens(byte_tokenizer(), "", 10) == (256,)


def test_windows_are_those_of_the_configuration():
    assert window_of(tiny_gpt2()) == window_of(tiny_llama()) == WINDOW
    config = SimpleNamespace(get_text_config=SimpleNamespace)
    assert window_of(SimpleNamespace(config=config)) is None


@pytest.mark.parametrize(("own", "expected"), [([9, 3], [3, 5, 9]), (9, [5, 9]), (None, [5])])
def test_what_ends_a_text_is_told_by_tokenizer_and_settings(own, expected):
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=own))
    assert stop_tokens_of(model, ending_tokenizer()) == expected
