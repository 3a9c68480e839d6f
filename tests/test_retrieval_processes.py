"""Two processes share one retrieval task, on CPUs."""

import json
import os
import subprocess
import sys

import pytest
from conftest import detox_hf, evaluate_tasks

DE, FR = "flores_retrieval_de", "flores_retrieval_fr"
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def test_two_processes_give_the_results_of_one(gpt2_folder, tmp_path):
    """Seven pairs: one process has four of them, the other three and a repeat."""
    model = ["--model", "detox-hf", "--model_args", f"pretrained={gpt2_folder},dtype=float32"]
    arguments = [*model, "--tasks", f"{DE},{FR}", "--limit", "7", "--device", "cpu"]
    arguments += ["--output_path", str(tmp_path), "--log_samples", "--batch_size", "4"]
    launched = subprocess.run(
        [sys.executable, *LAUNCH, "-m", "detox_bench", "eval", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr[-3000:]
    assert launched.stdout.count("Retrieval of ") == 1  # one process prints the table
    alone = evaluate_tasks(detox_hf(gpt2_folder), DE, FR, limit=7)
    (file,) = tmp_path.rglob("results_*.json")
    results = json.loads(file.read_text("utf-8"))
    for task in (DE, FR):
        found, expected = results["results"][task], alone["results"][task]
        numbers = {name for name, value in expected.items() if isinstance(value, float)}
        assert numbers >= {"top1,none", "mexa_best,none", "n,none"}
        for name in numbers:
            assert found[name] == pytest.approx(expected[name], abs=1e-5, nan_ok=True), name
        metadata = [each["configs"][task]["metadata"] for each in (results, alone)]
        for key in ("detox_asked", "detox_tokens", "detox_cut"):
            assert metadata[0][key] == metadata[1][key]
    (samples,) = tmp_path.rglob(f"samples_{DE}_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text("utf-8").split("\n") if line]
    assert sorted(line["doc"]["number"] for line in lines) == list(range(7))
    assert all("float32 sha256:" in line["resps"][0][0] for line in lines)
