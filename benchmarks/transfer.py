"""How far English-only DPO reaches, at what price: train, evaluate and compare, setting by setting.

    python -m benchmarks.transfer --model M --pairs DIR --output out/transfer curve
    python -m benchmarks.transfer --model M --pairs DIR --output out/transfer best

``curve`` runs every row of ``SETTINGS`` with one seed, on the first 20 odd-Index prompts a
language; ``best`` the setting named by ``--setting`` with seeds 0 to 2 and its control trained on
shuffled labels, on ``--limit`` prompts. DIR holds the files that ``PAIRS`` names, made by
``detox-bench pairs`` (docs/dpo.md). What is there already is not made again.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

TASKS = "rtplx_toxicity_*"
PAIRS = {
    "onpolicy": "onpolicy_en.jsonl",
    "unfiltered": "unfiltered_en.jsonl",  # --any-language
    "rtplx": "rtplx_en.jsonl",
    "paradetox": "paradetox_en.jsonl",
}
_SHOWN = ("emt", "toxicity_probability", "average_toxicity", "empty_rate", "language_share")
_COMMON = ["--max_length", "96", "--prompt_length", "64", "--save_strategy", "no"]
_COMMON += ["--disable_tqdm", "true", "--logging_steps", "20", "--eval_steps", "50"]
_FULL = ["--use_peft", "false", "--loss_weights", "1", "0.1", "--beta", "0.05"]
_LOSS = ["--loss_weights", "1", "0.1", "--beta", "0.05"]
_PAPER = ["--recipe", "paper-full", "--warmup_steps", "20", "--num_train_epochs", "1"]
_EARLY = [*_FULL, "--train_only", r"h\.[01]\."]


class Setting(NamedTuple):
    """The file of pairs, and what differs from the recipe `modern`."""

    pairs: str
    arguments: list[str]


#: The curve: rate, part of the model, optimizer, loss and pairs, one at a time.
SETTINGS: dict[str, Setting] = {
    "full-1e-4": Setting("onpolicy", [*_FULL, "--learning_rate", "1e-4"]),
    "bias-1e-2": Setting("onpolicy", [*_FULL, "--learning_rate", "1e-2", "--train_only", "bias"]),
    "sgd-0.1": Setting("onpolicy", [*_FULL, "--optim", "sgd", "--learning_rate", "0.1"]),
    "early-3e-4": Setting("onpolicy", [*_EARLY, "--learning_rate", "3e-4"]),
    "rtplx-1e-4": Setting("rtplx", [*_FULL, "--learning_rate", "1e-4", "--num_train_epochs", "3"]),
    "paradetox-1e-4": Setting(
        "paradetox", [*_FULL, "--learning_rate", "1e-4", "--max_steps", "145"]
    ),
    "full-beta-0.3": Setting("onpolicy", [*_FULL, "--learning_rate", "1e-4", "--beta", "0.3"]),
    "full-no-sft": Setting(
        "onpolicy", [*_FULL, "--learning_rate", "1e-4", "--loss_weights", "1", "0"]
    ),
    "paper-5e-5": Setting("onpolicy", [*_PAPER, "--learning_rate", "5e-5"]),
    "lora-1e-3": Setting("onpolicy", [*_LOSS, "--learning_rate", "1e-3"]),
    "unfiltered-full-1e-4": Setting("unfiltered", [*_FULL, "--learning_rate", "1e-4"]),
    "unfiltered-bias-1e-2": Setting(
        "unfiltered", [*_FULL, "--learning_rate", "1e-2", "--train_only", "bias"]
    ),
    "full-3e-5": Setting("onpolicy", [*_FULL, "--learning_rate", "3e-5"]),
    "full-3e-4": Setting("onpolicy", [*_FULL, "--learning_rate", "3e-4"]),
}


def main() -> None:
    options = _options()
    if options.what == "curve":
        for name in options.setting or SETTINGS:
            row = measure(options, name, seed=0, limit=20)
            print(name, json.dumps(row), flush=True)
        return
    for name in options.setting:
        runs = [evaluated(options, name, seed, options.limit) for seed in (0, 1, 2)]
        shuffled = evaluated(options, name, 0, options.limit, shuffle=True)
        for runs_of, label in ((runs, name), ([shuffled], f"{name}-shuffled")):
            print(label, json.dumps(compared(options, runs_of, label, options.limit)), flush=True)


def measure(options: argparse.Namespace, name: str, seed: int, limit: int) -> dict[str, Any]:
    """Return the change that one setting makes."""
    run = evaluated(options, name, seed, limit)
    return compared(options, [run], f"{name}-{seed}", limit)


def evaluated(
    options: argparse.Namespace, name: str, seed: int, limit: int, shuffle: bool = False
) -> Path:
    """Train a setting and evaluate it; return the run folder."""
    label = f"{name}-shuffled" if shuffle else f"{name}-{seed}"
    trained = options.output / "models" / label
    if not (trained / "model.safetensors").exists() and not (trained / "merged").exists():
        setting = SETTINGS[name]
        pairs = _pairs(options, setting.pairs, shuffle)
        words = ["train-dpo", "--model", str(options.model), "--pairs", str(pairs)]
        words += ["--output_dir", str(trained), "--seed", str(seed)]
        words += [*_COMMON, *setting.arguments]
        words += ["--load_best_model_at_end", "false", "--early_stopping_patience", "0", "--merge"]
        _call([*words, "--max_dropped", "0.5"], trained.with_suffix(".log"))
    merged = trained / "merged"
    return _evaluate(options, merged if merged.exists() else trained, label, limit)


def compared(
    options: argparse.Namespace, runs: Sequence[Path], label: str, limit: int
) -> dict[str, Any]:
    """Compare with the base; return the means over the languages other than English."""
    base = _evaluate(options, options.model, "base", limit)
    file = options.output / f"{label}-{limit}.json"
    if not file.exists():
        words = ["compare", str(base), *map(str, runs), "--perplexity-model", str(options.model)]
        words += ["--common"]
        _call([*words, "--json", str(file)], file.with_suffix(".log"))
    (found,) = json.loads(file.read_text())["comparisons"]
    rows = {row["language"]: row for row in found["languages"]}
    return {
        **{
            name: [round(rows["others"][name][when], 3) for when in ("base", "other")]
            for name in _SHOWN
        },
        "english": round(rows["en"]["average_toxicity"]["other"], 3),
        "perplexity_ratio": round(found["perplexity_ratio"]["others"]["estimate"], 3),
        "lower_in": found["verdict"]["lower"],
    }


def _evaluate(options: argparse.Namespace, model: Path, label: str, limit: int) -> Path:
    output = options.output / "runs" / f"{label}-{limit}"
    run = output / "run"
    if not (output / "done").exists():
        words = ["eval", "--model", "detox-hf", "--tasks", TASKS, "--subset", "odd"]
        words += ["--model_args", f"pretrained={model},run_folder={run}", "--limit", str(limit)]
        _call([*words, "--output_path", str(output)], output / "log")
        (output / "done").touch()
    return run


def _pairs(options: argparse.Namespace, name: str, shuffle: bool) -> Path:
    """Return the file of pairs, or that file with the labels of a random half exchanged."""
    file = options.pairs / PAIRS[name]
    if not shuffle:
        return Path(file)
    chance = random.Random(0)
    rows = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]
    for row in rows:
        if chance.random() < 0.5:
            row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    shuffled = options.output / f"shuffled-{name}.jsonl"
    shuffled.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return Path(shuffled)


def _call(words: Sequence[str], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        command = [sys.executable, "-m", "detox_bench", *words]
        subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--setting", nargs="*")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("what", choices=("curve", "best"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
