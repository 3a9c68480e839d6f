"""Hidden states of all layers: texts sorted by length against the order they come in; memory.

``python -m benchmarks.bench_states [--model DIR] [--sentences N] [--rounds N]``
The texts are those of retrieval tasks in their order: a sentence, its translation, the next. Both
ways run the same batches of the same size through ``pooled_batches``, which is given all texts or,
to keep the order, one batch at a time; tokenising is in both. Time is that of the processor, summed
over threads, so that it counts no one else's work. Memory is the highest resident size, less that
before the first pass (Linux).
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

os.environ["HF_HUB_OFFLINE"] = "1"
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

from benchmarks.memory import Peak  # noqa: E402
from detox_bench.data.parallel import Asked, load_pairs  # noqa: E402
from detox_bench.demo import model_path  # noqa: E402
from detox_bench.modeling.loading import LoadedModel, load_causal_model  # noqa: E402
from detox_bench.modeling.pooled_states import (  # noqa: E402
    PooledBatch,
    PoolingSettings,
    pooled_batches,
)

LANGUAGES = ("de", "ru", "ja")
BATCH = 32

Batches = Iterator[PooledBatch]
Way = Callable[[LoadedModel, Sequence[str]], Batches]


def main() -> None:
    options = _options()
    loaded = load_causal_model(options.model)
    name, texts = _texts(options.sentences)
    peak = Peak()
    memory = {len(some): _highest(peak, loaded, some) for some in (texts[::4], texts)}
    states, whole_lengths = _all(sorted_by_length(loaded, texts), len(texts))
    lengths = [min(length, loaded.window or length) for length in whole_lengths]
    again, _ = _all(as_given(loaded, texts), len(texts))
    seconds = _time(loaded, texts, options.rounds)
    print(
        f"{Path(options.model).name}: {len(texts):,} texts ({name}; English with "
        f"{', '.join(LANGUAGES)}), {sum(lengths):,} tokens, {len(states)} layers, batch {BATCH}, "
        f"{torch.get_num_threads()} threads, {options.rounds} rounds in turns.\n"
    )
    print(
        "| order | places run | processor seconds, best | texts/s | ratio |\n|---|---|---|---|---|"
    )
    for way, spent in seconds.items():
        rate, ratio = len(texts) / spent, seconds[as_given] / spent
        places = _places(lengths, way)
        print(f"| {way.__name__} | {places:,} | {spent:.2f} | {rate:.0f} | {ratio:.2f} |")
    print(f"\nLargest difference of a number in the states: {np.abs(states - again).max():.1e}.")
    found = ", ".join(f"{gigabytes:.3f} GB with {n:,} texts" for n, gigabytes in memory.items())
    whole = 4e-9 * sum(lengths) * states.shape[0] * states.shape[2]
    print(f"Memory beside the model: {found}; states of all tokens would be {whole:.2f} GB.")


def sorted_by_length(loaded: LoadedModel, texts: Sequence[str]) -> Batches:
    """Run the longest first, as the tasks do."""
    settings = PoolingSettings(batch_size=BATCH, window=loaded.window)
    return pooled_batches(loaded.model, loaded.tokenizer, texts, settings)


def as_given(loaded: LoadedModel, texts: Sequence[str]) -> Batches:
    """Run one batch after the other; positions are those in all texts."""
    for start in range(0, len(texts), BATCH):
        for batch in sorted_by_length(loaded, texts[start : start + BATCH]):
            yield batch._replace(texts=[start + n for n in batch.texts])


WAYS: tuple[Way, ...] = (as_given, sorted_by_length)


def _texts(sentences: int) -> tuple[str, list[str]]:
    """Return what they are of, and the different texts of retrieval tasks, in their order."""
    sets = [load_pairs("flores", Asked("en", code)) for code in LANGUAGES]
    pairs = [pair for each in sets for pair in each.pairs[:sentences]]
    texts = dict.fromkeys(text for pair in pairs for text in (pair.source, pair.target))
    return sets[0].name, list(texts)


def _highest(peak: Peak, loaded: LoadedModel, texts: Sequence[str]) -> float:
    """Return the highest memory while the states are made; each batch is let go, as on disk."""
    peak.forget()
    for _ in sorted_by_length(loaded, texts):
        pass
    return peak.gigabytes()


def _all(batches: Batches, n: int) -> tuple[NDArray[np.float32], list[int]]:
    """Return ``(layers + 1, n, hidden_size)`` states and ``n`` lengths in the order of texts."""
    found = list(batches)
    order = np.argsort([place for batch in found for place in batch.texts])
    assert len(order) == n
    lengths = [length for batch in found for length in batch.lengths]
    states = np.concatenate([batch.states for batch in found], axis=1)
    return states[:, order], [lengths[place] for place in order]


def _time(loaded: LoadedModel, texts: Sequence[str], rounds: int) -> dict[Way, float]:
    """Return the best processor seconds of each way."""
    seconds: dict[Way, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            start = time.process_time()
            for _batch in way(loaded, texts):
                pass
            seconds[way].append(time.process_time() - start)
    return {way: min(spent) for way, spent in seconds.items()}


def _places(lengths: Sequence[int], way: Any) -> int:
    """Return how many tokens are run, padding among them."""
    ordered = sorted(lengths, reverse=True) if way is sorted_by_length else list(lengths)
    parts = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    return sum(max(part) * len(part) for part in parts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(model_path()))
    parser.add_argument("--sentences", type=int, default=200, help="of each language")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
