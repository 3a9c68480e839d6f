"""Test doubles: a scorer that scores by SHA-256 of the text, and ones that fail."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detox_bench.types import ToxicityScore


def hash_value(text: str) -> float:
    """Return a number in [0, 1) that depends on ``text`` alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


@dataclass
class HashScorer:
    """Scores by SHA-256 of the text; raises where ``fails`` says so; remembers its calls."""

    name: str = "hash"
    id: str = "hash@1#000000000000"
    languages: frozenset[str] = frozenset({"en", "de"})
    threshold: float = 0.5
    uses_language: bool = False
    texts_per_call: int = 8
    fails: Callable[[str], bool] = lambda text: False
    calls: list[list[str]] = field(default_factory=list)

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:
        self.calls.append(list(texts))
        if any(map(self.fails, texts)):
            raise RuntimeError("the scorer fell over")
        return [ToxicityScore(hash_value(text), {"length": float(len(text))}) for text in texts]


LETTERS = "abcdefghijklmnopqrstuvwxyz!?.,'"
MULTILINGUAL = (
    "toxicity",
    "severe_toxicity",
    "obscene",
    "identity_attack",
    "insult",
    "threat",
    "sexual_explicit",
)


def tiny_tokenizer() -> Any:
    """Return an XLM-R tokenizer of single letters that takes 64 tokens."""
    from transformers import XLMRobertaTokenizer

    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    letters = [(letter, -5.0) for letter in ("▁", *LETTERS)]
    return XLMRobertaTokenizer(vocab=[*special, *letters, ("<mask>", 0.0)], model_max_length=64)


def tiny_model(labels: Sequence[str], problem_type: str | None = None, seed: int = 0) -> Any:
    """Return a random XLM-R classifier of 2 layers and width 16, spread out enough to rank."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=4 + 1 + len(LETTERS) + 1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=1,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        problem_type=problem_type,
    )
    return XLMRobertaForSequenceClassification(config).eval()


def save_classifier(folder: Path, labels: Sequence[str], **options: Any) -> Path:
    """Write a tiny classifier and its tokenizer to ``folder``, which is returned."""
    tiny_model(labels, **options).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def save_detoxify(folder: Path, labels: Sequence[str] = MULTILINGUAL, extra: Any = None) -> Path:
    """Write a checkpoint in Detoxify's own format, its config and tokenizer beside it."""
    import torch

    model = tiny_model(labels, "multi_label_classification")
    model.config.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    arguments = {
        "num_classes": len(labels),
        "model_type": "xlm-roberta-base",
        "model_name": "XLMRobertaForSequenceClassification",
        "tokenizer_name": "XLMRobertaTokenizer",
    }
    config = {"arch": {"args": arguments}, "dataset": {"args": {"classes": list(labels)}}}
    stored = {"state_dict": model.state_dict(), "config": config, "extra": extra}
    torch.save(stored, folder / "tiny.ckpt")
    return folder / "tiny.ckpt"


def save_in_hub_cache(cache: Path, repository: str, labels: Sequence[str]) -> str:
    """Write a tiny classifier where the Hub's cache would hold it; return its commit."""
    commit = hashlib.sha1(repository.encode()).hexdigest()
    folder = cache / f"models--{repository.replace('/', '--')}"
    save_classifier(folder / "snapshots" / commit, labels)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    return commit
