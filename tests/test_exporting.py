"""An export from beginning to end: what is copied, refused, verified, and left behind."""

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch
import typer
from architecture_models import tiny
from conftest import tiny_gpt2
from export_doubles import LATER, TEXTS, Asking, made, saved
from filelock import FileLock
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from detox_bench.commands.neurons_fold import COMMANDS
from detox_bench.errors import BadData, BadIntervention, DetoxBenchError, UnknownName
from detox_bench.neurons.fold import exporting, fold_to_hf
from detox_bench.neurons.fold.exporting import ExportSettings, export
from detox_bench.neurons.fold.exports import FORMATS
from detox_bench.types import NeuronId

LOCK = ".detox-bench-export.lock"


@pytest.fixture
def ask(tmp_path):
    return Asking(tmp_path)


def test_a_coarse_checkpoint_stays_so_and_is_verified_with_its_reason(ask, tmp_path):
    out = ask(tiny("llama").to(torch.bfloat16), "add", save={"max_shard_size": "8KB"})
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    files = sorted(each.name for each in out.glob("*.safetensors"))
    assert files == sorted(each.name for each in (tmp_path / "base").glob("*.safetensors"))
    types = {each.dtype for file in files for each in load_file(out / file).values()}
    assert types == {torch.bfloat16}
    report = json.loads((out / "verification.json").read_text())
    assert report["difference"] == ask.done.agreement.difference
    assert "rounded to bfloat16" in report["tolerance"]["reason"]
    assert (
        0 < report["difference"] <= report["tolerance"]["value"] <= 0.1 * report["proof"]["effect"]
    )


def test_a_finer_type_is_exact_and_only_for_coarser_checkpoints(ask, tmp_path):
    model = tiny("llama").to(torch.bfloat16)
    out = ask(model, "add", dtype="float32")
    report = json.loads((out / "verification.json").read_text())
    assert report["difference"] <= report["tolerance"]["value"] < 1e-3
    with pytest.raises(BadData, match="stored in float32 or finer already"):
        export(
            ExportSettings(
                str(out), tmp_path / "edit.json", "hf", tmp_path / "x", TEXTS, "float32", force=True
            )
        )
    with pytest.raises(UnknownName, match="type to store in 'float8'"):
        ask(model, "add", dtype="float8", output=tmp_path / "y")


def test_other_files_are_copied_and_other_weights_are_not(ask, tmp_path):
    model = tiny("gpt2")
    base = saved(model, tmp_path / "base")
    (base / "LICENSE").write_text("terms")
    (base / "pytorch_model.bin").write_bytes(b"old weights")
    (base / "onnx").mkdir()
    (base / "onnx" / "model.onnx").write_bytes(b"old weights")
    (base / "onnx" / "note.txt").write_text("a note")
    (base / ".git").mkdir()
    (base / ".git" / "HEAD").write_text("ref")
    out = ask(model, "scale")
    assert (out / "LICENSE").read_text() == "terms"
    assert (out / "onnx" / "note.txt").is_file()
    assert (out / "generation_config.json").is_file()
    assert not (out / "pytorch_model.bin").exists()
    assert not list(out.rglob("*.onnx"))
    assert not (out / ".git").exists()


def test_a_pickled_checkpoint_is_turned_into_safetensors_first(tmp_path):
    model = tiny("llama").to(torch.float16)
    base = saved(model, tmp_path / "base")
    torch.save(load_file(base / "model.safetensors"), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    made(model, tmp_path / "edit.json")
    out = tmp_path / "out"
    done = export(ExportSettings(str(base), tmp_path / "edit.json", "hf", out, TEXTS, new_tokens=3))
    assert done.notes == ("Its weights were pickled; the export has them as safetensors.",)
    assert {each.dtype for each in load_file(out / "model.safetensors").values()} == {torch.float16}
    assert not list(out.glob("*.bin"))
    assert not list(out.glob("converted*"))


class _Evil:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


def test_code_in_a_pickled_checkpoint_is_not_run(tmp_path):
    model = tiny("llama")
    base = saved(model, tmp_path / "base")
    torch.save({"x": _Evil(str(tmp_path / "owned"))}, base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    made(model, tmp_path / "edit.json")
    with pytest.raises(DetoxBenchError) as caught:
        export(ExportSettings(str(base), tmp_path / "edit.json", "hf", tmp_path / "out", TEXTS))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()


def _setting(**settings):
    def change(folder):
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | settings))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "adapter_config.json").write_text("{}"), "is an adapter.*Merge it first"),
        (
            _setting(quantization_config={"quant_method": "gptq", "bits": 4}),
            r"is quantised \(gptq\)",
        ),
        (lambda f: (f / "config.json").unlink(), "config.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "no JSON object"),
        (_setting(num_hidden_layers="three"), "config.json is no configuration.* got str"),
        (_setting(num_hidden_layers=[]), "config.json is no configuration.* got list"),
        (_setting(model_type=[]), "config.json is no configuration"),
        (_setting(dtype={}), "config.json is no configuration"),
        (_setting(num_hidden_layers=0), "config.json is no configuration.* no layers"),
        (_setting(vocab_size=-1), "config.json is no configuration"),
        (lambda f: (f / "model.safetensors").unlink(), "holds no weights"),
    ],
)
def test_what_is_no_plain_model_is_one_sentence(change, said, ask, tmp_path):
    model = tiny("llama")
    change(saved(model, tmp_path / "base"))
    with pytest.raises(DetoxBenchError, match=said) as caught:
        ask(model, "scale")
    assert "\n" not in str(caught.value)
    assert ask.left() == ["base", "edit.json"]


