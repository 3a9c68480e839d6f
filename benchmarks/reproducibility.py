"""How many texts differ between batch sizes, and after ``kill -9`` and resumption.

``python -m benchmarks.reproducibility [--model DIR] [--prompts 400] [--dtype bfloat16]``
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench_sampling import SAMPLES, default_model, requests
from detox_bench.harness.model import DetoxHFLM
from detox_bench.runs import read_generations

Texts = dict[tuple[str, int], str]


def sample(options: argparse.Namespace, batch_size: int, run: Path) -> Texts:
    """Return the texts of one whole run, kept in ``run``, by prompt and sample number."""
    model = DetoxHFLM(
        str(options.model),
        batch_size=batch_size,
        dtype=options.dtype,
        device=options.device,
        run_folder=str(run),
    )
    model.generate_until(requests(options.prompts), disable_tqdm=True)
    return {(each.prompt_id, each.sample): each.text for each in read_generations(run)}


def killed_and_resumed(options: argparse.Namespace, run: Path) -> Texts:
    """Start a run in a process, kill it half-way, finish it here, and return its texts."""
    command = [sys.executable, "-m", "benchmarks.reproducibility", "--only-run", str(run)]
    for name in ("model", "prompts", "dtype", "device"):
        command += [f"--{name}", str(getattr(options, name))]
    child = subprocess.Popen(command)
    written = run / "generations-0.jsonl"
    while child.poll() is None and _lines(written) < options.prompts * SAMPLES // 2:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return sample(options, 64, run)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def main() -> None:
    """Print how many texts differ from those of batch size 64."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[1, 256])
    parser.add_argument("--only-run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_run:
        sample(options, 64, options.only_run)
        return
    with tempfile.TemporaryDirectory() as scratch:
        reference = sample(options, 64, Path(scratch) / "reference")
        print(f"{options.model.name}, {options.dtype}: {len(reference):,} texts at batch size 64")
        for size in options.batch_sizes:
            other = sample(options, size, Path(scratch) / str(size))
            print(f"  batch size {size}: {different(reference, other):,} differ", flush=True)
        resumed = killed_and_resumed(options, Path(scratch) / "killed")
        print(f"  killed (-9) half-way and resumed: {different(reference, resumed):,} differ")


def different(one: Texts, other: Texts) -> int:
    """Return how many texts differ; a text that only one of them has is different."""
    return sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main()
