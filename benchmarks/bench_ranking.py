"""Ranking every value vector of a model of mGPT's shape: seconds, and memory beside the model.

``python -m benchmarks.bench_ranking [--layers N] [--width N]``
The weights are random, the vocabulary is small: neither touches what is measured. Memory is the
highest resident size while ranking, less that of the loaded model before (Linux).
"""

import argparse
import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.memory import Peak
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
    peak = Peak()
    start = time.perf_counter()
    found = measure_vectors(model, probe)
    best = highest(found.cosines, 100)
    spent = time.perf_counter() - start
    extra = peak.gigabytes()
    print(
        f"{found.cosines.size:,} value vectors of width {shape.hidden} ranked in {spent:.2f} s, "
        f"{torch.get_num_threads()} threads; {extra:.3f} GB beside the model; the highest is "
        f"{best[0]}, cosine {found.cosines[best[0]]:.3f}."
    )
    if extra > LIMIT:
        raise SystemExit(f"More than {LIMIT} GB.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=2048)
    return parser.parse_args()


if __name__ == "__main__":
    main()
