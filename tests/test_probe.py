"""The probe: its fit, its parts, its files, and going on after an interruption."""

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import typer
from conftest import byte_tokenizer, tiny_gpt2
from filelock import FileLock
from typer.testing import CliRunner

from detox_bench.commands.neurons_probe import COMMANDS
from detox_bench.data.labelled import LabelledText
from detox_bench.errors import BadData, BadRunFolder, DetoxBenchError, UnknownName
from detox_bench.modeling.hidden_states import StateSettings, mean_states
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.neurons.find import probe_states
from detox_bench.neurons.find.probe import (
    PartMetrics,
    ProbeSettings,
    auc_interval,
    make_probe,
    metrics_of,
    part_of,
)
from detox_bench.neurons.find.probe_files import Probe, check_width, read_probe, write_probe
from detox_bench.neurons.find.probe_training import PRESETS, FitSettings, Rows, fit, fit_settings

VECTOR = np.array([1.5, -2.0, 0.25, 3.0], dtype=np.float32)
MODEL = BaseModel("m", "gpt2", 2, 64, "0" * 16)
QUICK = ProbeSettings(StateSettings(batch_size=8), FitSettings(rates=(0.01,), epochs=3))


def rows(n, width=24, seed=0):
    """Return random states, and labels drawn by their product with a planted direction."""
    random = np.random.default_rng(seed)
    direction = np.random.default_rng(1).normal(size=width).astype(np.float32)
    states = random.normal(size=(n, width)).astype(np.float32)
    toxic = random.random(n) < 1 / (1 + np.exp(-states @ direction))
    return Rows(states, np.arange(n), toxic), direction


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def loaded():
    return LoadedModel("tiny", tiny_gpt2(), byte_tokenizer())


def texts(n=120):
    """Return texts of which a letter says whether they are toxic."""
    return [
        LabelledText(f"n{k}", f"{k} {'zzzz' if k % 2 else 'aaaa'}", bool(k % 2)) for k in range(n)
    ]


@pytest.mark.parametrize("preset", ["tuned", "paper"])
def test_a_planted_direction_is_found(preset):
    train, direction = rows(6000)
    found = fit(train, rows(800, seed=2)[0], fit_settings(preset))
    assert cosine(found.vector, direction) > 0.95


def test_steps_are_those_of_pytorchs_adam():
    train, _ = rows(50)
    settings = FitSettings(rates=(0.003, 0.01), batch=7, epochs=2, seed=5)
    random, weight = np.random.default_rng(5), torch.nn.Parameter(torch.zeros(24, 1))
    random.uniform(size=24)  # what the start takes, though it is zero
    adam = torch.optim.Adam([weight], lr=0.003)
    for _ in range(2):
        for batch in torch.from_numpy(random.permutation(50)).split(7):
            logits = torch.from_numpy(train.file)[batch] @ weight
            wanted = torch.from_numpy(train.toxic)[batch, None].float()
            adam.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted).backward()
            adam.step()
    found = fit(train, train, settings)
    assert (found.rate, found.epoch) == (0.01, 2)
    slow = fit(train, train, FitSettings(rates=(0.003,), batch=7, epochs=2, seed=5))
    np.testing.assert_allclose(slow.vector, weight.detach().numpy()[:, 0], rtol=1e-4, atol=1e-6)
    assert found.best_losses[0.003] == pytest.approx(slow.validation_loss)


def test_losses_are_cross_entropies_and_the_best_epoch_is_taken():
    train, direction = rows(400)
    # Labels turned around: the better it fits the one, the worse the other.
    opposite = Rows(train.file, train.places, ~train.toxic)
    found = fit(train, opposite, FitSettings(rates=(0.01,), epochs=4))
    assert found.epoch == 1
    products = train.file @ found.vector
    wanted = np.mean(np.log1p(np.exp(np.where(opposite.toxic, -products, products))))
    assert found.validation_loss == pytest.approx(wanted, rel=1e-5)
    assert cosine(found.vector, direction) > 0


def test_the_seed_decides():
    train, _ = rows(200)
    settings = [FitSettings(rates=(1e-4,), start="random", epochs=2, seed=n) for n in (1, 1, 2)]
    first, same, other = (fit(train, train, each).vector for each in settings)
    assert np.array_equal(first, same)
    assert cosine(first, other) < 0.9  # as far as two random starts are
    assert np.abs(first).max() <= 24**-0.5 + 2 * 20 * 1e-4  # start, and 20 steps an epoch


