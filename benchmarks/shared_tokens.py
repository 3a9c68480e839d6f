"""How much of the retrieval at the embeddings is shared tokens: with them, without, and them alone.

``python -m benchmarks.shared_tokens MODEL`` (a GPT-2 kind of model; FLORES prepared, or the sample)
Top-1 by the mean token embedding of each sentence, without positions: of all its tokens, of those
that no sentence of the other language has, and of those that one has.
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from detox_bench.data.parallel import Asked, load_pairs
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.modeling.loading import load_causal_model
from detox_bench.retrieval import layer_metrics

Sentences = Sequence[Sequence[int]]


def main() -> None:
    loaded = load_causal_model(sys.argv[1])
    table = loaded.model.get_input_embeddings().weight.detach().numpy()
    print("| language | all tokens | not shared | shared only |\n|---|---|---|---|")
    for code in PAPER_LANGUAGES:
        if code == "en":
            continue
        pairs = load_pairs("flores", Asked("en", code)).pairs
        sides = [
            [ids[: loaded.window] for ids in loaded.tokenizer(texts)["input_ids"]]
            for texts in ([p.source for p in pairs], [p.target for p in pairs])
        ]
        one, other = ({token for ids in side for token in ids} for side in sides)
        shared = one & other
        kept: list[Callable[[int], bool]] = [
            lambda _: True,
            lambda token, shared=shared: token not in shared,
            lambda token, shared=shared: token in shared,
        ]
        found = [_top1(table, sides, each) for each in kept]
        print(f"| {code} | {' | '.join(f'{value:.4f}' for value in found)} |", flush=True)


def _top1(
    table: NDArray[np.float32], sides: Sequence[Sentences], kept: Callable[[int], bool]
) -> float:
    vectors = [
        np.stack([_mean(table, [t for t in ids if kept(t)]) for ids in side]) for side in sides
    ]
    return float(layer_metrics(*vectors).values["top1"])


def _mean(table: NDArray[np.float32], ids: Sequence[int]) -> NDArray[np.float32]:
    """Return the mean embedding; zeros where no token is left, which retrieve nothing."""
    return table[list(ids)].mean(0) if len(ids) else np.zeros(table.shape[1], dtype=np.float32)


if __name__ == "__main__":
    main()
