"""Log-probabilities of continuations: what one text at a time gives, in any batch."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from conftest import (
    WINDOW,
    byte_tokenizer,
    ending_tokenizer,
    tiny_gpt2,
    tiny_llama,
    tiny_mamba,
    tiny_mistral,
)

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling import likelihood
from detox_bench.modeling.likelihood import (
    Continuation,
    fit,
    log_probabilities,
    perplexity,
)
from detox_bench.modeling.splitting import split_texts

TEXTS = [
    ("The cat sat", " on the mat."),
    ("The cat sat", " and slept."),
    ("The cat sat", ""),
    ("a", "b"),
    ("Привет, ", "мир и кот"),
    ("مرحبا", " بالعالم"),
    ("今日は", "雨です。"),
    ("नमस्ते", " दुनिया"),
    ("", "no prompt"),
    ("The cat sat", " and slept."),
]


def continuations():
    return split_texts(byte_tokenizer(), TEXTS)


def one_at_a_time(model, each):
    """Return the reference: one text, no padding, no cache, the whole log-softmax."""
    ids = torch.tensor([each.prompt + each.tokens])
    with torch.no_grad():
        table = model(input_ids=ids).logits[0].double().log_softmax(-1)
    begin = len(each.prompt)
    return [float(table[begin + n - 1, token]) for n, token in enumerate(each.tokens)]


def lora():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    settings = LoraConfig(r=2, init_lora_weights=False, target_modules=["q_proj", "lm_head"])
    return get_peft_model(tiny_llama(), settings).eval()


MODELS = {
    "gpt2": tiny_gpt2,
    "llama": tiny_llama,
    "llama with LoRA": lora,
    "sliding window": partial(tiny_mistral, sliding_window=6),
    "state space": tiny_mamba,
}


@pytest.mark.filterwarnings("ignore")  # peft: tied embeddings; mamba: no fast kernels
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_values_are_those_of_one_text_at_a_time_in_batches_of_any_size(make):
    model, given = make(), continuations()
    expected = [one_at_a_time(model, each) for each in given]
    for batch_tokens in (1, 60, 100_000):
        found = log_probabilities(model, given, batch_tokens)
        assert [len(values) for values in found] == [len(each.tokens) for each in given]
        for values, reference in zip(found, expected, strict=True):
            assert values == pytest.approx(reference, abs=1e-4)


def test_a_whole_prompt_of_continuations_is_one_prefill(monkeypatch):
    prefilled = []
    real = likelihood.CausalModel.prefill
    monkeypatch.setattr(
        likelihood.CausalModel,
        "prefill",
        lambda self, prompts: prefilled.extend(prompts) or real(self, prompts),
    )
    prompt = tuple(range(30))
    log_probabilities(tiny_gpt2(), [Continuation(prompt, (n, n)) for n in range(25)])
    assert prefilled == [prompt]


def test_equal_continuations_are_computed_once(monkeypatch):
    seen = []
    real = likelihood._score
    monkeypatch.setattr(
        likelihood, "_score", lambda model, batch: seen.extend(batch) or real(model, batch)
    )
    first, second = log_probabilities(tiny_gpt2(), [Continuation((1,), (2, 3))] * 2)
    assert len(seen) == 1
    assert first.tolist() == second.tolist()


def test_every_module_stays_in_its_own_mode_and_dropout_is_off():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=257, n_embd=16, n_layer=1, n_head=2, resid_pdrop=0.9)
    model = GPT2LMHeadModel(config).train()
    model.transformer.h[0].eval()
    modes = [module.training for module in model.modules()]
    first, second = (log_probabilities(model, continuations()) for _ in range(2))
    assert [module.training for module in model.modules()] == modes
    assert {True, False} == set(modes)
    for one, other in zip(first, second, strict=True):
        assert one.tolist() == other.tolist()


def test_a_model_can_be_trained_after_it_was_asked():
    model = tiny_llama().train()
    log_probabilities(model, continuations())
    ids = torch.tensor([[1, 2, 3]])
    model(input_ids=ids, labels=ids).loss.backward()
    assert model.lm_head.weight.grad.abs().sum() > 0


def test_nothing_asked_nothing_found():
    assert log_probabilities(tiny_gpt2(), []) == []
    assert split_texts(byte_tokenizer(), []) == []


def test_a_first_token_without_a_prompt_has_no_probability():
    model = tiny_gpt2()
    (bare,) = log_probabilities(model, [Continuation((), (5, 6, 7))])
    (rest,) = log_probabilities(model, [Continuation((5,), (6, 7))])
    assert len(bare) == 2
    assert bare.tolist() == rest.tolist()


def test_a_prompt_is_cut_on_the_left_to_the_window_and_the_log_says_so(caplog):
    model, tokens = tiny_gpt2(), (1, 2, 3)
    long = tuple(n % 200 for n in range(WINDOW))
    with caplog.at_level(logging.WARNING):
        (cut,) = log_probabilities(model, [Continuation(long, tokens)])
    assert "1 prompts were cut" in caplog.text
    (kept,) = log_probabilities(model, [Continuation(long[3:], tokens)])
    assert cut.tolist() == kept.tolist()


def test_a_continuation_longer_than_the_window_is_refused_in_a_sentence():
    with pytest.raises(DetoxBenchError, match=f"{WINDOW} tokens does not fit a window of {WINDOW}"):
        log_probabilities(tiny_gpt2(), [Continuation((1,), (2,) * WINDOW)])


def test_fit_cuts_no_more_than_needed():
    assert fit(Continuation((1, 2, 3), (4, 5)), 4) == Continuation((2, 3), (4, 5))
    assert fit(Continuation((1, 2, 3), (4, 5)), 5) == Continuation((1, 2, 3), (4, 5))
    assert fit(Continuation((1, 2, 3), (4, 5)), None) == Continuation((1, 2, 3), (4, 5))


def test_logits_that_are_not_numbers_are_refused():
    model = tiny_gpt2()
    torch.nn.init.constant_(model.transformer.ln_f.weight, np.nan)
    with pytest.raises(DetoxBenchError, match="NaN"):
        log_probabilities(model, continuations())


def test_the_split_is_where_the_continuation_begins():
    (each,) = split_texts(byte_tokenizer(), [("مرحبا", " abc")])
    assert len(each.prompt) == len("مرحبا".encode())
    assert byte_tokenizer().decode(each.tokens) == " abc"


class WithoutOffsets:
    """The same tokenizer, as one that gives no offsets."""

    is_fast = False

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)

    def __call__(self, text, **options):
        return self._tokenizer(text, **options)


@pytest.mark.parametrize("wrap", [lambda tokenizer: tokenizer, WithoutOffsets])
@pytest.mark.parametrize(
    ("prompt", "continuation", "expected"),
    [
        ("c", "a", Continuation((4, 2), (0,))),
        ("ca", "bc", Continuation((4, 2), (3, 2))),  # the token ab is of both: continuation
        ("", "ab", Continuation((4,), (3,))),
        ("ab", "", Continuation((4, 3), ())),
        ("", "", Continuation((4,), ())),
    ],
)
def test_special_tokens_stay_before_and_straddling_ones_go_behind(
    wrap, prompt, continuation, expected
):
    assert split_texts(wrap(ending_tokenizer()), [(prompt, continuation)]) == [expected]


def test_an_empty_prompt_takes_the_end_token_where_there_is_no_begin_token():
    (each,) = split_texts(byte_tokenizer(), [("", "a")])
    assert each.prompt == (256,)


def test_perplexity_is_worked_by_hand():
    # Two tokens of probability 1/2 and 1/8: the geometric mean is 1/4.
    assert perplexity(np.log([0.5, 0.125])) == pytest.approx(4.0)
    assert perplexity([]) is None
