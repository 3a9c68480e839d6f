"""25 samples a prompt: ``detox-hf`` against lm-eval's own ``hf`` at its best batch size.

``python -m benchmarks.bench_sampling [--model DIR] [--prompts N] [--device cuda --dtype bfloat16]``
Both get the same model, prompts and settings, in turns; what counts is the ratio.
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

os.environ["HF_HUB_OFFLINE"] = "1"
logging.disable(logging.WARNING)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

from detox_bench.data.prompts import load_prompts  # noqa: E402
from detox_bench.demo import model_path  # noqa: E402
from detox_bench.harness.model import DetoxHFLM  # noqa: E402
from detox_bench.languages import PAPER_LANGUAGES  # noqa: E402

SAMPLES = 25
THEIR_BATCH_SIZES = (16, 64, 256)
SAMPLING = {
    "until": [],
    "do_sample": True,
    "temperature": 0.9,
    "top_p": 0.8,
    "top_k": 0,
    "max_gen_toks": 20,
}
#: Randomly initialised models.
SHAPES: dict[str, dict[str, Any]] = {
    "random, vocabulary 100k": {"n_layer": 6, "n_embd": 256, "n_head": 4, "vocab_size": 100_000},
    "random, mGPT 1.3B": {"n_layer": 24, "n_embd": 2048, "n_head": 16, "vocab_size": 100_000},
}


def requests(count: int) -> list[Instance]:
    """Return ``SAMPLES`` requests for each of ``count`` prompts, spread over the languages."""
    sets = [load_prompts(code).prompts for code in PAPER_LANGUAGES]
    prompts = [one[place] for place in range(len(sets[0])) for one in sets if place < len(one)]
    made = []
    for number, prompt in enumerate(prompts[:count]):
        doc = {"id": prompt.id, "language": prompt.language}
        one = Instance(
            "generate_until", doc, (prompt.text, SAMPLING), 0, ("bench", number, SAMPLES)
        )
        made += [one] * SAMPLES
    return made


def default_model() -> Path:
    """Return mini-mgpt where the shared folder is there, else the demo model."""
    shared = Path(os.environ.get("DETOX_BENCH_SHARED", "../shared")) / "models" / "mini-mgpt"
    return shared if shared.is_dir() else Path(model_path())


def random_model(folder: Path, shape: dict[str, Any]) -> Path:
    """Save a randomly initialised GPT-2 with the demo model's tokenizer.

    Its distributions are nearly flat: the nucleus holds most of the vocabulary, the worst case.
    """
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_positions=128, bos_token_id=0, eos_token_id=0, **shape)
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(model_path()).save_pretrained(folder)
    return folder


def speed(model: Any, asked: list[Instance]) -> float:
    """Return texts a second for one run over the requests."""
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    model.generate_until(asked, disable_tqdm=True)
    return len(asked) / (time.perf_counter() - start)


def rows(
    folder: Path, asked: list[Instance], options: argparse.Namespace
) -> Iterator[tuple[str, float]]:
    """Yield a name and texts a second for each way of sampling, best of the rounds."""
    common = {"pretrained": str(folder), "device": options.device, "dtype": options.dtype}
    theirs = {f"hf, batch {n}": HFLM(batch_size=n, **common) for n in THEIR_BATCH_SIZES}
    models: dict[str, Any] = {**theirs, "detox-hf, batch auto": DetoxHFLM(**common)}
    best = dict.fromkeys(models, 0.0)
    for _ in range(options.rounds):
        for name, model in models.items():
            best[name] = max(best[name], speed(model, asked))
    yield from best.items()


def main() -> None:
    """Print a table a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a model folder; mini-mgpt or the demo model")
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--shape", choices=[*SHAPES, "none"], default="random, vocabulary 100k")
    options = parser.parse_args()
    given = options.model or default_model()
    asked = requests(options.prompts)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {given.name: given}
        if options.shape != "none":
            folders[options.shape] = random_model(Path(scratch), SHAPES[options.shape])
        for name, folder in folders.items():
            print(
                f"{name}: {options.prompts} prompts x {SAMPLES}, {options.device} {options.dtype}"
            )
            found = dict(rows(folder, asked, options))
            best = max(value for way, value in found.items() if way.startswith("hf"))
            for way, value in found.items():
                print(f"  {way:<24}{value:9.1f} texts/s {value / best:7.2f} x best hf", flush=True)


if __name__ == "__main__":
    main()
