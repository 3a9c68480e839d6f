"""Time and memory of scoring a store from disk: one full model of the paper is 458,200 texts.

The texts are random words of the sample prompts, 13 words of their language a text, 25 texts a
prompt, in a run folder. Each size is scored in a process of its own, with a cache of its own; the
highest memory is that of this process, beyond what it has when everything is imported and loaded.

    python -m benchmarks.bench_rescoring --prompts 4582 18328
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.memory import Peak
from detox_bench.data.sample import sample_prompts
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.rescoring import PromptScores, rescore, score_here
from detox_bench.runs import RunFolder, StoredGeneration
from detox_bench.scorers.cache import CACHE_VARIABLE
from detox_bench.scorers.protocol import Scorer
from detox_bench.scorers.table import load_scorer

SAMPLES = 25
WORDS = 13


def main() -> None:
    """Print a row a size; ``--store`` scores one store and prints its numbers as JSON."""
    options = _options()
    if options.store:
        print(json.dumps(_measure(options.store)))
        return
    print("| texts | store | scored in | from the cache | memory, scoring | with the table |")
    print("|---|---|---|---|---|---|")
    for prompts in options.prompts:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "run"
            size = _write(store, prompts)
            os.environ[CACHE_VARIABLE] = str(Path(folder) / "scores.sqlite")
            first, again = _in_a_process(store), _in_a_process(store)
            texts = prompts * SAMPLES
            seconds = " | ".join(f"{run['seconds']:.0f} s" for run in (first, again))
            memory = " | ".join(f"{first[phase]:.2f} GB" for phase in ("scoring", "table"))
            print(f"| {texts:,} | {size / 1e6:.0f} MB | {seconds} | {memory} |", flush=True)


def _measure(store: Path) -> dict[str, float]:
    """Score ``store`` here; return seconds, and GB beyond what is resident before."""
    scorer = load_scorer("ngram")
    scorer.score(["a text"], "en")
    peak, start = Peak(), time.perf_counter()
    found = {}

    def watched(path: Path, judge: Scorer) -> Iterator[PromptScores]:
        yield from score_here(path, judge)
        found["scoring"] = peak.gigabytes()

    rescore(store, scorer, store, way=watched)
    return found | {"seconds": time.perf_counter() - start, "table": peak.gigabytes()}


def _in_a_process(store: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bench_rescoring", "--store", str(store)]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(found.stdout))


def _write(store: Path, prompts: int) -> int:
    """Write a run folder of so many prompts, all languages alike; return its bytes."""
    with RunFolder(store, {"benchmark": prompts}) as run:
        for place, code in enumerate(PAPER_LANGUAGES):
            chance = random.Random(code)
            words = [word for prompt in sample_prompts(code) for word in prompt.text.split()]
            for number in range(place, prompts, len(PAPER_LANGUAGES)):
                run.add(_generations(f"bench/{code}/{number}", code, words, chance))
    return sum(file.stat().st_size for file in store.glob("generations-*.jsonl"))


def _generations(
    prompt_id: str, code: str, words: list[str], chance: random.Random
) -> Iterator[StoredGeneration]:
    for sample in range(SAMPLES):
        text = " ".join(chance.choices(words, k=WORDS))
        yield StoredGeneration("settings", prompt_id, "hash", code, sample, text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, nargs="+", default=[4582, 18328])
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
