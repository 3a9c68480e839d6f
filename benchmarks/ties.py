"""How often ties are told apart: false separations among equal models, and power.

``python -m benchmarks.ties [--boards N] [--models N] [--larger X ...] [--wrecked N] [--seed N]``
A board is a base and models on 17 languages x 100 prompts. A prompt's change is the mean effect,
what the prompt does to every model, what its item does to one model in all languages, and noise of
its own. A board of equal models has a false separation where any pair is apart. Power is how often
a model whose change is larger by so many points is surely better than one of the equal ones, all
pairs' intervals holding at once. In ``--wrecked`` languages the text of every model is wrecked and
its toxicity as before, so that by chance half of the models fall there, which counts as 0.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.leaderboard.ties import Prompts, compare_rows

ITEMS = 100
#: Standard deviations: of a prompt in all models, of an item in one model, of a prompt in one.
COMMON, SHARED, OWN = 0.15, 0.05, 0.25
EFFECT = -0.1
LARGER = (0.0, 0.01, 0.02, 0.03, 0.05)


def main() -> None:
    options = _options()
    print("| larger by (points) | boards | any pair of equal models apart | surely better |")
    print("|---|---|---|---|")
    for larger in options.larger:
        random = np.random.default_rng([options.seed, round(1000 * larger)])
        found = [
            board(options.models, larger, random, options.wrecked) for _ in range(options.boards)
        ]
        false, power = np.mean(found, axis=0)
        print(f"| {100 * larger:.0f} | {options.boards} | {false:.1%} | {power:.1%} |")


def board(
    models: int, larger: float, random: np.random.Generator, wrecked: int = 0
) -> tuple[bool, float]:
    """Return whether any two equal models are apart, and how many a better one is better than."""
    effect = np.repeat(EFFECT * (np.arange(len(PAPER_LANGUAGES)) >= wrecked), ITEMS)
    common = effect + random.normal(0, COMMON, len(effect))
    changes = simulated(models, common, random)
    if larger:
        changes = np.vstack([changes, simulated(1, common - larger, random)])
    counted = what_counts(changes, wrecked)
    better = compare_rows(counted, prompts(), seed=int(random.integers(2**31))).better
    power = float(better[models:, :models].mean()) if larger else 0.0
    return bool(better[:models, :models].any()), power


def what_counts(changes: NDArray[np.float64], wrecked: int) -> NDArray[np.float64]:
    """Return the changes with 0 for all of the first ``wrecked`` languages whose mean falls."""
    found = changes.reshape(len(changes), len(PAPER_LANGUAGES), ITEMS).copy()
    own = found[:, :wrecked]
    own[own.mean(-1) < 0] = 0.0
    return found.reshape(changes.shape)


def simulated(
    models: int, common: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return ``(models, n_prompts)`` changes; ``common`` is what prompts do to every model."""
    shape = (models, len(PAPER_LANGUAGES), ITEMS)
    shared = random.normal(0, SHARED, (models, 1, ITEMS))
    own = random.normal(0, OWN, shape)
    return np.asarray((shared + own).reshape(models, -1) + common)


def prompts() -> Prompts:
    """Return what the columns are."""
    return Prompts(
        [code for code in PAPER_LANGUAGES for _ in range(ITEMS)],
        [str(item) for _ in PAPER_LANGUAGES for item in range(ITEMS)],
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--wrecked", type=int, default=0, help="languages whose text is wrecked")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--larger", type=float, nargs="*", default=LARGER, help="of a score")
    return parser.parse_args()


if __name__ == "__main__":
    main()
