"""Ranking every value vector of a model of mGPT's shape: seconds, and memory beside the model.

``python -m benchmarks.bench_ranking [--layers N] [--width N]``
The weights are random, the vocabulary is small: neither touches what is measured. Memory is the
highest resident size while ranking, less that of the loaded model before (Linux).
"""

import argparse
import os
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from detox_bench.modeling.architectures import neuron_shape
from detox_bench.neurons.find.ranking import highest, measure_vectors

LIMIT = 2.0  # GB beside the model; the target of the design


def main() -> None:
    options = _options()
    config = GPT2Config(
        vocab_size=1000,
        n_embd=options.width,
        n_layer=options.layers,
        n_head=16,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config).eval()
    shape = neuron_shape(model)
    probe = np.random.default_rng(0).normal(size=shape.hidden).astype(np.float32)
    before = _kilobytes("VmRSS")
    _forget_peak()
    start = time.perf_counter()
    found = measure_vectors(model, probe)
    best = highest(found.cosines, 100)
    spent = time.perf_counter() - start
    extra = max(0, _kilobytes("VmHWM") - before) / 1e6
    print(
        f"{found.cosines.size:,} value vectors of width {shape.hidden} ranked in {spent:.2f} s, "
        f"{torch.get_num_threads()} threads; {extra:.3f} GB beside the model's "
        f"{before / 1e6:.2f} GB; the highest is {best[0]}, cosine {found.cosines[best[0]]:.3f}."
    )
    if extra > LIMIT:
        raise SystemExit(f"More than {LIMIT} GB.")


def _kilobytes(name: str) -> int:
    """Return a line of this process's status: ``VmRSS`` is resident now, ``VmHWM`` the highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def _forget_peak() -> None:
    """Let ``VmHWM`` begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=2048)
    return parser.parse_args()


if __name__ == "__main__":
    main()
