"""Texts as prompts and continuations: where the tokens of the one end and the other's begin."""

from collections.abc import Iterator, Sequence
from typing import Any

from detox_bench.modeling.likelihood import Continuation


def split_texts(tokenizer: Any, texts: Sequence[tuple[str, str]]) -> list[Continuation]:
    """Return the tokens of each pair of prompt and continuation.

    The two are tokenised as one text and split by the tokens' offsets; a token that holds
    characters of both is of the continuation. Special tokens before the text are those that the
    tokenizer adds by itself; those it adds behind the text are left out. A prompt without tokens
    becomes the tokenizer's begin- or end-of-text token, where it has one. A tokenizer that gives no
    offsets is asked for the prompt's own tokens: as many as begin the joint text are the prompt.
    """
    if not texts:
        return []
    split = _by_offsets if getattr(tokenizer, "is_fast", False) else _by_prefix
    starts = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    before = tuple(token for token in starts if token is not None)[:1]
    found = split(tokenizer, texts)
    return [each if each.prompt else Continuation(before, each.tokens) for each in found]


def _by_offsets(tokenizer: Any, texts: Sequence[tuple[str, str]]) -> Iterator[Continuation]:
    encoded = tokenizer(
        [prompt + continuation for prompt, continuation in texts],
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        verbose=False,
    )
    columns = (encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"])
    for (prompt, _), ids, offsets, special in zip(texts, *columns, strict=True):
        end = next((n for n in range(len(ids), 0, -1) if not special[n - 1]), 0)
        start = next((n for n in range(end) if offsets[n][1] > len(prompt)), end)
        yield Continuation(tuple(ids[:start]), tuple(ids[start:end]))


def _by_prefix(tokenizer: Any, texts: Sequence[tuple[str, str]]) -> Iterator[Continuation]:
    special = set(tokenizer.all_special_ids)
    for prompt, continuation in texts:
        alone = tokenizer(prompt, verbose=False)["input_ids"]
        ids = tokenizer(prompt + continuation, verbose=False)["input_ids"]
        end = next((n for n in range(len(ids), 0, -1) if ids[n - 1] not in special), 0)
        apart = (n for n, (a, b) in enumerate(zip(alone, ids[:end], strict=False)) if a != b)
        start = next(apart, min(len(alone), end))
        yield Continuation(tuple(ids[:start]), tuple(ids[start:end]))
