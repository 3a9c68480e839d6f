"""Texts a second of our classifier scoring against ``Detoxify.predict``, on the same weights.

The model has the shape of XLM-R base (12 layers, width 768) and random weights; it is written to
a temporary folder in Detoxify's own format and loaded by Detoxify itself and by ``load_scorer``.
Detoxify gets the texts in their order, 32 at a time, as its users do. The vocabulary is small:
embeddings are look-ups and cost next to nothing.

``--engines compile onnx`` runs the weights through ``torch.compile`` (needs a C++ compiler) and
ONNX Runtime (``pip install onnxruntime onnx onnxscript``) as well; making them ready is not timed
but told.

    python -m benchmarks.bench_scoring --texts 480 --dtypes float32 bfloat16 --engines compile
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from detoxify import Detoxify
from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaTokenizer
from transformers.utils import logging as transformers_logging

from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.table import load_scorer

LABELS = [
    "toxicity",
    "severe_toxicity",
    "obscene",
    "identity_attack",
    "insult",
    "threat",
    "sexual_explicit",
]
BATCH = 32
SHORTEST, LONGEST = 5, 40
DUPLICATES = 0.15
ROUNDS = 3

Contestant = Callable[[list[str]], list[float]]


def main() -> None:
    options = _options()
    torch.manual_seed(0)
    transformers_logging.disable_progress_bar()
    words = _words(random.Random(0), 4000)
    rounds = [
        continuations(random.Random(number), words, options.texts // ROUNDS)
        for number in range(ROUNDS)
    ]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _save_model(Path(folder), words, options.layers, options.vocabulary)
        _compare(_contestants(checkpoint, options), rounds, options)


def continuations(chance: random.Random, words: Sequence[str], count: int) -> list[str]:
    """Return texts of 5 to 40 tokens (uniform, with the two special ones), 15 % of them copies."""
    n_copies = round(count * DUPLICATES)
    different = [
        " ".join(chance.choices(words, k=chance.randint(SHORTEST - 2, LONGEST - 2)))
        for _ in range(count - n_copies)
    ]
    texts = different + chance.choices(different, k=n_copies)
    chance.shuffle(texts)
    return texts


def _contestants(checkpoint: Path, options: argparse.Namespace) -> dict[str, Contestant]:
    """Return what to time, by the name in the table: Detoxify first, then ours in each dtype."""
    theirs = Detoxify(checkpoint=str(checkpoint), device=options.device)
    found: dict[str, Contestant] = {
        f"Detoxify.predict, float32, batch {BATCH}": lambda texts: _predict(theirs, texts)
    }
    for dtype in options.dtypes:
        scorer = load_scorer(
            "detoxify:multilingual", checkpoint=checkpoint, device=options.device, dtype=dtype
        )
        found[f"detox-bench, {dtype}"] = _scoring(scorer)
    for name in options.engines:
        scorer = load_scorer("detoxify:multilingual", checkpoint=checkpoint, device=options.device)
        ENGINES[name](scorer.classifier)
        found[f"detox-bench, float32, {name}"] = _scoring(scorer)
    return found


def _scoring(scorer: Any) -> Contestant:
    return lambda texts: [score.value for score in score_texts(texts, "en", scorer)]


def _compile(classifier: Any) -> None:
    """Put ``torch.compile`` around the model, for batches and lengths of any size."""
    classifier.model = torch.compile(classifier.model, dynamic=True)


def _to_onnx(classifier: Any) -> None:
    """Let ONNX Runtime do the forward pass of an exported copy of the model."""
    classifier.model = _OnnxModel(classifier.model)


class _OnnxModel:
    """What ``SequenceClassifier`` needs of a model, by ONNX Runtime on the CPU."""

    def __init__(self, model: Any) -> None:
        import onnxruntime

        self.config, self.device = model.config, torch.device("cpu")
        names = ["input_ids", "attention_mask"]
        example = tuple(torch.ones((2, 9), dtype=torch.long) for _ in names)
        axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "model.onnx")
            torch.onnx.export(
                model,
                example,
                file,
                input_names=names,
                dynamic_shapes=(axes, axes),
                dynamo=True,
                external_data=True,
                verbose=False,
            )
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            self._session = onnxruntime.InferenceSession(file, options)

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        given = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        return SimpleNamespace(logits=torch.from_numpy(self._session.run(None, given)[0]))


#: Other ways of the same forward pass.
ENGINES: dict[str, Callable[[Any], None]] = {"compile": _compile, "onnx": _to_onnx}


def _compare(
    contestants: dict[str, Contestant], rounds: list[list[str]], options: argparse.Namespace
) -> None:
    """Let each score every round, in turns so that other load hits all alike; print the table."""
    seconds = dict.fromkeys(contestants, 0.0)
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for name, score in contestants.items():
        start = time.perf_counter()
        score(rounds[0][:BATCH])
        print(f"{name}: first texts after {time.perf_counter() - start:.1f} s")
    for texts in rounds:
        for name, score in contestants.items():
            start = time.perf_counter()
            values[name] += score(texts)
            seconds[name] += time.perf_counter() - start
    _print(seconds, values, options)


def _print(
    seconds: dict[str, float], values: dict[str, list[float]], options: argparse.Namespace
) -> None:
    """Print the table: texts a second, ratio to Detoxify, largest difference to its scores."""
    base = next(iter(seconds))
    count = len(values[base])
    print(
        f"{count} texts of {SHORTEST}-{LONGEST} tokens, {DUPLICATES:.0%} copies, "
        f"{options.layers} layers, {options.device}, {torch.get_num_threads()} threads\n"
    )
    print("| scorer | texts/s | ratio | largest difference of a score |\n|---|---|---|---|")
    for name, spent in seconds.items():
        apart = max(abs(a - b) for a, b in zip(values[name], values[base], strict=True))
        print(f"| {name} | {count / spent:.1f} | {seconds[base] / spent:.2f} | {apart:.1e} |")


def _predict(model: Any, texts: list[str]) -> list[float]:
    """Return the toxicity of each text by Detoxify, in its order."""
    values: list[float] = []
    for start in range(0, len(texts), BATCH):
        values += model.predict(texts[start : start + BATCH])["toxicity"]
    return values


def _words(chance: random.Random, count: int) -> list[str]:
    """Return different invented words, each one token."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(chance.choices(letters, k=chance.randint(3, 8)))] = None
    return list(words)


def _save_model(folder: Path, words: Sequence[str], layers: int, vocabulary: int) -> Path:
    """Write tokenizer, config and a checkpoint that names ``folder`` as its model type."""
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces = [(f"▁{word}", -5.0 - number / 1000) for number, word in enumerate(words)]
    tokenizer = XLMRobertaTokenizer(
        vocab=[*special, *pieces, ("<mask>", 0.0)], model_max_length=512
    )
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        num_hidden_layers=layers,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        num_labels=len(LABELS),
    )
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    arguments = {
        "num_classes": len(LABELS),
        "model_type": str(folder),
        "model_name": "XLMRobertaForSequenceClassification",
        "tokenizer_name": "XLMRobertaTokenizer",
    }
    stored = {
        "state_dict": XLMRobertaForSequenceClassification(config).state_dict(),
        "config": {"arch": {"args": arguments}, "dataset": {"args": {"classes": LABELS}}},
    }
    torch.save(stored, folder / "model.ckpt")
    return folder / "model.ckpt"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=480)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--engines", nargs="+", default=[], choices=ENGINES)
    return parser.parse_args()


if __name__ == "__main__":
    main()
