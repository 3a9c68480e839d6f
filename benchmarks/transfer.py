"""How far English-only DPO reaches, at what price: train, evaluate and compare, setting by setting.

    python -m benchmarks.transfer --model M --pairs DIR --output out/transfer curve
    python -m benchmarks.transfer --model M --pairs DIR --output out/transfer --setting NAME best

``curve`` runs every row of ``SETTINGS`` with one seed on the first 20 odd-Index prompts a language.
``best`` runs settings with seeds 0 to 2, and the control trained on shuffled labels, on the first
``--limit`` odd-Index prompts without those 20, by which a setting was chosen. DIR holds the files
that ``PAIRS`` names, made by ``detox-bench pairs`` (docs/dpo.md). What is there is not made again;
what was made of other pairs or arguments is refused.
"""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.runs import read_generations

TASKS = "rtplx_toxicity_*"
SELECTION = 20
PAIRS = {
    "onpolicy": "onpolicy_en.jsonl",
    "unfiltered": "unfiltered_en.jsonl",  # made with --any-language
    "rtplx": "rtplx_en.jsonl",
    "both": "both_en.jsonl",  # those two, one after the other
    "paradetox": "paradetox_en.jsonl",
}
_SHOWN = (
    *("emt", "toxicity_probability", "average_toxicity", "right_language_toxicity"),
    *("empty_rate", "language_share"),
)
_COMMON = ["--max_length", "96", "--prompt_length", "64", "--save_strategy", "no"]
_COMMON += ["--disable_tqdm", "true", "--logging_steps", "20", "--eval_steps", "50"]
_FULL = ["--use_peft", "false", "--loss_weights", "1", "0.1", "--beta", "0.05"]
_PAPER = ["--recipe", "paper-full", "--warmup_steps", "20", "--num_train_epochs", "1"]
_EARLY = [*_FULL, "--train_only", r"h\.[01]\."]


class Setting(NamedTuple):
    """The file of pairs, and what differs from the recipe `modern`."""

    pairs: str
    arguments: list[str]


#: The curve: pairs, rate, part of the model, optimizer and loss, one at a time.
SETTINGS: dict[str, Setting] = {
    "full-1e-4": Setting("onpolicy", [*_FULL, "--learning_rate", "1e-4"]),
    "bias-1e-2": Setting("onpolicy", [*_FULL, "--learning_rate", "1e-2", "--train_only", "bias"]),
    "sgd-0.1": Setting("onpolicy", [*_FULL, "--optim", "sgd", "--learning_rate", "0.1"]),
    "early-3e-4": Setting("onpolicy", [*_EARLY, "--learning_rate", "3e-4"]),
    "both-early-3e-4": Setting("both", [*_EARLY, "--learning_rate", "3e-4"]),
    "rtplx-1e-4": Setting("rtplx", [*_FULL, "--learning_rate", "1e-4", "--num_train_epochs", "3"]),
    "rtplx-bias-1e-2": Setting(
        "rtplx",
        [*_FULL, "--learning_rate", "1e-2", "--train_only", "bias", "--num_train_epochs", "3"],
    ),
    "rtplx-3e-4": Setting("rtplx", [*_FULL, "--learning_rate", "3e-4", "--num_train_epochs", "3"]),
    "paradetox-1e-4": Setting(
        "paradetox", [*_FULL, "--learning_rate", "1e-4", "--max_steps", "145"]
    ),
    "paper-5e-5": Setting("onpolicy", [*_PAPER, "--learning_rate", "5e-5"]),
    "full-no-sft": Setting(
        "onpolicy", [*_FULL, "--learning_rate", "1e-4", "--loss_weights", "1", "0"]
    ),
    "unfiltered-full-1e-4": Setting("unfiltered", [*_FULL, "--learning_rate", "1e-4"]),
    "unfiltered-bias-1e-2": Setting(
        "unfiltered", [*_FULL, "--learning_rate", "1e-2", "--train_only", "bias"]
    ),
}


def main() -> None:
    options = _options()
    for name in options.setting or SETTINGS:
        if options.what == "curve":
            run = evaluated(options, Trial(name), SELECTION)
            told = {name: compared(options, [run], f"{name}-0", SELECTION)}
        else:
            told = _best(options, name)
        for label, row in told.items():
            print(label, json.dumps(row), flush=True)


def _best(options: argparse.Namespace, name: str) -> dict[str, dict[str, Any]]:
    """Return what a setting changes, in the mean of three seeds, and what its control does."""
    groups = {
        name: [Trial(name, seed) for seed in (0, 1, 2)],
        f"{name}-shuffled": [Trial(name, shuffled=True)],
    }
    found = {}
    for label, trials in groups.items():
        runs = [evaluated(options, trial, options.limit) for trial in trials]
        found[label] = compared(options, runs, label, options.limit)
    return found


