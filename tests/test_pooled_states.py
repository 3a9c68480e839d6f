"""Pooled states: equal to the definitions, whatever is run together; what has none says so."""

import logging
import sys

import numpy as np
import pytest
import torch
from conftest import (
    LAYERS,
    WIDTH,
    byte_tokenizer,
    ending_tokenizer,
    tiny_gpt2,
    tiny_llama,
    tiny_mamba,
)

from detox_bench.errors import DetoxBenchError, UnknownName
from detox_bench.modeling import pooled_states
from detox_bench.modeling.pooled_states import PoolingSettings, begin_tokens, pooled_batches
from detox_bench.modeling.poolings import POOLINGS
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.types import NeuronId

TEXTS = ["hello", "a longer sentence, number 1", "x", "نص قصير", "twelve bytes"]


def states_of(model, texts, tokenizer=None, **settings) -> np.ndarray:
    """Return ``(layers + 1, texts, hidden)`` in the order of the texts."""
    found = {}
    for batch in pooled_batches(
        model, tokenizer or byte_tokenizer(), texts, PoolingSettings(**settings)
    ):
        found.update(zip(batch.texts, batch.states.swapaxes(0, 1), strict=True))
    return np.stack([found[n] for n in range(len(texts))], axis=1)


def by_hand(model, tokens, weights) -> np.ndarray:
    """Return ``(layers + 1, hidden)``: one text alone, its states weighted as said."""
    with torch.no_grad():
        layers = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    weights = torch.tensor(weights, dtype=torch.float64)
    weighted = [(layer[0].double() * weights[:, None]).sum(0) / weights.sum() for layer in layers]
    return torch.stack(weighted).numpy()


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_llama])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_batches_of_1_and_32_agree_and_are_what_one_text_alone_gives(make, pooling):
    model = make()
    one, many = (states_of(model, TEXTS, pooling=pooling, batch_size=size) for size in (1, 32))
    assert one.shape == (LAYERS + 1, len(TEXTS), WIDTH) and one.dtype == np.float32
    np.testing.assert_allclose(one, many, atol=1e-5)
    for place, text in enumerate(TEXTS):
        tokens = byte_tokenizer()(text)["input_ids"]
        weights = {
            "mean": [1] * len(tokens),
            "legacy": [1] * len(tokens),
            "weighted": range(1, len(tokens) + 1),
            "last": [0] * (len(tokens) - 1) + [1],
        }[pooling]
        np.testing.assert_allclose(many[:, place], by_hand(model, tokens, weights), atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "weights"),
    [
        ("mean", [0, 1, 1, 1]),
        ("legacy", [1] * 4),
        ("weighted", [1, 2, 3, 4]),
        ("last", [0] * 3 + [1]),
    ],
)
def test_only_the_mean_leaves_out_a_begin_token_that_the_tokenizer_adds(pooling, weights):
    """``ab c`` becomes <s> ab c </s>: four tokens, the first of them added before the text."""
    tokenizer, model = ending_tokenizer(), tiny_gpt2()
    tokens = tokenizer("ab c")["input_ids"]
    assert tokens == [4, 3, 2, 5]
    found = states_of(model, ["ab c", "a b c ab a"], tokenizer, pooling=pooling)
    np.testing.assert_allclose(found[:, 0], by_hand(model, tokens, weights), atol=1e-5)


def test_begin_tokens_are_counted_where_the_tokenizer_adds_them():
    assert begin_tokens(ending_tokenizer()) == 1
    assert begin_tokens(ending_tokenizer(), special_tokens=False) == 0
    assert begin_tokens(byte_tokenizer()) == 0


def test_special_tokens_may_be_left_out_altogether():
    model, tokenizer = tiny_gpt2(), ending_tokenizer()
    found = states_of(model, ["ab c"], tokenizer, special_tokens=False)
    np.testing.assert_allclose(found[:, 0], by_hand(model, [3, 2], [1, 1]), atol=1e-5)


def test_a_long_text_is_cut_on_the_right_and_its_whole_length_told():
    model = tiny_gpt2()
    (batch,) = pooled_batches(model, byte_tokenizer(), ["abcdef"], PoolingSettings(window=4))
    assert batch.lengths == [6]
    np.testing.assert_allclose(batch.states, states_of(model, ["abcd"]), atol=1e-6)


def test_the_longest_come_first_and_texts_are_run_in_batches():
    batches = list(
        pooled_batches(tiny_gpt2(), byte_tokenizer(), TEXTS, PoolingSettings(batch_size=2))
    )
    assert [len(batch.texts) for batch in batches] == [2, 2, 1]
    lengths = [length for batch in batches for length in batch.lengths]
    assert lengths == sorted((len(text.encode()) for text in TEXTS), reverse=True)


