"""Mean hidden states: what they are, in what batches, edited or not."""

import logging

import numpy as np
import pytest
import torch
from architecture_models import tiny
from conftest import byte_tokenizer, ending_tokenizer, tiny_gpt2, tiny_llama

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.architectures import (
    ARCHITECTURES,
    blocks,
    down_projections,
    final_norm,
    value_vectors,
)
from detox_bench.modeling.hidden_states import StateSettings, mean_states, state_batches
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.types import NeuronId

TEXTS = ["abc", "a longer text, by far", "x", "zz yy xx", "über", "日本"]
BEFORE = StateSettings(after_norm=False)


def single(model, text):
    """Return the mean of the last hidden states that transformers itself returns."""
    ids = torch.tensor([byte_tokenizer()(text)["input_ids"]])
    with torch.no_grad():
        return model(ids, output_hidden_states=True).hidden_states[-1][0].mean(0).numpy()


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_states_are_the_mean_over_tokens_of_what_the_model_says_they_are(model_type):
    model = tiny(model_type)
    found = mean_states(model, byte_tokenizer(), TEXTS)
    wanted = np.array([single(model, text) for text in TEXTS])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_norm_of_a_state_before_it_is_the_state_behind_it(model_type):
    # Of one token, where a mean does not come between.
    model = tiny(model_type)
    before = torch.from_numpy(mean_states(model, byte_tokenizer(), ["x"], BEFORE))
    behind = torch.from_numpy(mean_states(model, byte_tokenizer(), ["x"]))
    with torch.no_grad():
        torch.testing.assert_close(final_norm(model)(before), behind, atol=1e-5, rtol=1e-5)


def test_a_model_without_a_final_norm():
    model = tiny("opt", _remove_final_layer_norm=True)
    assert isinstance(final_norm(model), torch.nn.Identity)
    behind = mean_states(model, byte_tokenizer(), TEXTS)
    assert np.array_equal(behind, mean_states(model, byte_tokenizer(), TEXTS, BEFORE))
    np.testing.assert_allclose(behind[0], single(model, TEXTS[0]), atol=1e-5)


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_llama])
def test_batches_change_nothing_but_rounding(make):
    model, texts = make(), [f"{'text ' * (n % 7)}{n}" for n in range(70)]
    one, many = (
        mean_states(model, byte_tokenizer(), texts, StateSettings(True, n)) for n in (1, 32)
    )
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_begin_and_end_tokens_count_as_the_papers_code_counts_them():
    model, tokenizer = tiny_gpt2(), ending_tokenizer()
    ids = torch.tensor([[4, 3, 5]])  # <s> ab </s>
    with torch.no_grad():
        wanted = model(ids, output_hidden_states=True).hidden_states[-1][0].mean(0).numpy()
    np.testing.assert_allclose(mean_states(model, tokenizer, ["ab"])[0], wanted, atol=1e-6)


def test_a_text_without_a_token_has_no_state_and_is_named(caplog):
    with caplog.at_level(logging.WARNING):
        found = mean_states(tiny_gpt2(), byte_tokenizer(), ["ab", "", "c"])
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()
    assert "1 texts have no token and no state: number 1" in caplog.text


def test_a_long_text_is_cut_to_the_window_and_counted(caplog):
    model = tiny_gpt2()  # its window is 128
    with caplog.at_level(logging.WARNING):
        found = mean_states(model, byte_tokenizer(), ["a" * 128 + "tail", "a" * 128])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert "1 texts were cut to the model's window of 128 tokens" in caplog.text


def test_texts_can_be_skipped_and_the_longest_come_first():
    batches = state_batches(
        tiny_gpt2(), byte_tokenizer(), TEXTS, StateSettings(True, 2), frozenset({0, 3})
    )
    # In bytes: 1 has 21, 3 has 8, 5 has 6, 4 has 5, 0 has 3, 2 has 1.
    assert [batch.texts for batch in batches] == [[1], [5, 4], [2]]


def test_an_edit_is_in_the_states():
    model, last, plus = tiny_gpt2(), 1, 0.75
    edit = intervention(base_model_of(model, "tiny"), "add", [(NeuronId(last, 5), plus)])
    before = mean_states(model, byte_tokenizer(), TEXTS, BEFORE)
    with edited(model, edit):
        after = mean_states(model, byte_tokenizer(), TEXTS, BEFORE)
    moved = plus * value_vectors(down_projections(model)[last])[5].numpy()
    np.testing.assert_allclose(after - before, np.tile(moved, (len(TEXTS), 1)), atol=1e-5)


def test_an_edit_of_generated_positions_is_at_the_last_token_of_each_text():
    """In whatever batch: of n tokens one is moved, and the mean by an n-th of that."""
    model, last, plus, texts = tiny_gpt2(), 1, 0.75, [*TEXTS, ""]
    edit = intervention(
        base_model_of(model, "tiny"), "add", [(NeuronId(last, 5), plus)], "generated"
    )
    vector = plus * value_vectors(down_projections(model)[last])[5].numpy()
    before = mean_states(model, byte_tokenizer(), texts, BEFORE)
    lengths = np.array([[len(text.encode())] for text in TEXTS])
    with edited(model, edit):
        for batch_size in (1, 2, 32):
            settings = StateSettings(after_norm=False, batch_size=batch_size)
            after = mean_states(model, byte_tokenizer(), texts, settings)
            np.testing.assert_allclose((after - before)[:-1], vector / lengths, atol=1e-5)
            assert np.isnan(after[-1]).all()


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_batches_do_not_matter_under_an_edit_of_generated_positions(model_type):
    model = tiny(model_type)
    edits = [(NeuronId(0, n), 2.0) for n in range(8)]
    edit = intervention(base_model_of(model, "tiny"), "add", edits, "generated")
    plain = mean_states(model, byte_tokenizer(), TEXTS)
    with edited(model, edit):
        one, many = (
            mean_states(model, byte_tokenizer(), TEXTS, StateSettings(True, n)) for n in (1, 32)
        )
    np.testing.assert_allclose(one, many, atol=1e-4)
    assert (np.abs(one - plain).max(-1) > 1e-3).all()


def test_an_adapter_is_in_the_states():
    peft = pytest.importorskip("peft")
    wrapped = peft.get_peft_model(
        tiny_gpt2(), peft.LoraConfig(r=2, target_modules=["c_proj"], init_lora_weights=False)
    )
    plain, adapted = (mean_states(m, byte_tokenizer(), TEXTS) for m in (tiny_gpt2(), wrapped))
    assert np.abs(plain - adapted).max() > 1e-3
    np.testing.assert_allclose(adapted[0], single(wrapped, TEXTS[0]), atol=1e-5)


def test_nothing_is_left_on_the_model_also_where_the_caller_stops_early():
    model = tiny_gpt2().train()
    blocks(model)[0].eval()
    batches = state_batches(model, byte_tokenizer(), TEXTS, StateSettings(True, 2))
    next(batches)
    assert not model.training
    batches.close()
    assert not final_norm(model)._forward_hooks
    assert model.training
    assert not blocks(model)[0].training


def test_states_that_are_no_numbers_are_refused():
    model = tiny_gpt2()
    model.transformer.ln_f.weight.data[0] = float("inf")
    with pytest.raises(DetoxBenchError, match=r"not finite numbers.*bfloat16"):
        mean_states(model, byte_tokenizer(), TEXTS)


def test_no_text_has_no_state():
    assert mean_states(tiny_gpt2(), byte_tokenizer(), []).shape == (0, 0)