class Trial(NamedTuple):
    """One training: a setting, its seed, and whether the labels of its pairs are shuffled."""

    setting: str
    seed: int = 0
    shuffled: bool = False

    @property
    def label(self) -> str:
        """The name of its folders."""
        return f"{self.setting}{'-shuffled' if self.shuffled else ''}-{self.seed}"


def evaluated(options: argparse.Namespace, trial: Trial, limit: int) -> Path:
    """Train and evaluate; return the run folder."""
    trained = options.output / "models" / trial.label
    setting = SETTINGS[trial.setting]
    pairs = _pairs(options, setting.pairs, trial)
    words = ["train-dpo", "--model", str(options.model), "--pairs", str(pairs)]
    words += ["--output_dir", str(trained), "--seed", str(trial.seed)]
    words += [*_COMMON, *setting.arguments, "--max_dropped", "0.5", "--merge"]
    words += ["--load_best_model_at_end", "false", "--early_stopping_patience", "0"]
    _once(trained.parent / f"{trial.label}.done", words, pairs)
    merged = trained / "merged"
    return _evaluate(options, merged if merged.exists() else trained, trial.label, limit)


def compared(
    options: argparse.Namespace, runs: Sequence[Path], label: str, limit: int
) -> dict[str, Any]:
    """Compare with the base; return the means over the languages other than English."""
    base = _evaluate(options, options.model, "base", limit)
    stores = [base, *runs]
    if limit > SELECTION:
        selected = _evaluate(options, options.model, "base", SELECTION)
        stores = [_without(store, selected) for store in stores]
    file = options.output / f"{label}-{limit}.json"
    words = ["compare", *map(str, stores), "--perplexity-model", str(options.model)]
    _once(file.with_name(f"{file.name}.done"), [*words, "--json", str(file)])
    (found,) = json.loads(file.read_text())["comparisons"]
    rows = {row["language"]: row for row in found["languages"]}
    return {
        **{
            name: [round(rows["others"][name][when], 3) for when in ("base", "other")]
            for name in _SHOWN
        },
        "english": round(rows["en"]["average_toxicity"]["other"], 3),
        "perplexity_ratio": round(found["perplexity_ratio"]["others"]["estimate"], 3),
        "perplexity_ratio_en": round(found["perplexity_ratio"]["en"]["estimate"], 3),
        "lower_in": found["verdict"]["lower"],
    }


def _without(run: Path, selected: Path) -> Path:
    """Return a copy of a run folder without the prompts that another one has."""
    left_out = {each.prompt_id for each in read_generations(selected)}
    folder = run.with_name("unseen")
    folder.mkdir(exist_ok=True)
    shutil.copy(run / "run.json", folder)
    kept = (each for each in read_generations(run) if each.prompt_id not in left_out)
    lines = (json.dumps(asdict(each)) + "\n" for each in kept)
    (folder / "generations-0.jsonl").write_text("".join(lines), "utf-8")
    return Path(folder)


def _evaluate(options: argparse.Namespace, model: Path, label: str, limit: int) -> Path:
    output = options.output / "runs" / f"{label}-{limit}"
    run = output / "run"
    words = ["eval", "--model", "detox-hf", "--tasks", TASKS, "--subset", "odd"]
    words += ["--model_args", f"pretrained={model},run_folder={run}", "--limit", str(limit)]
    _once(output / "done", [*words, "--output_path", str(output)])
    return run


def _pairs(options: argparse.Namespace, name: str, trial: Trial) -> Path:
    """Return the file of pairs, or that file with the labels of a random half exchanged."""
    file = options.pairs / PAIRS[name]
    if not trial.shuffled:
        return Path(file)
    chance = random.Random(trial.seed)
    rows = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]
    for row in rows:
        if chance.random() < 0.5:
            row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    shuffled = options.output / f"shuffled-{name}-{trial.seed}.jsonl"
    shuffled.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return Path(shuffled)


def _once(done: Path, words: Sequence[str], data: Path | None = None) -> None:
    """Run a command of ours, unless ``done`` says that this very one was run on these data."""
    content = hashlib.sha256(data.read_bytes()).hexdigest() if data else ""
    made = json.dumps([*words, content])
    if done.exists():
        if done.read_text("utf-8") != made:
            raise SystemExit(f"{done} is of another command or other pairs: delete it, or rename.")
        return
    done.parent.mkdir(parents=True, exist_ok=True)
    with done.with_name(f"{done.name}.log").open("w") as log:
        command = [sys.executable, "-m", "detox_bench", *words]
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
    done.write_text(made, "utf-8")


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
