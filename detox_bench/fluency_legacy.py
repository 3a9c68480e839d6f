"""``legacy-mt5``: the perplexity that the code of arXiv 2406.16235 computes with mT5-XL.

It is no likelihood of the continuation, though it is called a conditional perplexity: encoder and
decoder get the same text, so that the model sees what it is to predict, and the loss of a prompt is
another one once its continuation stands beside it. It is here for comparison with numbers that were
made this way, and for nothing else.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

#: The name before the colon of ``legacy-mt5:FOLDER_OR_NAME``.
LEGACY = "legacy-mt5"
#: The paper's code drops perplexities from here on.
HIGHEST = 1e4
#: Tokens run at once, padding included; mT5 has 250,000 logits for each.
_BATCH_TOKENS = 512


class _Loss(NamedTuple):
    """The mean loss of a text's tokens, the one that ends it among them, times their number - 1."""

    total: float
    tokens: int


def legacy_probabilities(
    model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]], batch_tokens: int = _BATCH_TOKENS
) -> list[float | None]:
    """Return 1 / perplexity of each pair of prompt and continuation; above 1 is possible here.

    ``exp((L_full (N_full - 1) - L_prompt (N_prompt - 1)) / (N_full - N_prompt))``, where L is the
    mean cross-entropy of a sequence-to-sequence ``model`` whose input and labels are the same
    text, and N its tokens. None where it is at least ``HIGHEST``, as in the paper's code, and where
    the continuation adds no token.
    """
    texts = {text for prompt, after in pairs for text in (prompt, prompt + after)}
    losses = dict(_losses(model, tokenizer, texts, batch_tokens))
    return [_probability(losses[prompt + after], losses[prompt]) for prompt, after in pairs]


def _probability(full: _Loss, prompt: _Loss) -> float | None:
    new = full.tokens - prompt.tokens
    if not new:
        return None
    loss = (full.total - prompt.total) / new
    with np.errstate(over="ignore"):
        return float(np.exp(-loss)) if np.exp(loss) < HIGHEST else None


def _losses(
    model: Any, tokenizer: Any, texts: Iterable[str], batch_tokens: int
) -> Iterator[tuple[str, _Loss]]:
    """Yield each text with its loss, texts of like length run together."""
    import torch

    encoded = [(text, tokenizer.encode(text, verbose=False)) for text in sorted(texts)]
    for batch in _batches(encoded, batch_tokens):
        ids = torch.zeros(len(batch), max(len(tokens) for _, tokens in batch), dtype=torch.long)
        real = torch.zeros_like(ids)
        for row, (_, tokens) in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
            real[row, : len(tokens)] = 1
        for (text, tokens), mean in zip(batch, _means(model, ids, real), strict=True):
            yield text, _Loss(mean * (len(tokens) - 1), len(tokens))


def _batches(
    encoded: Iterable[tuple[str, list[int]]], batch_tokens: int
) -> Iterator[list[tuple[str, list[int]]]]:
    batch: list[tuple[str, list[int]]] = []
    for each in sorted(encoded, key=lambda pair: len(pair[1])):
        if batch and (len(batch) + 1) * len(each[1]) > batch_tokens:
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


def _means(model: Any, ids: Any, real: Any) -> list[float]:
    """Return the mean cross-entropy of each row's real tokens."""
    import torch

    labels = ids.masked_fill(real == 0, -100).to(model.device)
    with torch.no_grad():
        mask = real.to(model.device)
        logits = model(input_ids=ids.to(model.device), attention_mask=mask, labels=labels).logits
        losses = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), reduction="none"
        ).view(labels.shape)
    return [float(mean) for mean in losses.sum(-1) / mask.sum(-1)]
