"""Texts a second of the embedded scorer on one core, on texts as long as 20-token continuations."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import time

from detox_bench.data.prompts import load_prompts
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.scorers.table import load_scorer

TEXTS = 20_000
CHARACTERS = 80
ROUNDS = 3


def texts(count: int) -> list[str]:
    """Return different texts of about 80 characters: shuffled words of the prompts."""
    chance = random.Random(0)
    words = [
        w for code in PAPER_LANGUAGES for p in load_prompts(code).prompts for w in p.text.split()
    ]
    return [" ".join(chance.choices(words, k=13))[:CHARACTERS] for _ in range(count)]


def main() -> None:
    """Print the best of three rounds, in processor time."""
    scorer, made = load_scorer("ngram"), texts(TEXTS)
    best = 0.0
    for _ in range(ROUNDS):
        start = time.process_time()
        scorer.score(made, "en")
        best = max(best, TEXTS / (time.process_time() - start))
    print(f"{scorer.id}: {best:,.0f} texts/s on one core ({CHARACTERS} characters each)")


if __name__ == "__main__":
    main()
