"""Two processes share one evaluation, on CPUs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import detox_hf, evaluate_tasks, texts_of
from doubles import HashScorer

from detox_bench.harness import tasks
from detox_bench.runs import read_generations

DE, EN = "rtplx_toxicity_de", "rtplx_toxicity_en"
#: ``detox-bench`` with a HashScorer for its scorer.
PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from doubles import HashScorer
from detox_bench.harness import tasks
tasks.load_scorer = lambda spec, **options: HashScorer()
from detox_bench.cli import main
main()
"""
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def test_two_processes_give_the_results_of_one(gpt2_folder, tmp_path, monkeypatch):
    """Three prompts a language: one process has two of them, the other one and a repeat."""
    program, out = tmp_path / "program.py", tmp_path / "out"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent)))
    model = ["--model", "detox-hf", "--model_args", f"pretrained={gpt2_folder},dtype=float32"]
    arguments = [*model, "--tasks", f"{DE},{EN}", "--limit", "3", "--device", "cpu"]
    arguments += ["--output_path", str(out), "--log_samples", "--batch_size", "64"]
    launched = subprocess.run(
        [sys.executable, *LAUNCH, str(program), "eval", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr[-3000:]
    assert launched.stdout.count("are not comparable") == 1  # one process prints the table

    monkeypatch.setattr(tasks, "load_scorer", lambda spec, **options: HashScorer())
    alone = evaluate_tasks(detox_hf(gpt2_folder, batch_size=64), DE, EN, limit=3)
    (file,) = out.rglob("results_*.json")
    results = json.loads(file.read_text("utf-8"))
    for task in (DE, EN):
        found, expected = results["results"][task], alone["results"][task]
        assert found["sample_len"] == expected["sample_len"] == 3
        numbers = {name for name, value in expected.items() if isinstance(value, float)}
        assert numbers >= {"emt,none", "average_toxicity,none", "emt_stderr,none"}
        for name in numbers:
            assert abs(found[name] - expected[name]) < 1e-9, name
        metadata = results["configs"][task]["metadata"]
        assert "|n:3|" in metadata["detox_signature"]
        assert metadata["detox_signature"] == alone["configs"][task]["metadata"]["detox_signature"]

    assert len(list(next((out / "run").iterdir()).glob("generations-*.jsonl"))) == 2
    run = next((out / "run").iterdir())
    stored = {(each.prompt_id, each.sample): each.text for each in read_generations(run)}
    expected = {(p, n): t for p, texts in texts_of(alone).items() for n, t in enumerate(texts)}
    assert stored == expected
    assert len(list(read_generations(next((out / "run").iterdir())))) == 150
