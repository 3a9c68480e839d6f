"""Models and tokenizers from folders: no code of theirs is run, and damage is one sentence."""

import json
import shutil

import pytest

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.loading import load_causal_model, load_tokenizer


@pytest.fixture
def folder(gpt2_folder, tmp_path):
    copied = tmp_path / "model"
    shutil.copytree(gpt2_folder, copied)
    return copied


def change(folder, **settings):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


def test_a_model_is_loaded_with_its_tokenizer_and_window(folder):
    loaded = load_causal_model(str(folder), "cpu")
    assert (loaded.window, loaded.stop_tokens) == (128, [256])
    assert not loaded.model.training


def test_no_code_out_of_a_folder_is_run_even_if_asked(folder, tmp_path, monkeypatch):
    mark = tmp_path / "was-run"
    (folder / "evil.py").write_text(
        "from pathlib import Path\n"
        "from transformers import GPT2Config, GPT2LMHeadModel\n"
        f"Path({str(mark)!r}).touch()\n"
        "class Evil(GPT2LMHeadModel): pass\n"
        "class EvilConfig(GPT2Config): model_type = 'evil'\n"
    )
    targets = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.Evil"}
    change(folder, auto_map=targets, model_type="evil")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(DetoxBenchError, match="cannot be loaded"):
        load_causal_model(str(folder), "cpu")
    assert not mark.exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"n_layer": "three"},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"model_type": None},
    ],
)
def test_a_config_that_cannot_be_is_one_sentence(folder, settings):
    change(folder, **settings)
    with pytest.raises(DetoxBenchError, match="cannot be loaded as a causal language model"):
        load_causal_model(str(folder), "cpu")


@pytest.mark.parametrize("kept", [0, 10, 2000])
def test_damaged_weights_are_one_sentence(folder, kept):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DetoxBenchError, match="cannot be loaded"):
        load_causal_model(str(folder), "cpu")


@pytest.mark.parametrize("device", ["cuda:77", "nonsense"])
def test_a_device_that_is_not_there_is_one_sentence(folder, device):
    with pytest.raises(DetoxBenchError, match="cannot be loaded"):
        load_causal_model(str(folder), device)


def test_a_folder_without_a_tokenizer_is_one_sentence(tmp_path):
    with pytest.raises(DetoxBenchError, match="No tokenizer could be loaded"):
        load_tokenizer(str(tmp_path))
