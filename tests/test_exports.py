"""Every format an edit is exported to does what the hooks do, or is refused."""

import json
import re
from pathlib import Path

import pytest
import torch
from architecture_models import tiny
from conftest import tiny_gpt2
from export_doubles import LATER, TEXTS, Asking

from detox_bench.errors import BadData, BadIntervention, DetoxBenchError
from detox_bench.modeling.architectures import ARCHITECTURES
from detox_bench.neurons.edit.editing import edited
from detox_bench.neurons.edit.interventions import read_intervention
from detox_bench.neurons.fold.exports import FORMATS, running, usage
from detox_bench.neurons.fold.verification import VerificationSettings, verify
from detox_bench.types import NeuronId

IDS = torch.arange(14).view(2, 7)


@pytest.fixture
def ask(tmp_path):
    return Asking(tmp_path)


def hooked(model, file):
    with torch.no_grad(), edited(model, read_intervention(file)):
        return model(IDS).logits


def logits(folder, base):
    with torch.no_grad(), running(folder, str(base)) as model:
        return model(IDS).logits


def close(folder, model, tmp_path):
    wanted = hooked(model, tmp_path / "edit.json")
    found = logits(folder, tmp_path / "base")
    assert (found - wanted).abs().max() <= 1e-5 * max(1.0, float(wanted.abs().max()))
    with torch.no_grad():
        assert (model(IDS).logits - wanted).abs().max() > 1e-3


#: Models of each kind of bias and block: by default, by a setting, scaled, none, normalised after.
EXACT = {
    ("hf", "add"): {"gpt2", "llama", "granite", "opt"},
    ("hf", "scale"): {"qwen3", "gemma3"},
    ("ia3", "scale"): {"gpt2", "opt", "gemma3"},
    ("ia3", "aura"): {"llama"},
    ("lora-bias", "add"): {"gpt2", "qwen3", "gemma3"},
    ("lora-bias", "set"): {"opt", "llama"},
    ("lora-bias", "scale"): {"gpt2", "qwen3"},
    ("steered", "add"): {"gpt2", "opt", "qwen3", "gemma3"},
    ("control-vector", "add"): {"gpt2", "llama", "granite", "opt", "qwen3"},
}


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize(
    ("to", "operator", "kind"),
    [(*key, kind) for key, kinds in EXACT.items() for kind in sorted(kinds)],
)
def test_every_format_does_what_the_hooks_do(to, operator, kind, ask, tmp_path):
    settings = {"residual_multiplier": 0.3} if kind == "granite" else {}
    model = tiny(kind, **settings)
    out = ask(model, operator, to)
    close(out, model, tmp_path)
    edit = read_intervention(out / "intervention.json")
    assert edit.sha256 == read_intervention(tmp_path / "edit.json").sha256
    assert edit.provenance["command"] == "x"
    assert edit.provenance["export"]["to"] == to
    assert json.loads((out / "verification.json").read_text())["failure"] is None
    assert not list(out.glob(".*"))


@pytest.mark.parametrize(
    ("to", "operator", "kind", "reason", "instead"),
    [
        ("hf", "add", "qwen3", "no bias|have none", "--to lora-bias, --to steered, --to control-v"),
        ("hf", "set", "gemma3", "have none", "--to lora-bias, or the operator scale"),
        ("ia3", "add", "gpt2", "multiplies only", "--to hf, --to lora-bias, --to steered"),
        ("steered", "set", "gpt2", "only adds", "--to hf, --to lora-bias, or"),
        ("steered", "scale", "gpt2", "only adds", r"--to hf, --to ia3, --to lora-bias\."),
        ("control-vector", "scale", "gpt2", "only adds", "--to hf, --to ia3"),
        ("control-vector", "add", "gemma3", "'gemma3' normalises", "--to lora-bias, --to steered"),
    ],
)
def test_a_refusal_names_what_is_exact_instead(to, operator, kind, reason, instead, ask, tmp_path):
    with pytest.raises(BadIntervention, match=reason) as caught:
        ask(tiny(kind), operator, to)
    assert re.search(instead, str(caught.value)), str(caught.value)
    assert ask.left() == ["base", "edit.json"]


def test_an_opt_that_normalises_after_the_mlp_has_no_control_vector(ask):
    """As opt-350m does, by a setting."""
    model = tiny("opt", do_layer_norm_before=False)
    with pytest.raises(BadIntervention, match=r"'opt' normalises what the MLP wrote.*--to steered"):
        ask(model, "add", "control-vector")
    ask(model, "add", "steered")


def test_a_control_vector_has_no_layer_0(ask):
    with pytest.raises(BadIntervention, match="no direction for layer 0"):
        ask(tiny("gpt2"), "add", "control-vector", edits=[(NeuronId(0, 3), 0.5), *LATER])


@pytest.mark.parametrize("to", FORMATS)
def test_generated_positions_are_refused_by_every_format(to, ask):
    with pytest.raises(BadIntervention, match="generated positions only, and weights act on every"):
        ask(tiny("gpt2"), "scale", to, positions="generated")


def test_ablating_by_set_needs_no_bias(ask, tmp_path):
    model = tiny("qwen3")
    out = ask(model, "set", edits=[(neuron, 0.0) for neuron, _ in LATER])
    close(out, model, tmp_path)


