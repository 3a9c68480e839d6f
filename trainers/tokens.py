"""Pairs as token ids: prompts and sequences cut, ends of text put, all of it counted."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from detox_bench.types import PreferencePair

_AT_ONCE = 1000  # pairs tokenised by one call


@dataclass(frozen=True, slots=True)
class Cutting:
    """The most tokens of a ``sequence`` and of its ``prompt``.

    ``prompt_keep`` is the end of a prompt that is kept; ``append_eos`` says where an end-of-text
    token is put (``arguments.END_OF_TEXT``).
    """

    sequence: int
    prompt: int
    prompt_keep: str = "end"
    append_eos: str = "auto"


class TokenPair(NamedTuple):
    """One pair as ids: a trainer sees ``prompt + chosen`` and ``prompt + rejected``."""

    id: str
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    def as_row(self) -> dict[str, list[int]]:
        """Return the columns that TRL's collator reads."""
        return {
            "prompt_ids": self.prompt,
            "chosen_ids": self.chosen,
            "rejected_ids": self.rejected,
        }


class TokenPairs(NamedTuple):
    """The pairs that are left, and how many were cut or dropped, by reason."""

    pairs: list[TokenPair]
    cut: Mapping[str, int]
    dropped: Mapping[str, int]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all ids in their order: data, tokenizer, lengths and ends of text."""
        return hashlib.sha256(json.dumps([pair[1:] for pair in self.pairs]).encode()).hexdigest()


def tokenise(pairs: Sequence[PreferencePair], tokenizer: Any, cutting: Cutting) -> TokenPairs:
    """Return the pairs as ids, in their order.

    Prompt and continuation are tokenised together, as text would be, and split where chosen or
    rejected first differs from the prompt alone: a token across the boundary belongs to the
    continuation. Where a sequence would begin with the continuation, the beginning- or end-of-text
    token is put before it, since a model predicts no first token.
    """
    cut: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    kept = []
    for start in range(0, len(pairs), _AT_ONCE):
        for pair, ids in _ids(pairs[start : start + _AT_ONCE], tokenizer):
            made = _limited(_with_end(pair, ids, tokenizer, cutting), tokenizer, cutting, cut)
            reason = _useless(made)
            if reason:
                dropped[reason] += 1
            else:
                kept.append(made)
    return TokenPairs(kept, dict(cut), dict(dropped))


def _ids(
    pairs: Sequence[PreferencePair], tokenizer: Any
) -> Iterable[tuple[PreferencePair, TokenPair]]:
    prompts = _encode(tokenizer, [pair.prompt for pair in pairs])
    chosen = _encode(tokenizer, [pair.prompt + pair.chosen for pair in pairs])
    rejected = _encode(tokenizer, [pair.prompt + pair.rejected for pair in pairs])
    for pair, *ids in zip(pairs, prompts, chosen, rejected, strict=True):
        at = min(_common(ids[0], ids[1]), _common(ids[0], ids[2]))
        yield pair, TokenPair(pair.id, ids[0][:at], ids[1][at:], ids[2][at:])


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    ids = tokenizer(texts)["input_ids"]
    end = tokenizer.eos_token_id
    # Some tokenizers end every text; where a text ends is ours to say.
    return [
        list(each[:-1]) if each and each[-1] == end and len(each) > 1 else list(each)
        for each in ids
    ]


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    return sum(
        1 for _ in takewhile(lambda both: both[0] == both[1], zip(first, second, strict=False))
    )


def _with_end(pair: PreferencePair, ids: TokenPair, tokenizer: Any, cutting: Cutting) -> TokenPair:
    wanted = {"always": True, "never": False, "auto": pair.complete}[cutting.append_eos]
    if not wanted or tokenizer.eos_token_id is None:
        return ids
    end = [tokenizer.eos_token_id]
    return ids._replace(chosen=ids.chosen + end, rejected=ids.rejected + end)


def _limited(ids: TokenPair, tokenizer: Any, cutting: Cutting, cut: Counter[str]) -> TokenPair:
    """Return the pair within the limits; add what was cut to ``cut``."""
    prompt = _cut_prompt(ids.prompt, tokenizer.bos_token_id, cutting)
    cut["prompt cut"] += len(prompt) < len(ids.prompt)
    prompt = prompt or _context(tokenizer)
    room = cutting.sequence - len(prompt)
    cut["continuation cut"] += max(len(ids.chosen), len(ids.rejected)) > room
    return ids._replace(prompt=prompt, chosen=ids.chosen[:room], rejected=ids.rejected[:room])


def _cut_prompt(prompt: list[int], beginning: int | None, cutting: Cutting) -> list[int]:
    if len(prompt) <= cutting.prompt:
        return prompt
    if cutting.prompt_keep == "start":
        return prompt[: cutting.prompt]
    head = prompt[:1] if prompt[0] == beginning else []
    return head + prompt[len(prompt) - cutting.prompt + len(head) :]


def _context(tokenizer: Any) -> list[int]:
    known = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    return [token for token in known if token is not None][:1]


def _useless(ids: TokenPair) -> str | None:
    if not ids.chosen or not ids.rejected:
        return "no token of chosen or rejected left"
    return "chosen and rejected are the same tokens" if ids.chosen == ids.rejected else None
