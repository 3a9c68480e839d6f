"""The fold: the same logits from weights as from hooks, for every architecture and operator."""

import json
from pathlib import Path

import pytest
import torch
from architecture_models import tiny
from conftest import tiny_gpt2
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from detox_bench.errors import BadData, BadIntervention
from detox_bench.modeling.architectures import ARCHITECTURES
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.neurons.edit.operators import OPERATORS
from detox_bench.neurons.fold.exports import check_exportable
from detox_bench.neurons.fold.fold_to_hf import write_hf
from detox_bench.neurons.fold.folding import (
    LayerEdit,
    folded_bias,
    folded_weight,
    stored_as,
    written,
)
from detox_bench.neurons.fold.model_files import model_files
from detox_bench.types import NeuronId

IDS = torch.arange(14).view(2, 7)
EDITS = [(NeuronId(0, 3), 0.75), (NeuronId(1, 5), 0.9), (NeuronId(1, 7), 0.6)]
#: The rows whose down projections never have a bias, and which no setting gives one.
WITHOUT = {kind for kind, row in ARCHITECTURES.items() if row.bias == "never"}
#: The setting of the others that have none by default.
SWITCHED = {
    kind: row.bias for kind, row in ARCHITECTURES.items() if row.bias not in ("always", "never")
}


def made(model, operator="add", edits=EDITS, positions="all"):
    return intervention(base_model_of(model, "tiny"), operator, edits, positions)


def hooked(model, edit):
    with torch.no_grad(), edited(model, edit):
        return model(IDS).logits


def loaded(folder, dtype=torch.float32):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    ).eval()


def logits(folder):
    with torch.no_grad():
        return loaded(folder)(IDS).logits


def fold(folder, edit, target, dtype=None):
    target.mkdir(parents=True)
    with model_files(str(folder), target.parent) as files:
        check_exportable(files, edit, "hf")
        write_hf(files, edit, target, dtype)
    return target


def names_and_types(folder: Path) -> dict[str, dict[str, str]]:
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as content:
            found[file.name] = {n: content.get_slice(n).get_dtype() for n in content.keys()}  # noqa: SIM118
    return found


def test_a_folded_layer_writes_the_same():
    """With columns v_0 = (1, 2), v_1 = (3, 5): a_1 -> 2 a_1 + 4 is v_1 doubled, bias + 4 v_1."""
    weight = torch.tensor([[1.0, 3.0], [2.0, 5.0]])
    edit = LayerEdit(torch.tensor([1]), torch.tensor([2.0]).double(), torch.tensor([4.0]).double())
    assert folded_weight(weight, edit, rows=False).tolist() == [[1, 6], [2, 10]]
    assert folded_weight(weight.T.contiguous(), edit, rows=True).tolist() == [[1, 2], [6, 10]]
    assert written(weight, edit, rows=False).tolist() == [12, 20]
    assert folded_bias(torch.tensor([7.0, 8.0]), weight, edit, rows=False).tolist() == [19, 28]