def test_a_text_without_tokens_is_not_a_number_and_harms_no_other():
    found = states_of(tiny_gpt2(), ["abc", ""])
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_allclose(found[:, 0], states_of(tiny_gpt2(), ["abc"])[:, 0], atol=1e-6)


def test_pooling_is_in_float32_where_the_model_is_in_bfloat16():
    model = tiny_gpt2().bfloat16()
    found = states_of(model, ["a longer sentence"])
    tokens = byte_tokenizer()("a longer sentence")["input_ids"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], by_hand(model, tokens, [1] * len(tokens)), atol=1e-5)
    assert not torch.equal(torch.tensor(found), torch.tensor(found).bfloat16().float())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_pooling_is_in_float32_where_autocast_is_on(dtype):
    model, text = tiny_gpt2(), "a longer sentence"
    tokens = byte_tokenizer()(text)["input_ids"]
    with torch.autocast("cpu", dtype=dtype):
        found = states_of(model, [text])
        expected = by_hand(model, tokens, [1] * len(tokens))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)


def test_prompt_learning_is_refused_by_name_and_lora_is_not():
    peft = pytest.importorskip("peft")
    settings = {"task_type": "CAUSAL_LM"}
    tuned = peft.PromptTuningConfig(num_virtual_tokens=2, **settings)
    with pytest.raises(DetoxBenchError, match=r"prompt learning \(PromptTuningConfig\)"):
        states_of(peft.get_peft_model(tiny_gpt2(), tuned), TEXTS)
    lora = peft.LoraConfig(init_lora_weights=False, fan_in_fan_out=True, **settings)
    found = states_of(peft.get_peft_model(tiny_gpt2(), lora).eval(), TEXTS)
    assert np.abs(found - states_of(tiny_gpt2(), TEXTS)).max() > 1e-4


def test_models_without_attention_give_their_states_too():
    found = states_of(tiny_mamba(), TEXTS, batch_size=2)
    np.testing.assert_allclose(found, states_of(tiny_mamba(), TEXTS, batch_size=1), atol=1e-5)


@pytest.mark.parametrize("positions", ["all", "generated"])
def test_the_states_of_an_edited_model_do_not_depend_on_the_batch_either(positions):
    model = tiny_gpt2()
    edit = intervention(base_model_of(model, "tiny"), "add", [(NeuronId(0, 3), 5.0)], positions)
    plain = states_of(model, TEXTS)
    with edited(model, edit):
        one, many = (states_of(model, TEXTS, batch_size=size) for size in (1, 32))
    np.testing.assert_allclose(one, many, atol=1e-5)
    np.testing.assert_array_equal(one[0], plain[0])  # the embeddings are before any edit
    assert np.abs(one[1] - plain[1]).max(-1).min() > 0.01


def test_memory_that_runs_out_halves_the_batch(monkeypatch, caplog):
    sizes, handled = [], []
    run = pooled_states._Pass.__call__

    def scarce(self, sequences):
        sizes.append(len(sequences))
        if len(sequences) > 2:
            raise torch.OutOfMemoryError
        return run(self, sequences)

    monkeypatch.setattr(pooled_states._Pass, "__call__", scarce)
    empty = lambda: handled.append(sys.exc_info()[0])  # noqa: E731
    monkeypatch.setattr(torch.cuda, "empty_cache", empty)
    with caplog.at_level(logging.WARNING):
        found = states_of(tiny_gpt2(), TEXTS, batch_size=8)
    assert sizes == [5, 4, 2, 2, 1]
    assert "going on with batch size 2" in caplog.text
    assert np.isfinite(found).all()
    assert handled == [None, None], "an error that is being handled keeps the layers alive"


def test_a_pooling_that_is_none_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match=r"Unknown pooling 'means'\. Did you mean 'mean'"):
        states_of(tiny_gpt2(), TEXTS, pooling="means")


def test_a_model_that_returns_no_states_says_so():
    class Silent(torch.nn.Module):
        device = torch.device("cpu")

        @property
        def base_model(self):
            return self

        def forward(self, input_ids, **_):
            return object()

    with pytest.raises(DetoxBenchError, match="Silent returns no hidden states"):
        states_of(Silent(), TEXTS)
    with pytest.raises(DetoxBenchError, match="Linear returns no hidden states"):
        states_of(torch.nn.Linear(1, 1), TEXTS)