def test_presets_are_the_papers_and_its_codes():
    assert PRESETS["paper"] == FitSettings((1e-4,), "random", batch=10, epochs=20, seed=99)
    assert PRESETS["code"] == FitSettings((1e-6,), "random", batch=10, epochs=20, seed=99)
    assert fit_settings("paper", batch=32, seed=None).batch == 32
    with pytest.raises(UnknownName, match="Did you mean 'paper'"):
        fit_settings("papr")
    for rate in (0.0, -1.0, float("nan")):
        with pytest.raises(DetoxBenchError, match="Give a positive number"):
            fit_settings("paper", rates=(rate,))


def test_equal_ids_are_never_in_two_parts():
    same = [LabelledText("one", f"text {n}", bool(n % 2)) for n in range(50)]
    assert len({part_of(each.id) for each in same}) == 1
    parts = [part_of(f"id {n}") for n in range(5000)]
    shares = [parts.count(name) / 5000 for name in ("train", "validation", "test")]
    # Four standard deviations of a share of 0.8 of 5,000 are 0.023.
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.023)


def test_an_auc_and_its_interval():
    products = np.array([1, 2, 3, 4], dtype=np.float32)
    # Of the four pairs of a toxic and another text, three are the right way round.
    found = auc_interval(products, np.array([False, True, False, True]))
    assert found.estimate == 0.75
    assert 0 <= found.low < 0.75 < found.high <= 1
    assert np.isnan(auc_interval(products, np.ones(4, dtype=bool)))[0]


def test_a_probe_of_a_model_is_written_with_what_was_found(tmp_path):
    settings = ProbeSettings(fit=FitSettings(rates=(0.001, 0.01)))
    made = make_probe(loaded(), texts(400), settings, tmp_path, ["a.jsonl"])
    again = read_probe(tmp_path)
    assert np.array_equal(made.vector, again.vector)
    assert (again.base_model, again.after_norm) == (made.base_model, True)
    assert again.about["data"]["files"] == ["a.jsonl"]
    test = metrics_of(again.about)["test"]
    assert test.auc is not None
    assert test.auc_low is not None
    assert test.auc > 0.9
    assert test.auc_low > 0.5
    assert sum(each.n for each in metrics_of(again.about).values()) == 400
    assert [each["epoch"] for each in again.about["fit"]["curve"]] == list(range(1, 21))


def test_metrics_are_those_of_the_vector(tmp_path):
    made = make_probe(loaded(), texts(200), QUICK, tmp_path)
    chosen = [each for each in texts(200) if part_of(each.id) == "test"]
    states = mean_states(tiny_gpt2(), byte_tokenizer(), [each.text for each in chosen])
    toxic = np.array([each.toxic for each in chosen])
    found = metrics_of(made.about)["test"]
    assert (found.n, found.toxic) == (len(chosen), toxic.sum())
    assert found.accuracy == pytest.approx(np.mean((states @ made.vector > 0) == toxic))
    assert found.majority == pytest.approx(max(toxic.mean(), 1 - toxic.mean()))


def test_states_before_the_norm_are_another_probe(tmp_path):
    before = ProbeSettings(StateSettings(after_norm=False), QUICK.fit)
    made = make_probe(loaded(), texts(), before, tmp_path)
    assert not read_probe(tmp_path).after_norm
    assert not np.allclose(made.vector, make_probe(loaded(), texts(), QUICK, tmp_path).vector)


def _dies_after(batches):
    def run(*arguments):
        for number, batch in enumerate(real(*arguments)):
            if number == batches:
                raise KeyboardInterrupt
            yield batch

    real = probe_states.state_batches
    return run


def _counted(monkeypatch):
    """Return a list that is told how many texts are run."""
    real, ran = probe_states.state_batches, []

    def run(*arguments):
        for batch in real(*arguments):
            ran.extend(batch.texts)
            yield batch

    monkeypatch.setattr(probe_states, "state_batches", run)
    return ran