def test_a_number_too_large_for_its_type_is_refused():
    assert stored_as(torch.tensor([1e5]), torch.bfloat16).dtype == torch.bfloat16
    with pytest.raises(BadIntervention, match=r"up to 1e\+05, too large for float16.*--dtype"):
        stored_as(torch.tensor([-1e5, 1.0]), torch.float16)
    for dtype in (torch.float16, torch.float32):  # float32 would be no way out
        with pytest.raises(
            BadIntervention, match=r"too large for float\d\d\. Take smaller values\.$"
        ):
            stored_as(torch.tensor([1e300], dtype=torch.float64), dtype)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def saved(request, tmp_path_factory):
    model = tiny(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return model, folder


@pytest.mark.parametrize("operator", OPERATORS)
def test_hooked_and_folded_agree_or_the_row_says_why_not(saved, operator, tmp_path):
    model, folder = saved
    kind, edit = model.config.model_type, made(model, operator)
    if operator in ("add", "set") and kind in WITHOUT:
        with pytest.raises(BadIntervention, match=f"down projections of '{kind}' have none.*lora"):
            fold(folder, edit, tmp_path / "out")
        return
    wanted, plain = hooked(model, edit), hooked(model, made(model, "scale", [(EDITS[0][0], 1.0)]))
    found = logits(fold(folder, edit, tmp_path / "out"))
    allowed = 1e-5 * max(1.0, float(wanted.abs().max()))
    assert (found - wanted).abs().max() <= allowed
    assert (plain - wanted).abs().max() > 1e-3, "the edit must move something"


@pytest.mark.parametrize("kind", SWITCHED)
def test_a_switched_bias_is_zero_wherever_nothing_was_edited(kind, tmp_path):
    """Each setting is switched on in the configuration, in all layers, and by zeros."""
    model = tiny(kind, **{SWITCHED[kind]: False})
    model.save_pretrained(tmp_path / "base")
    row = ARCHITECTURES[kind]
    assert f"{row.down_path(0)}.bias" not in dict(model.named_parameters())
    edit = made(model)
    out = fold(tmp_path / "base", edit, tmp_path / "out")
    assert json.loads((out / "config.json").read_text())[SWITCHED[kind]] is True
    before, after = (load_file(f / "model.safetensors") for f in (tmp_path / "base", out))
    assert all(torch.equal(before[name], after[name]) for name in before)
    new = {name: after[name] for name in after if name not in before}
    moved = {f"{row.down_path(layer)}.bias" for layer in (0, 1)}
    assert {name for name, bias in new.items() if bias.any()} == moved
    assert f"{row.down_path(2)}.bias" in new
    wanted = hooked(model, edit)
    torch.testing.assert_close(logits(out), wanted, atol=1e-5, rtol=1e-5)


def test_llama_gets_biases_of_gate_and_up_too(tmp_path):
    model = tiny("llama")
    model.save_pretrained(tmp_path / "base")
    out = fold(tmp_path / "base", made(model), tmp_path / "out")
    after = load_file(out / "model.safetensors")
    for name in ("gate_proj", "up_proj"):
        assert not any(after[f"model.layers.{n}.mlp.{name}.bias"].any() for n in range(3))


def test_shards_names_types_and_metadata_stay(tmp_path):
    model = tiny("llama").to(torch.bfloat16)
    base = tmp_path / "base"
    model.save_pretrained(base, max_shard_size="8KB")
    assert len(list(base.glob("*.safetensors"))) > 3
    out = fold(base, made(model, "set"), tmp_path / "out")
    before, after = names_and_types(base), names_and_types(out)
    assert list(before) == list(after)
    assert all(before[file].items() <= after[file].items() for file in before)
    assert {dtype for file in after.values() for dtype in file.values()} == {"BF16"}
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {name: file for file, names in after.items() for name in names}
    new = set(index["weight_map"]) - {name for names in before.values() for name in names}
    old = json.loads((base / "model.safetensors.index.json").read_text())["metadata"]
    count = sum(tensor.numel() for file in after for tensor in load_file(out / file).values())
    assert index["metadata"]["total_size"] == 2 * count
    assert index["metadata"]["total_parameters"] - old["total_parameters"] == 9 * 24 - 3 * 8
    assert len(new) == 9
    with safe_open(out / next(iter(after)), "pt") as content:
        assert content.metadata() == {"format": "pt"}


def test_what_is_not_edited_is_copied_byte_for_byte(tmp_path):
    model = tiny("qwen3").to(torch.bfloat16)
    model.save_pretrained(tmp_path / "base")
    edit = made(model, "scale")
    out = fold(tmp_path / "base", edit, tmp_path / "out")
    before, after = (load_file(f / "model.safetensors") for f in (tmp_path / "base", out))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"model.layers.{n}.mlp.down_proj.weight" for n in (0, 1)}
    name = "model.layers.0.mlp.down_proj.weight"
    wanted = before[name].double()
    wanted[:, 3] *= 0.75
    assert torch.equal(after[name], wanted.to(torch.bfloat16))
    untouched = fold(
        tmp_path / "base", made(model, "scale", [(EDITS[0][0], 1.0)]), tmp_path / "same"
    )
    file = "model.safetensors"
    assert (untouched / file).read_bytes() == (tmp_path / "base" / file).read_bytes()


def test_a_finer_type_on_demand(tmp_path):
    model = tiny("llama").to(torch.bfloat16)
    model.save_pretrained(tmp_path / "base")
    edit = made(model)
    out = fold(tmp_path / "base", edit, tmp_path / "out", torch.float32)
    (types,) = names_and_types(out).values()
    assert set(types.values()) == {"F32"}
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"
    wanted = hooked(loaded(tmp_path / "base"), edit)
    torch.testing.assert_close(logits(out), wanted, atol=1e-5, rtol=1e-5)