def test_a_name_that_is_nowhere_is_one_sentence(tmp_path):
    made(tiny("gpt2"), tmp_path / "edit.json")
    asked = ExportSettings("no/such-model", tmp_path / "edit.json", "hf", tmp_path / "out", TEXTS)
    with pytest.raises(DetoxBenchError, match="cannot be fetched from the Hub") as caught:
        export(asked)
    assert "\n" not in str(caught.value)


def test_an_edit_for_other_weights_is_refused_or_recorded(ask, tmp_path):
    saved(tiny("gpt2", seed=1), tmp_path / "base")
    model = tiny("gpt2")
    with pytest.raises(BadIntervention, match=r"made for another model.*weights"):
        ask(model, "scale")
    out = ask(model, "scale", force=True)
    written = json.loads((out / "intervention.json").read_text())
    assert "weights" in written["provenance"]["export"]["forced"]
    with pytest.raises(BadIntervention, match="model type"):
        fewer = tiny("llama", num_hidden_layers=2)
        ask(fewer, "scale", force=True, output=tmp_path / "x", edits=LATER[:2])


def test_nothing_is_overwritten(ask, tmp_path):
    model = tiny("gpt2")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").write_text("kept")
    with pytest.raises(BadData, match="is not empty"):
        ask(model, "scale", output=tmp_path / "out")
    with pytest.raises(BadData, match="in the model's own folder"):
        ask(model, "scale", output=tmp_path / "base" / "out")
    with pytest.raises(BadData, match="is not empty"):
        ask(model, "scale", output=tmp_path / "edit.json")
    (tmp_path / "empty").mkdir()
    assert (ask(model, "scale", output=tmp_path / "empty") / "model.safetensors").is_file()


def test_two_exports_to_one_place_do_not_meet(ask, tmp_path):
    (tmp_path / "out.partial").mkdir()
    with (
        FileLock(tmp_path / "out.partial" / LOCK),
        pytest.raises(DetoxBenchError, match="Another process is writing"),
    ):
        ask(tiny("gpt2"), "scale", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _thesis(partial, _):
    partial.mkdir()
    (partial / "thesis.txt").write_text("years")


def _file(partial, _):
    partial.write_text("years")


def _link(partial, folder):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "thesis.txt").write_text("years")
    (folder / "elsewhere" / LOCK).touch()
    partial.symlink_to(folder / "elsewhere")


def _model(partial, folder):
    """A model in what an export left, which has the lock file."""
    saved(tiny("gpt2"), partial)
    (partial / LOCK).touch()
    (folder / "base").symlink_to(partial)


@pytest.mark.parametrize("lay", [_thesis, _file, _link, _model])
@pytest.mark.parametrize("positions", ["all", "generated"])
def test_what_is_not_ours_is_left_alone(lay, positions, ask, tmp_path):
    """Also where the export would have been refused, as that of generated positions is."""
    partial = tmp_path / "out.partial"
    lay(partial, tmp_path)
    before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    with pytest.raises(BadData, match=r"out\.partial, and something of yours is there"):
        ask(tiny("gpt2"), "scale", output=tmp_path / "out", positions=positions)
    assert before
    assert all(file.read_bytes() == content for file, content in before.items())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("operator", ["add", "scale"])
@pytest.mark.parametrize("to", ["hf", "lora-bias"])
def test_a_value_too_large_is_one_sentence(to, operator, ask):
    with pytest.raises(BadIntervention, match="too large") as caught:
        ask(tiny("gpt2"), operator, to, edits=[(NeuronId(1, 5), 1e300)])
    assert "\n" not in str(caught.value)
    assert "--dtype" not in str(caught.value)
    assert ask.left() == ["base", "edit.json"]


