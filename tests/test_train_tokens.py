"""Pairs as token ids, with the byte tokenizer: one token a byte, 256 ends a text."""

from types import SimpleNamespace

import pytest
from conftest import END, byte_tokenizer

from detox_bench.trainers.checks import mend_pad_token
from detox_bench.trainers.splitting import split
from detox_bench.trainers.tokens import Cutting, tokenise
from detox_bench.types import PreferencePair

EOS = 256


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


def pair(prompt="ab", chosen="cd", rejected="ef", **more):
    return PreferencePair("0", prompt, chosen, rejected, **more)


def text(tokenizer, ids):
    return tokenizer.decode(ids)


def test_prompt_and_continuations_are_split_where_they_were_joined(tokenizer):
    (found,) = tokenise([pair(" x", " y", " zz")], tokenizer, Cutting(20, 10)).pairs
    assert text(tokenizer, found.prompt) == " x"
    assert text(tokenizer, found.chosen) == " y"
    assert text(tokenizer, found.rejected) == " zz"


@pytest.mark.parametrize(
    ("append", "complete", "ends"),
    [
        ("auto", False, False),
        ("auto", True, True),
        ("always", False, True),
        ("never", True, False),
    ],
)
def test_end_of_text_is_put_where_it_was_asked_for(tokenizer, append, complete, ends):
    cutting = Cutting(20, 10, append_eos=append)
    (found,) = tokenise([pair(complete=complete)], tokenizer, cutting).pairs
    assert (found.chosen[-1] == EOS, found.rejected[-1] == EOS) == (ends, ends)


def test_the_end_or_the_start_of_a_long_prompt_is_kept_and_counted(tokenizer):
    for keep, kept in (("end", "789"), ("start", "012")):
        found = tokenise([pair("0123456789")], tokenizer, Cutting(20, 3, keep))
        assert text(tokenizer, found.pairs[0].prompt) == kept
        assert found.cut["prompt cut"] == 1


def test_a_sequence_is_cut_at_its_end_and_counted(tokenizer):
    found = tokenise([pair("ab", "cdefgh", "xy")], tokenizer, Cutting(5, 3))
    assert text(tokenizer, found.pairs[0].chosen) == "cde"
    assert text(tokenizer, found.pairs[0].rejected) == "xy"
    assert found.cut["continuation cut"] == 1


def test_a_pair_that_is_the_same_after_cutting_is_dropped_and_counted(tokenizer):
    found = tokenise([pair("ab", "same 1", "same 2"), pair()], tokenizer, Cutting(6, 3))
    assert len(found.pairs) == 1
    assert found.dropped == {"chosen and rejected are the same tokens": 1}


def test_an_empty_prompt_begins_with_the_end_of_text_token(tokenizer):
    (found,) = tokenise([pair("")], tokenizer, Cutting(20, 10)).pairs
    assert found.prompt == [EOS], "a model predicts no first token"


def test_the_fingerprint_knows_tokens_lengths_and_order(tokenizer):
    two = [pair(), pair("q")]
    base = tokenise(two, tokenizer, Cutting(20, 10)).fingerprint
    assert tokenise(list(two), tokenizer, Cutting(20, 10)).fingerprint == base
    assert tokenise(two[::-1], tokenizer, Cutting(20, 10)).fingerprint != base
    assert tokenise(two, tokenizer, Cutting(3, 2)).fingerprint != base


def test_a_split_keeps_the_pairs_of_a_prompt_together_and_is_the_same_again():
    pairs = [PreferencePair(str(n), f"p{n // 3}", "c", f"r {n}") for n in range(300)]
    train, held_out = split(pairs, 0.1, seed=0)
    assert len(held_out) == 30 and len(train) == 270
    assert not {each.prompt for each in train} & {each.prompt for each in held_out}
    assert split(pairs, 0.1, seed=0) == (train, held_out)
    assert split(pairs, 0.1, seed=1) != (train, held_out)
    alone = [PreferencePair(str(n), "", "c", f"r {n}") for n in range(20)]
    assert len(split(alone, 0.1, seed=0)[1]) == 2, "without prompts it goes pair by pair"
    # One rejected text, cut into prompt and continuation in two ways.
    cut = [
        PreferencePair(str(n), "a fool"[: n % 2 * 2], "c", "a fool"[n % 2 * 2 :]) for n in (0, 1)
    ]
    other = [PreferencePair(str(n), f"p{n}", "c", "r") for n in range(2, 40)]
    for seed in range(20):
        held_out = {pair.id for pair in split([*cut, *other], 0.2, seed)[1]}
        assert len(held_out & {"0", "1"}) in (0, 2)


def test_a_pad_token_equal_to_end_of_text_is_replaced_where_the_tokenizer_has_another():
    mine = byte_tokenizer()
    mine.pad_token = END
    assert "has no other" in mend_pad_token(mine)
    assert mine.pad_token == END
    with_pad = byte_tokenizer()
    with_pad.add_special_tokens({"additional_special_tokens": ["<pad>"]})
    with_pad.pad_token = END
    assert "'<pad>'" in mend_pad_token(with_pad)
    assert with_pad.pad_token == "<pad>"
    assert mend_pad_token(with_pad) is None


def test_a_tokenizer_that_ends_every_text_does_not_end_ours(tokenizer):
    ending = SimpleNamespace(eos_token_id=EOS, bos_token_id=None)
    made = type(
        "Ending",
        (),
        {
            "__call__": lambda self, texts: {
                "input_ids": [[*tokenizer(t)["input_ids"], EOS] for t in texts]
            }
        },
    )()
    made.__dict__.update(ending.__dict__)
    (found,) = tokenise([pair()], made, Cutting(20, 10)).pairs
    assert EOS not in (*found.prompt, *found.chosen, *found.rejected)
