"""How often our intervals hold a known effect, and our tests cry wolf, on simulated runs.

``python -m benchmarks.coverage [--simulations 1000] [--seed 0]``: Markdown on the terminal, as in
``docs/statistics.md``.

A sample's score is the logistic of ``level + prompt + sample``: the prompt's part is normal with
sd 1, correlated by .8 between the two runs, and the sample's part is normal with sd 1, new for each
of the k samples. The run after lies ``SHIFT`` lower. Languages share half of the variance of an
item's part. The effect on each metric is known by numerical integration, not by simulation.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from detox_bench.statistics import (
    Interval,
    bootstrap_means,
    holm,
    mean_of_groups,
    paired_interval,
    sign_flip_p,
)

Array = NDArray[np.float64]

SAMPLES = 25
SHIFT = -0.6
BETWEEN_RUNS = 0.8  # correlation of a prompt's part
BETWEEN_LANGUAGES = 0.5  # share of an item's variance that all languages have in common
LANGUAGES, ITEMS = 17, 50
SIZES = (24, 50, 200)
#: The ``level`` of settings: about half of the prompts have a toxic sample, and about one in 8.
LEVELS = {"common": -2.0, "rare": -3.25}
LEVEL, RESAMPLES = 0.05, 2000

#: Metrics of prompts from scores ``(..., n_prompts, k)``.
METRICS: Mapping[str, Callable[[Array], Array]] = {
    "EMT": lambda scores: scores.max(-1),
    "ToxProb": lambda scores: (scores.max(-1) >= 0.5).astype(float),
    "AvgTox": lambda scores: scores.mean(-1),
}


class Setting(NamedTuple):
    """What is simulated: prompts of a language, how toxic, languages, and the effect."""

    n_prompts: int
    level: float = LEVELS["common"]
    languages: int = 1
    shift: float = SHIFT


class FalseAlarms(NamedTuple):
    """How often something was found where nothing was: in a language, in any after Holm."""

    interval: float
    test: float
    corrected: float


class Held(NamedTuple):
    """In how many simulations an interval held the effect: the percentile one, and ours."""

    percentile: float
    ours: float


def simulate(setting: Setting, random: np.random.Generator) -> dict[str, tuple[Array, Array]]:
    """Return each metric before and after, ``(languages, n_prompts)`` each."""
    shape = (setting.languages, setting.n_prompts)
    part = _items(shape, random)
    other = BETWEEN_RUNS * part + np.sqrt(1 - BETWEEN_RUNS**2) * _items(shape, random)
    before, after = (
        1 / (1 + np.exp(-(level + prompts[..., None] + random.normal(size=(*shape, SAMPLES)))))
        for level, prompts in ((setting.level, part), (setting.level + setting.shift, other))
    )
    return {name: (metric(before), metric(after)) for name, metric in METRICS.items()}


def effects(setting: Setting) -> dict[str, float]:
    """Return the true difference of each metric, after less before."""
    before, after = _expected(setting.level), _expected(setting.level + setting.shift)
    return {name: after[name] - before[name] for name in METRICS}


def coverage(setting: Setting, simulations: int, seed: int = 0) -> dict[str, Held]:
    """Return how often the 95 % intervals of each metric held the effect."""
    random, known = np.random.default_rng(seed), effects(setting)
    counts = {name: np.zeros(2) for name in METRICS}
    for _ in tqdm(range(simulations), desc=f"{setting.n_prompts} prompts", disable=None):
        for name, (before, after) in simulate(setting, random).items():
            for place, (_, low, high) in enumerate(_intervals(before, after)):
                counts[name][place] += low <= known[name] <= high
    return {name: Held(*map(float, found / simulations)) for name, found in counts.items()}


def false_alarms(setting: Setting, simulations: int, seed: int = 0) -> dict[str, FalseAlarms]:
    """Return how often an effect is found, by metric, where ``setting`` has none.

    Shares of intervals without 0 and of p below 5 %, of one language each; and of simulations with
    a corrected p below 5 % in any language.
    """
    random = np.random.default_rng(seed)
    counts = {name: np.zeros(3) for name in METRICS}
    for _ in tqdm(range(simulations), desc="False alarms", disable=None):
        for name, (before, after) in simulate(setting, random).items():
            pairs = list(zip(before.tolist(), after.tolist(), strict=True))
            intervals = [paired_interval(*pair, RESAMPLES) for pair in pairs]
            found = [sign_flip_p(*pair) for pair in pairs]
            apart = np.mean([not each.low <= 0 <= each.high for each in intervals])
            alone = np.mean(np.asarray(found) < LEVEL)
            counts[name] += (apart, alone, min(holm(found)) < LEVEL)
    return {name: FalseAlarms(*map(float, each / simulations)) for name, each in counts.items()}


def _items(shape: tuple[int, int], random: np.random.Generator) -> Array:
    """Return standard normal parts of items, ``shape`` languages by items."""
    common, own = random.normal(size=shape[1:]), random.normal(size=shape)
    return np.asarray(np.sqrt(BETWEEN_LANGUAGES) * common + np.sqrt(1 - BETWEEN_LANGUAGES) * own)


def _intervals(before: Array, after: Array) -> tuple[Interval, Interval]:
    """Return the plain percentile interval, and that of ``detox_bench.statistics``."""
    items = list(map(str, range(before.shape[1])))
    if len(before) == 1:
        ours = paired_interval(before[0].tolist(), after[0].tolist(), RESAMPLES)
    else:
        ours, _ = mean_of_groups([(items, row) for row in after - before], RESAMPLES)
    # All languages have all items: an item's mean over languages is what a draw takes.
    draws = bootstrap_means((after - before).mean(0), RESAMPLES, seed=0)
    return Interval(ours.estimate, *map(float, np.quantile(draws, [0.025, 0.975]))), ours


def _expected(level: float) -> dict[str, float]:
    """Return the expectation of each metric of a prompt, on a grid of prompts by samples."""
    grid = np.linspace(-8, 8, 1601)
    density = np.exp(-grid * grid / 2) / np.exp(-grid * grid / 2).sum()
    below = density.cumsum() - density / 2
    highest = SAMPLES * density * below ** (SAMPLES - 1)  # density of the highest of k
    scores = 1 / (1 + np.exp(-(level + grid[:, None] + grid)))
    toxic = 1 - np.interp(-level - grid, grid, below) ** SAMPLES
    return {
        "EMT": float(density @ scores @ highest / highest.sum()),
        "ToxProb": float(density @ toxic),
        "AvgTox": float(density @ scores @ density),
    }


def _coverage_table(simulations: int, seed: int) -> Iterator[str]:
    yield "| setting | metric | effect | percentile interval | ours |"
    yield "|---|---|---|---|---|"
    settings = [
        (f"{name}, {size} prompts", Setting(size, level))
        for name, level in LEVELS.items()
        for size in SIZES
    ]
    together = Setting(ITEMS, languages=LANGUAGES)
    settings.append((f"common, mean of {LANGUAGES} languages, {ITEMS} shared items", together))
    for words, setting in settings:
        known = effects(setting)
        for name, held in coverage(setting, simulations, seed).items():
            yield (
                f"| {words} | {name} | {known[name]:+.4f} | {held.percentile:.1%} "
                f"| {held.ours:.1%} |"
            )


def _alarm_table(simulations: int, seed: int) -> Iterator[str]:
    yield "| setting | metric | interval without 0 | p < 5 % | any of 17 languages after Holm |"
    yield "|---|---|---|---|---|"
    for name, size in (("common", 24), ("common", 50), ("rare", 24), ("rare", 50)):
        setting = Setting(size, LEVELS[name], LANGUAGES, shift=0.0)
        for metric, found in false_alarms(setting, simulations, seed).items():
            shares = " | ".join(f"{share:.1%}" for share in found)
            yield f"| {name}, {size} prompts | {metric} | {shares} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    for table in (_coverage_table, _alarm_table):
        for line in table(asked.simulations, asked.seed):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
