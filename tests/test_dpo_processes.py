"""train-dpo in two processes: pairs in the same order, and the losses of one with two steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from detox_bench.locations import package_folder
from detox_bench.trainers.output import RECORD


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {"prompt": f"who {n} said", "chosen": " kind" + " so" * (n % 5), "rejected": f" rude {n}"}
        for n in range(32)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def _run(before, words):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_PORT": "0"}
    ended = subprocess.run(
        [*before, "train-dpo", *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended


def _launch() -> list[str]:
    config = package_folder("detox_bench.trainers") / "accelerate" / "cpu.yaml"
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    return [
        *launch,
        "--config_file",
        str(config),
        "--num_processes",
        "2",
        "--main_process_port",
        "0",
    ]


def _curve(folder: Path, name: str) -> list[float]:
    curves = json.loads((folder / RECORD).read_text())["curves"]
    return [each[name] for each in curves if name in each]


def test_two_processes_train_as_one_with_twice_the_accumulation(gpt2_folder, pairs_file, tmp_path):
    common = ["--model", str(gpt2_folder), "--pairs", str(pairs_file), "--recipe", "none"]
    common += ["--max_length", "64", "--prompt_length", "32", "--learning_rate", "1e-2"]
    common += ["--per_device_train_batch_size", "2", "--max_steps", "5", "--logging_steps", "1"]
    common += ["--validation_share", "0", "--save_strategy", "no", "--disable_tqdm", "true"]
    common += ["--reference_cache", "none"]
    one = ["--gradient_accumulation_steps", "2", "--output_dir", str(tmp_path / "one")]
    _run([sys.executable, "-m", "detox_bench"], [*common, *one])
    ended = _run(
        [*_launch(), "-m", "detox_bench"], [*common, "--output_dir", str(tmp_path / "two")]
    )
    assert ended.stdout.count("Written to") == 1, "one process speaks"
    assert _curve(tmp_path / "two", "loss") == pytest.approx(
        _curve(tmp_path / "one", "loss"), abs=1e-4
    )
    # Sums of log-probabilities of the very pairs of each step: equal only in the same order.
    for name in ("logps/chosen", "logps/rejected"):
        assert _curve(tmp_path / "two", name) == pytest.approx(
            _curve(tmp_path / "one", name), rel=1e-4
        )
    assert len(set(_curve(tmp_path / "one", "logps/chosen"))) == 5


def test_the_launcher_that_starts_one_process_for_two_is_noticed(monkeypatch, caplog):
    from detox_bench.trainers.launching import warn_if_alone

    for name in ("RANK", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    warn_if_alone()
    assert "--launcher cpu" in caplog.text
    caplog.clear()
    monkeypatch.setenv("RANK", "0")
    warn_if_alone()
    assert not caplog.text


def test_two_processes_overwrite_a_run_together(gpt2_folder, pairs_file, tmp_path):
    words = ["--model", str(gpt2_folder), "--pairs", str(pairs_file), "--recipe", "none"]
    words += ["--max_length", "64", "--prompt_length", "32", "--max_steps", "2"]
    words += ["--save_strategy", "steps", "--save_steps", "1", "--disable_tqdm", "true"]
    words += ["--output_dir", str(tmp_path / "out")]
    _run([sys.executable, "-m", "detox_bench"], words)
    _run([*_launch(), "-m", "detox_bench"], [*words, "--beta", "0.5", "--overwrite"])
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert (record["identity"]["beta"], record["identity"]["processes"]) == (0.5, 2)
    assert record["steps"] == 2
