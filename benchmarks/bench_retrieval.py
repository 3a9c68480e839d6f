"""Retrieval metrics of all layers at once against a Python double loop over cosines.

``python -m benchmarks.bench_retrieval [--layers N] [--sentences N] [--width N]``
The vectors are random. The loop is what retrieval tools do, one pair after the other; it computes
the cosines alone, of some sentences of one layer, and its time is extrapolated to all pairs and
layers. Ours is all metrics, with intervals. Memory is the highest resident size while scoring, less
that before (Linux); layers are made one at a time, as hidden states are read from disk.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import Peak
from detox_bench.retrieval import retrieval_metrics

RATIO = 50.0  # at least; the target of the design
LOOPED = 60  # sentences of the loop

Side = NDArray[np.float32]


def main() -> None:
    options = _options()
    shape = options.sentences, options.width
    layers = [_pair(shape, 0)]
    loops = _loops()
    peak = Peak()
    start = time.perf_counter()
    found = retrieval_metrics(*(_side(layers[0][n], options.layers) for n in range(2)))
    spent = time.perf_counter() - start
    extra = peak.gigabytes()
    print(
        f"{options.layers} layers, {shape[0]:,} sentences, width {shape[1]}: all metrics with "
        f"intervals in {spent:.2f} s, {extra:.3f} GB beside the vectors of a layer; mean top-1 "
        f"{found.numbers()['top1']:.3f}, cosine {found.numbers()['mean_cosine']:.3f}."
    )
    ratios = {
        name: _looped(loop, layers[0], options.layers) / spent for name, loop in loops.items()
    }
    for name, ratio in ratios.items():
        print(f"Double loop over {name}: about {ratio * spent:,.0f} s, {ratio:.0f} times as long.")
    # The loop of the tools where scipy is there, the faster one where it is not.
    if list(ratios.values())[-1] < RATIO:
        raise SystemExit(f"Less than {RATIO:.0f} times.")


def _pair(shape: tuple[int, int], seed: int) -> tuple[Side, Side]:
    chance = np.random.default_rng(seed)
    one = chance.normal(size=shape).astype(np.float32)
    return one, one + 8 * chance.normal(size=shape).astype(np.float32)


def _side(vectors: Side, layers: int) -> Iterator[Side]:
    for _ in range(layers):
        yield vectors


def _looped(cosine: Callable[[Side, Side], float], layer: tuple[Side, Side], layers: int) -> float:
    """Return the seconds of all pairs and layers, from those of some pairs of one layer."""
    one, other = (side[:LOOPED] for side in layer)
    start = time.perf_counter()
    table = [[cosine(source, target) for target in other] for source in one]
    spent = time.perf_counter() - start
    own = retrieval_metrics([one], [other]).numbers()["mean_cosine"]
    assert abs(np.trace(np.array(table)) / len(one) - own) < 1e-5
    return spent * layers * (len(layer[0]) / len(one)) ** 2


def _loops() -> dict[str, Callable[[Side, Side], float]]:
    """Return cosines of two vectors, by what they are computed with."""

    def plain(one: Side, other: Side) -> float:
        return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))

    found = {"numpy": plain}
    try:
        from scipy.spatial.distance import cosine
    except ImportError:
        return found
    return found | {"scipy, as MEXA's code": lambda one, other: 1 - float(cosine(one, other))}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=25)
    parser.add_argument("--sentences", type=int, default=1012)
    parser.add_argument("--width", type=int, default=2048)
    return parser.parse_args()


if __name__ == "__main__":
    main()
