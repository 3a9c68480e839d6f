"""Steps a second of train-dpo against plain TRL, and what a kept reference saves at the start.

All train the same model in full on the same pairs, batches and arguments. Plain TRL is what
``trl.DPOTrainer`` does by default: the reference model runs beside the policy at every step. The
third is TRL told to compute the reference before, as train-dpo does.

    python -m benchmarks.bench_dpo --model M --steps 20
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from transformers.utils import logging as transformers_logging
from trl import DPOConfig, DPOTrainer

from detox_bench.data.preferences import write_pairs
from detox_bench.demo import model_path
from detox_bench.demo.pairs import microcosm_pairs
from detox_bench.trainers.build import build_trainer
from detox_bench.trainers.parsing import parse
from detox_bench.trainers.preparation import load_model, prepare_pairs

BATCH, WARM, ROUNDS = 8, 3, 3
_COMMON: dict[str, Any] = {
    "per_device_train_batch_size": BATCH,
    "learning_rate": 1e-5,
    "optim": "adamw_torch",
    "lr_scheduler_type": "constant",
    "max_grad_norm": 1.0,
    "bf16": False,
    "gradient_checkpointing": False,
    "use_cpu": True,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "logging_steps": 1000,
    "seed": 0,
}


class Clock(TrainerCallback):
    """Times the steps after the first few."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    @property
    def step(self) -> float:
        """Seconds a step, the median."""
        times = self.times[WARM:]
        return median(b - a for a, b in pairwise(times))


def main() -> None:
    options = _options()
    transformers_logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_pairs(work / "pairs.jsonl", list(microcosm_pairs(options.pairs)))
        contestants: dict[str, Callable[..., DPOTrainer]] = {
            "TRL": plain,
            "TRL, reference before": partial(plain, precompute_ref_log_probs=True),
            "train-dpo": ours,
        }
        steps: dict[str, list[float]] = {name: [] for name in contestants}
        for number in range(ROUNDS):
            for name, build in contestants.items():
                steps[name].append(_step(build(options, work), options.steps))
            print(f"round {number + 1}: " + _line(steps, number), flush=True)
        _startup(options, work)
    best = {name: min(found) for name, found in steps.items()}
    for name in list(contestants)[:2]:
        print(f"a step of train-dpo is {best[name] / best['train-dpo']:.2f} times as fast: {name}")


def _line(steps: dict[str, list[float]], number: int) -> str:
    return ", ".join(f"{name} {1 / found[number]:.2f} steps/s" for name, found in steps.items())


def _step(trainer: DPOTrainer, steps: int) -> float:
    clock = Clock()
    trainer.add_callback(clock)
    trainer.args.max_steps = steps + WARM
    trainer.train()
    return clock.step


def plain(options: argparse.Namespace, work: Path, **more: Any) -> DPOTrainer:
    """Return TRL's trainer on the same pairs."""
    rows = [
        {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
        for pair in microcosm_pairs(options.pairs)
    ]
    return DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(options.model, dtype="float32"),
        args=DPOConfig(output_dir=str(work / "trl"), max_length=128, **_COMMON, **more),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(options.model),
    )


def ours(options: argparse.Namespace, work: Path, cache: str = "none") -> DPOTrainer:
    """Return the trainer of train-dpo; its reference is computed before the first step."""
    words = ["--model", str(options.model), "--pairs", str(work / "pairs.jsonl")]
    words += ["--recipe", "none", "--validation_share", "0", "--max_length", "128"]
    words += ["--output_dir", str(work / "ours"), "--reference_cache", cache]
    words += [word for name, value in _COMMON.items() for word in (f"--{name}", str(value))]
    arguments = parse(words)
    loaded = load_model(arguments)
    return build_trainer(arguments, loaded, prepare_pairs(arguments, loaded))[0]


def _startup(options: argparse.Namespace, work: Path) -> None:
    """Print the seconds until the first step can be made, without and with a kept reference."""
    for label in ("reference computed", "reference kept"):
        start = time.perf_counter()
        ours(options, work, str(work / "cache"))
        print(f"start-up, {options.pairs} pairs, {label}: {time.perf_counter() - start:.1f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=model_path())
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--steps", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
