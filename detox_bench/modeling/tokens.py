"""Prompts as a causal language model takes them: their tokens, its window, what ends a text."""

from typing import Any


def window_of(model: Any) -> int | None:
    """Return how many tokens the model takes by its configuration; None if that says nothing."""
    found = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(found) if found else None


def stop_tokens_of(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end a text, sorted: the tokenizer's, and the generation settings'."""
    own = getattr(model.generation_config, "eos_token_id", None)
    stops = own if isinstance(own, list) else [own]
    return sorted({int(token) for token in (*stops, tokenizer.eos_token_id) if token is not None})


def prompt_tokens(tokenizer: Any, text: str, room: int) -> tuple[int, ...]:
    """Return the last ``room`` tokens of a prompt, never ending in the one that ends a text.

    Some tokenizers add that one behind every text, and nothing would be continued. A prompt without
    tokens becomes the begin- or end-of-text token, and 0 where the tokenizer has neither.
    """
    end = tokenizer.eos_token_id
    tokens = list(tokenizer(text, verbose=False)["input_ids"])
    while tokens and tokens[-1] == end:
        tokens.pop()
    first = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return tuple(tokens[-room:]) or (first or 0,)