def test_the_control_vector_is_what_llama_cpp_and_repeng_read(ask, tmp_path):
    """direction.2 is 0.75 times the residual multiplier times the value vector of neuron 2:3."""
    import gguf

    model = tiny("granite", residual_multiplier=0.3)
    reader = gguf.GGUFReader(ask(model, "add", "control-vector") / "control-vector.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "controlvector"
    assert fields["controlvector.model_hint"] == "granite"
    assert fields["controlvector.layer_count"] == 2
    tensors = {each.name: each for each in reader.tensors}
    assert list(tensors) == ["direction.1", "direction.2"]
    assert tensors["direction.2"].tensor_type == gguf.GGMLQuantizationType.F32
    wanted = 0.75 * 0.3 * model.model.layers[2].mlp.down_proj.weight[:, 3].detach()
    torch.testing.assert_close(torch.from_numpy(tensors["direction.2"].data.copy()), wanted)


def test_lm_evals_own_steered_model_takes_the_file(ask, tmp_path):
    from lm_eval.models.hf_steered import SteeredModel

    model = tiny("llama")
    out = ask(model, "add", "steered")
    steered = SteeredModel(
        str(tmp_path / "base"), str(out / "steering.pt"), device="cpu", dtype="float32"
    )
    wanted = hooked(model, tmp_path / "edit.json")
    torch.testing.assert_close(steered.forward(IDS).logits, wanted, atol=5e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize(("to", "operator"), [("ia3", "scale"), ("lora-bias", "set")])
def test_peft_itself_loads_the_adapters(to, operator, ask, tmp_path):
    """On exactly the edited layers; where the model has biases the adapter merges too."""
    from peft import PeftModel

    model = tiny_gpt2()
    edits = [(NeuronId(1, 5), 0.9), (NeuronId(1, 7), 0.6)]
    out = ask(model, operator, to, edits=edits)
    wanted = hooked(model, tmp_path / "edit.json")
    wrapped = PeftModel.from_pretrained(model, out).eval()
    with torch.no_grad():
        torch.testing.assert_close(wrapped(IDS).logits, wanted, atol=1e-5, rtol=1e-5)
        merged = wrapped.merge_and_unload()
        torch.testing.assert_close(merged(IDS).logits, wanted, atol=1e-5, rtol=1e-5)
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["target_modules"] == ["transformer.h.1.mlp.c_proj"]
    assert config["base_model_name_or_path"] == str((tmp_path / "base").resolve())
    if to == "lora-bias":
        assert config["r"] == config["lora_alpha"] == 2
    assert (out / "tokenizer.json").is_file()


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize("to", ["hf", "lora-bias", "steered", "control-vector"])
def test_verify_takes_the_folder_of_any_export(to, ask, tmp_path):
    model = tiny("llama")
    out = ask(model, "add", to)
    edit = read_intervention(tmp_path / "edit.json")
    base = str(tmp_path / "base")
    found = verify(VerificationSettings(base, str(out), TEXTS, edit, new_tokens=3))
    assert found.failure() is None
    assert found.proof.complete
    assert "float32" in found.tolerance.reason
    assert verify(VerificationSettings(base, str(out), TEXTS, new_tokens=3)).failure()


def _points(**change):
    point = {"steering_vector": torch.ones(16), "steering_coefficient": 1.0, "action": "add"}
    return {"layers.1.mlp.down_proj": point | change}


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize(
    ("to", "file", "content"),
    [
        ("steered", "steering.pt", b"garbage"),
        ("steered", "steering.pt", b""),
        ("steered", "steering.pt", {"no.module": _points()["layers.1.mlp.down_proj"]}),
        ("steered", "steering.pt", [1, 2]),
        ("steered", "steering.pt", {"layers.1.mlp.down_proj": 3}),
        ("steered", "steering.pt", _points(steering_vector=torch.ones(5))),
        ("steered", "steering.pt", _points(steering_vector="text")),
        ("control-vector", "control-vector.gguf", b"garbage"),
        ("control-vector", "control-vector.gguf", b""),
        ("lora-bias", "adapter_model.safetensors", b"garbage"),
        ("lora-bias", "adapter_config.json", b"garbage"),
        ("hf", "model.safetensors", b"garbage"),
    ],
)
def test_verify_says_in_one_sentence_what_is_no_export(to, file, content, ask, tmp_path):
    out = ask(tiny("llama"), "add", to)
    if isinstance(content, bytes):
        (out / file).write_bytes(content)
    else:
        torch.save(content, out / file)
    with pytest.raises(DetoxBenchError) as caught:
        verify(VerificationSettings(str(tmp_path / "base"), str(out), TEXTS, new_tokens=3))
    assert "\n" not in str(caught.value)
    assert str(out) in str(caught.value)


def test_a_cut_control_vector_is_one_sentence(ask, tmp_path):
    out = ask(tiny("llama"), "add", "control-vector")
    file = out / "control-vector.gguf"
    whole = file.read_bytes()
    for length in (10, 60, len(whole) // 2, len(whole) - 20):
        file.write_bytes(whole[:length])
        with pytest.raises(BadData, match="holds no vectors for this model"):
            verify(VerificationSettings(str(tmp_path / "base"), str(out), TEXTS, new_tokens=3))


def test_how_each_export_is_used_is_one_line():
    for name in FORMATS:
        line = usage(name, Path("DIR"), "gpt2")
        assert "\n" not in line
        assert "{" not in line
        assert "DIR" in line


def test_the_table_of_what_is_exact_is_that_of_the_rows():
    post_norm = {kind for kind, row in ARCHITECTURES.items() if row.post_norm}
    assert not post_norm & EXACT["control-vector", "add"]