def test_names_without_the_prefix_of_the_base_model(tmp_path):
    """As the gpt2 of the Hub has them: h.0.mlp.c_proj.weight."""
    model = tiny_gpt2()
    model.transformer.save_pretrained(tmp_path / "base")
    config = tmp_path / "base" / "config.json"
    content = json.loads(config.read_text()) | {"architectures": ["GPT2LMHeadModel"]}
    config.write_text(json.dumps(content))
    edit = made(model, "set")
    out = fold(tmp_path / "base", edit, tmp_path / "out")
    (names,) = names_and_types(out).values()
    assert "h.0.mlp.c_proj.weight" in names
    torch.testing.assert_close(logits(out), hooked(model, edit), atol=1e-5, rtol=1e-5)


def test_a_name_that_is_missing_or_not_unique_is_refused(tmp_path):
    model = tiny_gpt2()
    model.transformer.save_pretrained(tmp_path / "base")
    file = tmp_path / "base" / "model.safetensors"
    tensors = load_file(file)
    weight = tensors.pop("h.0.mlp.c_proj.weight")
    two = {"a.h.0.mlp.c_proj.weight": weight, "b.h.0.mlp.c_proj.weight": weight.clone()}
    save_file(tensors | two, file, {"format": "pt"})
    with pytest.raises(BadData, match=r"2 tensors .* could be transformer.h.0.mlp.c_proj.weight"):
        fold(tmp_path / "base", made(model), tmp_path / "two")
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(BadData, match=r"No tensor .* is transformer.h.0.mlp.c_proj.weight"):
        fold(tmp_path / "base", made(model), tmp_path / "none")


def test_a_tied_head_stays_tied(tmp_path):
    model = tiny("qwen2", tie_word_embeddings=True)
    model.save_pretrained(tmp_path / "base")
    edit = made(model, "scale")
    out = fold(tmp_path / "base", edit, tmp_path / "out")
    (names,) = names_and_types(out).values()
    assert "lm_head.weight" not in names
    torch.testing.assert_close(logits(out), hooked(model, edit), atol=1e-5, rtol=1e-5)


def _cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def _longer_header(file):
    file.write_bytes((2**40).to_bytes(8, "little") + file.read_bytes()[8:])


def _other_offsets(file):
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1))


def _gone(file):
    file.unlink()


@pytest.mark.parametrize("damage", [_cut, _longer_header, _other_offsets, _gone])
def test_a_damaged_shard_is_one_sentence(damage, tmp_path):
    model = tiny("llama")
    model.save_pretrained(tmp_path / "base", max_shard_size="8KB")
    damage(sorted((tmp_path / "base").glob("*.safetensors"))[1])
    with pytest.raises(BadData, match=r"00002-of-.* cannot be read as safetensors") as caught:
        fold(tmp_path / "base", made(model, "scale"), tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: index["weight_map"].update(x="../other.safetensors"), "not in the folder"),
        (lambda index: index["weight_map"].clear(), "is no index"),
        (
            lambda index: index["weight_map"].update(x=max(index["weight_map"].values())),
            "says that x is in",
        ),
    ],
)
def test_a_tampered_index_is_one_sentence(change, said, tmp_path):
    model = tiny("llama")
    model.save_pretrained(tmp_path / "base", max_shard_size="8KB")
    file = tmp_path / "base" / "model.safetensors.index.json"
    index = json.loads(file.read_text())
    change(index)
    file.write_text(json.dumps(index))
    with pytest.raises(BadData, match=said):
        fold(tmp_path / "base", made(model, "scale"), tmp_path / "out")


def test_weights_of_another_shape_or_of_integers_are_refused(tmp_path):
    model = tiny("llama")
    model.save_pretrained(tmp_path / "base")
    file, name = tmp_path / "base" / "model.safetensors", "model.layers.0.mlp.down_proj.weight"
    tensors = load_file(file)
    save_file(tensors | {name: tensors[name].to(torch.int8)}, file, {"format": "pt"})
    with pytest.raises(BadIntervention, match="stored as I8: a quantised model"):
        fold(tmp_path / "base", made(model, "scale"), tmp_path / "out")
    save_file(tensors | {name: tensors[name][:, :20].contiguous()}, file, {"format": "pt"})
    with pytest.raises(BadData, match=r"shape \(16, 20\), and by config.json \(16, 24\)"):
        fold(tmp_path / "base", made(model, "scale"), tmp_path / "again")