def test_a_file_of_the_model_that_cannot_be_read_is_named(ask, tmp_path, monkeypatch):
    def unreadable(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path / "base" / "LICENSE"))

    monkeypatch.setattr("detox_bench.neurons.fold.model_files.shutil.copyfile", unreadable)
    with pytest.raises(DetoxBenchError, match=r"stopped at .*LICENSE: Permission denied"):
        ask(tiny("gpt2"), "scale")
    assert ask.left() == ["base", "edit.json"]


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize("to", ["hf", "ia3"])
def test_an_export_does_not_tell_where_the_model_lay(to, ask, tmp_path, monkeypatch):
    """But for an adapter, which is loaded by the path that was given."""
    monkeypatch.chdir(tmp_path)
    ask.base = Path("base")
    out = ask(tiny("gpt2"), "scale", to)
    said = {file.name: file.read_text() for file in out.glob("*.json")}
    assert json.loads(said["intervention.json"])["provenance"]["export"]["model"] == "base"
    assert not [name for name, text in said.items() if str(tmp_path) in text]
    if to == "ia3":
        assert json.loads(said["adapter_config.json"])["base_model_name_or_path"] == "base"
    ask.base = tmp_path / "base"
    again = ask(tiny("gpt2"), "scale", "hf", output=tmp_path / "again")
    assert str(tmp_path) not in (again / "intervention.json").read_text()


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize("to", ["hf", "ia3", "lora-bias"])
def test_a_wrong_fold_is_noticed_and_removed(to, ask, tmp_path, monkeypatch):
    """One weight of the written file is changed before it is verified."""
    row = FORMATS[to]

    def wrong(files, edit, folder, dtype):
        row.write(files, edit, folder, dtype)
        (file,) = folder.glob("*.safetensors")
        tensors = load_file(file)
        name = next(name for name in tensors if "down_proj" in name and tensors[name].any())
        tensors[name].view(-1)[tensors[name].view(-1).nonzero()[0]] += 0.05
        save_file(tensors, file, {"format": "pt"})

    monkeypatch.setitem(FORMATS, to, row._replace(write=wrong))
    with pytest.raises(DetoxBenchError, match=r"not the edited model: logits differ by up to \d"):
        ask(tiny("qwen3"), "scale", to)
    assert ask.left() == ["base", "edit.json"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(ask, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("detox_bench.neurons.fold.fold_to_hf.write_checkpoint", full)
    with pytest.raises(DetoxBenchError, match="stopped: No space left"):
        ask(tiny("gpt2"), "scale")
    assert ask.left() == ["base", "edit.json"]


def _export_slowly(settings, reached):
    """Export, and stay where all is written but nothing verified."""
    write = fold_to_hf.write_checkpoint

    def slowly(*arguments):
        write(*arguments)
        reached.touch()
        time.sleep(60)

    fold_to_hf.write_checkpoint = slowly
    export(settings)


def test_a_killed_export_leaves_nothing_that_looks_done_and_the_next_cleans_up(ask, tmp_path):
    model, out, reached = tiny("gpt2"), tmp_path / "out", tmp_path / "reached"
    saved(model, ask.base)
    made(model, ask.edit, "scale")
    settings = ExportSettings(str(ask.base), ask.edit, "hf", out, TEXTS, new_tokens=3)
    child = multiprocessing.get_context("spawn").Process(
        target=_export_slowly, args=(settings, reached)
    )
    child.start()
    for _ in range(300):
        if reached.exists():
            break
        time.sleep(0.1)
    child.kill()
    child.join()
    assert reached.exists()
    assert not out.exists()
    assert (tmp_path / "out.partial" / "model.safetensors").is_file()
    assert (tmp_path / "out.partial" / LOCK).is_file()
    ask(model, "scale", "ia3", output=out)
    assert not (out / "model.safetensors").exists()
    assert not (tmp_path / "out.partial").exists()


def test_the_commands(tmp_path):
    app = typer.Typer()
    for name, (function, epilog) in COMMANDS.items():
        assert epilog.count("`detox-bench neurons") == 2
        app.command(name)(function)
    model = tiny_gpt2()
    base = saved(model, tmp_path / "base")
    made(model, tmp_path / "edit.json", "scale", [(NeuronId(1, 5), 0.25)])
    run = CliRunner().invoke
    edit = ["--intervention", str(tmp_path / "edit.json"), "--limit", "1"]
    out = str(tmp_path / "out")
    done = run(app, ["export", "--model", str(base), "--output", out, *edit])
    assert done.exit_code == 0, done.output
    assert "edit seen" in done.output
    assert "20 of 20" in done.output
    assert f"pretrained={out}" in done.output
    report = tmp_path / "report.json"
    same = run(app, ["verify", str(base), out, *edit, "--json", str(report)])
    assert same.exit_code == 0
    assert json.loads(report.read_text())["same_texts"] == 1
    other = run(app, ["verify", str(base), out, "--limit", "1"])
    assert other.exit_code == 1
    assert "not the same" in str(other.exception)
    assert exporting.INTERVENTION in {each.name for each in Path(out).iterdir()}
