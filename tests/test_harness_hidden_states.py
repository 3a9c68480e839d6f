"""Hidden states as a request type: every model answers, those without states with why."""

import json
import logging
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import detox_hf
from lm_eval.api.instance import Instance
from lm_eval.models.dummy import DummyLM
from lm_eval.models.hf_steered import SteeredModel
from lm_eval.models.huggingface import HFLM

from detox_bench.harness import hidden_states
from detox_bench.harness.hidden_states import (
    REQUEST,
    HiddenStates,
    NoHiddenStates,
    install,
    layers_of,
)
from detox_bench.modeling.pooled_states import PoolingSettings, pooled_batches

install()


def ask(model, *texts: str, pooling: str = "mean") -> list:
    requests = [Instance(REQUEST, {}, (text, pooling), n) for n, text in enumerate(texts)]
    return getattr(model, REQUEST)(requests, disable_tqdm=True)


@pytest.fixture(scope="module")
def model(gpt2_folder):
    return detox_hf(gpt2_folder, batch_size=4)


def test_stock_hf_and_detox_hf_give_the_states_of_the_model(gpt2_folder, model):
    texts = ["one", "two of them", "one"]
    stock = HFLM(str(gpt2_folder), device="cpu", dtype="float32", batch_size=1)
    for asked in (model, stock):
        found = ask(asked, *texts)
        for text, states in zip(texts, found, strict=True):
            settings = PoolingSettings(batch_size=1)
            (alone,) = pooled_batches(model.model, model.tokenizer, [text], settings)
            np.testing.assert_allclose(states.array, alone.states[:, 0], atol=1e-5)
            assert states.tokens == len(text.encode()) and not states.cut


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision_gives_float32_near_the_whole(gpt2_folder, model, dtype):
    mixed = detox_hf(gpt2_folder, mixed_precision_dtype=dtype)
    (found,), (whole,) = ask(mixed, "a text"), ask(model, "a text")
    assert isinstance(found, HiddenStates) and found.array.dtype == np.float32
    np.testing.assert_allclose(found.array, whole.array, atol=0.05)
    np.testing.assert_allclose(found.array[0], whole.array[0], atol=1e-6)  # no product before it


def test_a_text_is_run_once_however_often_it_is_asked(model, monkeypatch):
    run = []
    real = hidden_states._run
    monkeypatch.setattr(
        hidden_states, "_run", lambda m, t, *_: (run.append(list(t)), real(m, t, *_))[1]
    )
    found = ask(model, "b", "a", "b", "b")
    assert run == [["b", "a"]]
    assert found[0] is found[2] is found[3]


def test_each_pooling_is_answered_by_its_own(model):
    requests = [Instance(REQUEST, {}, ("a text", name), 0) for name in ("mean", "last", "mean")]
    first, last, again = getattr(model, REQUEST)(requests, disable_tqdm=True)
    assert first is again and not np.allclose(first.array, last.array)


def test_states_are_written_as_shape_and_hash_and_sent_as_numbers(model):
    (states,) = ask(model, "a text")
    shown = str(states)
    assert shown == f"3 x 16 float32 sha256:{states.sha256[:12]}"
    assert len(repr(states)) < 200
    sent = pickle.loads(pickle.dumps(states))
    assert type(sent.array) is np.ndarray and type(states.array) is np.memmap
    np.testing.assert_array_equal(sent.array, states.array)
    assert (sent.sha256, sent.tokens, sent.cut) == (states.sha256, states.tokens, states.cut)


def test_layers_come_one_after_the_other_in_the_order_asked(model):
    found = ask(model, "a long sentence first", "b", "cd")
    layers = list(layers_of([found[2], found[0]]))
    assert [layer.shape for layer in layers] == [(2, 16)] * 3
    np.testing.assert_array_equal(layers[1], np.stack([found[2].array[1], found[0].array[1]]))


def test_texts_longer_than_the_window_are_cut_and_marked(gpt2_folder):
    short = detox_hf(gpt2_folder, max_length=8)
    long, fits = ask(short, "more than eight", "eight by")
    assert (long.cut, long.tokens, fits.cut) == (True, 15, False)
    np.testing.assert_allclose(long.array, ask(short, "more tha")[0].array, atol=1e-6)


def test_a_backend_without_states_says_why_once(caplog):
    with caplog.at_level(logging.WARNING):
        found = ask(DummyLM(), "a", "b")
    assert (
        found == [NoHiddenStates("DummyLM gives no hidden states. Use --model hf or detox-hf.")] * 2
    )
    (record,) = caplog.records
    assert "The retrieval tasks report NaN; everything else is as always." in record.message
    assert json.dumps(str(found[0]))


@pytest.mark.parametrize(
    ("kind", "attributes", "words"),
    [
        (SteeredModel, {}, "hooks of lm-eval's steered model .* Use --model detox-hf"),
        (HFLM, {"backend": "seq2seq"}, "t5 is an encoder-decoder model"),
    ],
)
def test_models_whose_states_would_mislead_are_refused_by_name(kind, attributes, words):
    made = kind.__new__(kind)
    made.__dict__.update(attributes, _config=SimpleNamespace(model_type="t5"))
    (found,) = ask(made, "a")
    assert isinstance(found, NoHiddenStates)
    assert re.search(words, found.reason)


def test_a_full_disk_is_a_sentence_and_loses_nothing_else(model, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hidden_states.os, "posix_fallocate", full, raising=False)
    (found,) = ask(model, "a")
    assert "GiB in" in found.reason and "No space left on device" in found.reason


def test_a_pooling_that_is_none_is_a_sentence(model):
    (found,) = ask(model, "a", pooling="max")
    assert "Unknown pooling 'max'" in found.reason


def test_the_file_of_the_states_has_no_name_and_goes_with_them(model, tmp_path, monkeypatch):
    monkeypatch.setattr(hidden_states.tempfile, "tempdir", str(tmp_path))
    found = ask(model, "a", "b")
    assert isinstance(found[0], HiddenStates) and not list(tmp_path.iterdir())