@pytest.mark.parametrize(("batch_size", "within"), [(8, 0), (32, 1e-5)])
def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path, monkeypatch, batch_size, within):
    whole = make_probe(loaded(), texts(), QUICK, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(probe_states, "state_batches", _dies_after(4))
        make_probe(loaded(), texts(), QUICK, tmp_path / "other")
    [file] = (tmp_path / "other").glob("states-*.bin")
    record = 4 + 4 * 16  # the text's number, and 16 float32
    assert file.stat().st_size == 4 * 8 * record
    with file.open("r+b") as half:  # as kill -9 leaves it
        half.truncate(4 * 8 * record - 10)
    ran = _counted(monkeypatch)
    settings = ProbeSettings(StateSettings(batch_size=batch_size), QUICK.fit)
    other = make_probe(loaded(), texts(), settings, tmp_path / "other")
    assert len(ran) == 120 - 31
    np.testing.assert_allclose(other.vector, whole.vector, rtol=0, atol=within)


def test_the_same_command_runs_the_model_no_second_time(tmp_path, monkeypatch):
    first = make_probe(loaded(), texts(), QUICK, tmp_path)
    ran = _counted(monkeypatch)
    assert np.array_equal(make_probe(loaded(), texts(), QUICK, tmp_path).vector, first.vector)
    assert not ran
    other = LoadedModel("tiny", tiny_gpt2(seed=1), byte_tokenizer())
    make_probe(other, texts(), QUICK, tmp_path)
    assert len(ran) == 120  # other weights, other states


def test_another_probe_is_replaced_with_a_warning(tmp_path, caplog):
    told = "is of another model or other texts. It will be replaced."
    make_probe(loaded(), texts(), QUICK, tmp_path)
    make_probe(loaded(), texts(), QUICK, tmp_path)
    assert told not in caplog.text
    make_probe(LoadedModel("tiny", tiny_gpt2(seed=1), byte_tokenizer()), texts(), QUICK, tmp_path)
    assert caplog.text.count(told) == 1
    make_probe(LoadedModel("tiny", tiny_gpt2(seed=1), byte_tokenizer()), texts(80), QUICK, tmp_path)
    assert caplog.text.count(told) == 2
    (tmp_path / "probe.json").write_text("{")
    make_probe(loaded(), texts(), QUICK, tmp_path)
    assert caplog.text.count(told) == 3
    assert read_probe(tmp_path).about["data"]["texts"] == 120


def test_two_processes_do_not_write_to_one_folder(tmp_path):
    with FileLock(tmp_path / ".lock-states"), pytest.raises(BadRunFolder, match="Another process"):
        make_probe(loaded(), texts(), QUICK, tmp_path)


def test_texts_without_tokens_are_in_no_part(tmp_path):
    given = [*texts(), LabelledText("none", "", True)]
    made = make_probe(loaded(), given, QUICK, tmp_path)
    assert made.about["data"]["without_tokens"] == 1
    assert sum(each.n for each in metrics_of(made.about).values()) == 120


def test_too_few_texts_are_a_sentence(tmp_path):
    with pytest.raises(BadData, match=r"2 texts make a training part with .* Give more texts"):
        make_probe(loaded(), texts(2), QUICK, tmp_path)


def test_doubts_are_said(tmp_path):
    rare = [LabelledText(f"n{n}", f"text {n}", n % 40 == 0) for n in range(400)]
    twice = [LabelledText(f"m{n}", "text 1", False) for n in range(40)]
    slow = ProbeSettings(fit=FitSettings(rates=(1e-6,), epochs=2))
    doubts = "\n".join(make_probe(loaded(), rare + twice, slow, tmp_path).about["doubts"])
    assert "Only 2.3% of the texts are toxic" in doubts  # 10 of 440
    assert "1 texts are in more than one part, under several ids" in doubts
    assert "The best epoch is the last (2)" in doubts


def test_a_test_part_of_one_class_has_no_auc(tmp_path):
    given = [each for each in texts(200) if part_of(each.id) != "test" or not each.toxic]
    made = make_probe(loaded(), given, QUICK, tmp_path)
    found = metrics_of(made.about)["test"]
    assert found == PartMetrics(found.n, 0, found.accuracy, 1.0, None)
    assert "The test part has one class only" in " ".join(made.about["doubts"])


def test_files_give_back_what_was_written(tmp_path):
    write_probe(tmp_path, Probe(VECTOR, False, MODEL, {"doubts": ["none"]}))
    for path in (tmp_path, tmp_path / "probe.safetensors", tmp_path / "probe.json"):
        found = read_probe(path)
        assert np.array_equal(found.vector, VECTOR)
        assert (found.after_norm, found.base_model) == (False, MODEL)
        assert found.about == {"doubts": ["none"]}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["probe.json", "probe.safetensors"]
    first = (tmp_path / "probe.safetensors").read_bytes()
    for _ in range(5):
        write_probe(tmp_path, Probe(VECTOR, False, MODEL))
        assert (tmp_path / "probe.safetensors").read_bytes() == first


def _linear(path, tensor=None):
    module = torch.nn.Linear(4, 1, bias=False)
    module.weight.data[0] = torch.from_numpy(VECTOR)
    torch.save(module if tensor is None else tensor, path)


def _safetensors(path, **tensors):
    from safetensors.torch import save_file

    save_file(tensors, path)


BARE = {
    "a.npy": lambda path: np.save(path, VECTOR.astype(np.float64)),
    "row.npy": lambda path: np.save(path, VECTOR[None]),
    "a.json": lambda path: path.write_text(json.dumps(VECTOR.tolist())),
    "row.json": lambda path: path.write_text(json.dumps([VECTOR.tolist()])),
    "a.safetensors": lambda path: _safetensors(path, x=torch.from_numpy(VECTOR)),
    "b.safetensors": lambda path: _safetensors(path, x=torch.from_numpy(VECTOR).bfloat16()[None]),
    "probe.safetensors": lambda path: _safetensors(path, x=torch.from_numpy(VECTOR)),
    "module.pt": _linear,
    "tensor.pt": lambda path: _linear(path, torch.from_numpy(VECTOR)),
    "row.pt": lambda path: _linear(path, torch.from_numpy(VECTOR)[None]),
}


@pytest.mark.parametrize("name", BARE)
def test_a_bare_vector_is_a_probe_of_no_known_model(tmp_path, name):
    BARE[name](tmp_path / name)
    found = read_probe(tmp_path / name)
    assert found.vector.dtype == np.float32
    assert found.vector.tolist() == VECTOR.tolist()  # exact in bfloat16 too
    assert (found.base_model, found.after_norm) == (None, True)


REFUSED = {
    "zero.npy": (lambda path: np.save(path, VECTOR * 0), "All 4 numbers of .* are 0"),
    "nan.npy": (lambda path: np.save(path, VECTOR * np.nan), "4 of the 4 numbers"),
    "large.npy": (lambda path: np.save(path, np.array([1e300, 1.0])), "1 of the 2 numbers"),
    "matrix.npy": (lambda path: np.save(path, np.ones((2, 4))), r"shape \(2, 4\)"),
    "empty.npy": (lambda path: np.save(path, VECTOR[:0]), r"shape \(0,\)"),
    "bool.npy": (lambda path: np.save(path, VECTOR > 0), "holds bool"),
    "object.npy": (
        lambda path: np.save(path, np.array([{}]), allow_pickle=True),
        "no vector that can be read: .*allow_pickle=False",
    ),
    "words.json": (lambda path: path.write_text('["a"]'), "holds <U1"),
    "ragged.json": (lambda path: path.write_text("[1, [2]]"), "no vector that can be read"),
    "object.json": (lambda path: path.write_text("{}"), "no list of numbers"),
    "half.json": (lambda path: path.write_text("[1, "), "no vector that can be read"),
    "two.safetensors": (
        lambda path: _safetensors(path, a=torch.ones(4), b=torch.ones(4)),
        r"2 tensors \(a, b\), not one",
    ),
    "two.pt": (lambda path: _linear(path, [torch.ones(4), torch.ones(4)]), "2 storages, not one"),
    "half.pt": (lambda path: _linear(path, torch.ones(4).half()), "HalfStorage, not float32"),
    "matrix.pt": (lambda path: _linear(path, torch.ones(2, 64)), r"shape \(2, 64\)"),
    "deep.pt": (lambda path: _linear(path, torch.ones(1, 1, 2, 2)), r"shape \(1, 1, 2, 2\)"),
    "number.pt": (lambda path: _linear(path, torch.ones(())), r"shape \(\)"),
    "part.pt": (
        lambda path: _linear(path, torch.ones(2, 4)[0]),
        r"a tensor of shape \(4,\) in a storage of 8 numbers",
    ),
    "nested.json": (lambda path: path.write_text("[" * 100_000), "no vector that can be read"),
    "old.pt": (lambda path: path.write_bytes(b"\x80\x02"), "no vector that can be read"),
    "a.gguf": (lambda path: path.write_bytes(b""), r"A folder, or a file: \.safetensors, \.npy"),
    "none.npy": (lambda path: None, "is not there"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_vector_is_a_sentence(tmp_path, name):
    make, told = REFUSED[name]
    make(tmp_path / name)
    with pytest.raises(BadData, match=told):
        read_probe(tmp_path / name)


@pytest.mark.parametrize("damage", ["length", "shape", "cut", "text"])
def test_a_tampered_header_is_a_sentence(tmp_path, damage):
    write_probe(tmp_path, Probe(VECTOR))
    file = tmp_path / "probe.safetensors"
    content = file.read_bytes()
    damaged = {
        "length": b"\xff" * 8 + content[8:],
        "shape": content.replace(b'"shape":[4]', b'"shape":[9]'),
        "cut": content[:-5],
        "text": content[:8] + b"?" + content[9:],
    }[damage]
    assert damaged != content
    file.write_bytes(damaged)
    with pytest.raises(BadData, match=r"probe\.safetensors holds no vector that can be read"):
        read_probe(tmp_path)


def test_a_record_belongs_to_its_vector(tmp_path):
    write_probe(tmp_path, Probe(VECTOR))
    BARE["probe.safetensors"](tmp_path / "probe.safetensors")
    assert np.array_equal(read_probe(tmp_path).vector, VECTOR)  # the same numbers
    _safetensors(tmp_path / "probe.safetensors", weight=torch.ones(4))
    with pytest.raises(BadData, match="written with another"):
        read_probe(tmp_path)


@pytest.mark.parametrize(
    "content", ["{", "{}", "[]", '{"schema": 2}', '{"schema": 1}', "[" * 10**5], ids=len
)
def test_a_record_that_is_none(tmp_path, content):
    write_probe(tmp_path, Probe(VECTOR))
    (tmp_path / "probe.json").write_text(content)
    with pytest.raises(BadData, match="is not the record of a probe"):
        read_probe(tmp_path)


class _Opens:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self):
        return open, (self.file, "w")


def test_a_torch_file_with_a_damaged_byte_is_a_sentence_or_the_vector(tmp_path):
    """As where the byte says which version of zip is needed, or how it is packed."""
    _linear(tmp_path / "good.pt", torch.from_numpy(VECTOR))
    content, bad = (tmp_path / "good.pt").read_bytes(), tmp_path / "bad.pt"
    refused = 0
    for place in range(content.index(b"PK\x01\x02"), len(content)):  # the list of what is in it
        bad.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            assert np.array_equal(read_probe(bad).vector, VECTOR)
        except BadData:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("says", "told"), [("torch FloatStorage", "without a shape"), ("nothing", "type unknown")]
)
def test_the_pickle_in_a_torch_file_is_never_run(tmp_path, says, told):
    good, bad, made = tmp_path / "good.pt", tmp_path / "bad.pt", tmp_path / "made"
    _linear(good)
    harmful = pickle.dumps((_Opens(made), says))
    with ZipFile(good) as source, ZipFile(bad, "w") as target:
        for name in source.namelist():
            target.writestr(name, harmful if name.endswith("data.pkl") else source.read(name))
    with pytest.raises(BadData, match=told):
        read_probe(bad)
    assert not made.exists()
    pickle.loads(harmful)[0].close()
    assert made.exists()  # so it would have been


def test_the_width_is_checked_with_the_models():
    check_width(Probe(VECTOR), 4)
    with pytest.raises(BadData, match=r"4 numbers, .* hidden size is 16\. It was fitted to m\."):
        check_width(Probe(VECTOR, base_model=MODEL), 16)


def _app():
    app = typer.Typer()
    app.callback()(lambda: None)
    for name, (function, epilog) in COMMANDS.items():
        app.command(name, epilog=epilog)(function)
    return app


def test_the_command_prints_the_parts_and_writes_the_files(tmp_path, gpt2_folder):
    data = tmp_path / "data.csv"
    body = "".join(f"{each.id},{each.text},{int(each.toxic)}\n" for each in texts(200))
    data.write_text("id,comment_text,toxic\n" + body)
    options = ["--model", gpt2_folder, "--data", data, "--output", tmp_path / "probe"]
    options += ["--device", "cpu", "--epochs", "2", "--learning-rate", "0.01", "--limit", "150"]
    result = CliRunner().invoke(_app(), ["probe", *map(str, options)])
    assert result.exit_code == 0, result.output
    counts = re.findall(r"^ +(?:train|validation|test) +([0-9]+)", result.output, re.MULTILINE)
    assert len(counts) == 3
    assert sum(map(int, counts)) == 150
    assert read_probe(tmp_path / "probe").about["fit"]["learning_rate"] == 0.01
    assert "Learning rate 0.01" in " ".join(result.output.split())


def test_a_place_that_cannot_be_written_is_seen_before_anything_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    options = ["--model", "none", "--data", "none.csv", "--output", str(tmp_path / "file" / "x")]
    result = CliRunner().invoke(_app(), ["probe", *options])
    assert isinstance(result.exception, BadRunFolder)
    assert "Cannot write to" in str(result.exception)


def test_help_loads_no_torch():
    code = "import sys, detox_bench.commands.neurons_probe; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
