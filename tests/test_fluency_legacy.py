"""``legacy-mt5`` against a transcription of the paper's description, on a tiny random mT5."""

import math

import numpy as np
import pytest
import torch
from conftest import END, byte_tokenizer

from detox_bench.errors import DetoxBenchError
from detox_bench.fluency import load_language_model, run_perplexity
from detox_bench.fluency_legacy import HIGHEST, legacy_probabilities
from detox_bench.stored_texts import PromptSamples

PAIRS = [
    ("The cat", " sat."),
    ("The cat", " slept for a long time"),
    ("Привет, ", "мир"),
    ("مرحبا", " بالعالم"),
    ("今日は", "雨です。"),
    ("", "no prompt"),
]


def ending_bytes():
    """Return the byte tokenizer with an end behind every text, as mT5's has it."""
    from tokenizers.processors import TemplateProcessing

    made = byte_tokenizer()
    special = [(END, made.eos_token_id)]
    made.backend_tokenizer.post_processor = TemplateProcessing(f"$0 {END}", special_tokens=special)
    return made


def tiny_mt5(scale=0.5):
    from transformers import MT5Config, MT5ForConditionalGeneration

    torch.manual_seed(0)
    config = MT5Config(
        vocab_size=257,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        initializer_factor=scale,
        eos_token_id=256,
        pad_token_id=0,
        decoder_start_token_id=0,
    )
    return MT5ForConditionalGeneration(config).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("mt5")
    tiny_mt5().save_pretrained(made)
    ending_bytes().save_pretrained(made)
    return made


def described(model, tokenizer, prompt, continuation):
    """Return what the paper's code does with one text: labels are the inputs, no batch."""

    def loss_and_length(text):
        ids = torch.tensor([tokenizer.encode(text)])
        with torch.no_grad():
            return float(model(ids, labels=ids).loss), ids.shape[1]

    full, n_full = loss_and_length(prompt + continuation)
    before, n_prompt = loss_and_length(prompt)
    return math.exp((full * (n_full - 1) - before * (n_prompt - 1)) / (n_full - n_prompt))


@pytest.mark.parametrize("batch_tokens", [1, 60, 512])
def test_values_are_those_described_in_batches_of_any_size(batch_tokens):
    model, tokenizer = tiny_mt5(), ending_bytes()
    found = legacy_probabilities(model, tokenizer, PAIRS, batch_tokens)
    expected = [described(model, tokenizer, *pair) for pair in PAIRS]
    assert [1 / value for value in found] == pytest.approx(expected, rel=1e-4)


def test_what_is_at_least_ten_thousand_is_left_out():
    model, tokenizer = tiny_mt5(scale=0.8), ending_bytes()
    expected = [described(model, tokenizer, *pair) for pair in PAIRS]
    assert min(expected) < HIGHEST <= max(expected)
    found = legacy_probabilities(model, tokenizer, PAIRS)
    assert [value is None for value in found] == [value >= HIGHEST for value in expected]


def test_a_continuation_without_tokens_has_none():
    assert legacy_probabilities(tiny_mt5(), ending_bytes(), [("The cat", "")]) == [None]


def test_it_is_not_the_likelihood_of_the_continuation_given_the_prompt():
    model, tokenizer = tiny_mt5(), ending_bytes()
    prompt, continuation = PAIRS[0]
    with torch.no_grad():
        asked = torch.tensor([tokenizer.encode(prompt)])
        wanted = torch.tensor([tokenizer.encode(continuation)])
        conditional = math.exp(model(asked, labels=wanted).loss)
    (found,) = legacy_probabilities(model, tokenizer, [PAIRS[0]])
    assert 1 / found != pytest.approx(conditional, rel=1e-2)


def test_it_is_reached_by_name_and_kept_apart_in_the_cache(folder):
    loaded = load_language_model(f"legacy-mt5:{folder}", "cpu")
    assert loaded.id.startswith("legacy-mt5@")
    samples = [PromptSamples("en", "a", (" sat.", "", " slept for a long time"))]
    found, again = (run_perplexity(loaded, samples, {"a": "The cat"})["en"] for _ in range(2))
    expected = [described(loaded.model, loaded.tokenizer, *pair) for pair in PAIRS[:2]]
    assert found.values["a"] == pytest.approx(expected, rel=1e-4)
    assert (found.n_empty, found.n_dropped) == (1, 0)
    np.testing.assert_allclose(again.values["a"], found.values["a"], rtol=1e-12)


def test_a_model_without_an_encoder_is_refused_in_a_sentence(gpt2_folder):
    with pytest.raises(DetoxBenchError, match="cannot be loaded as a sequence-to-sequence model"):
        load_language_model(f"legacy-mt5:{gpt2_folder}", "cpu")
