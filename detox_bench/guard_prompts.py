"""The tokens of a safety classifier's prompt around a text, which cannot break out of it.

The tokenizer's chat template is rendered once, around a mark. What the template wrote is read with
its special tokens; a text is read by the same tokenizer without any, so that ``<|im_end|>`` in it
is ten characters and not the end of the message.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from detox_bench.errors import ScorerUnavailable
from detox_bench.scorers.guard_families import TEXT, GuardFamily
from detox_bench.scorers.logits import CHARACTERS_A_TOKEN

Tokens = tuple[int, ...]

_MARK = "\ue000"  # of private use: no template writes it
_SURROGATES = re.compile("[\ud800-\udfff]")


class FittedPrompt(NamedTuple):
    """The tokens of a prompt with its text, and whether the text was cut."""

    tokens: Tokens
    cut: bool


@dataclass(frozen=True, slots=True)
class GuardPrompt:
    """A prompt: ``head``, then ``before`` the text and ``after`` it as one string, then ``answer``.

    ``labels`` are the tokens of each label after what all of them begin with, which is at the end
    of ``answer``. ``rendered`` is the whole with a mark for the text.
    """

    head: Tokens
    before: str
    after: str
    answer: Tokens
    labels: tuple[Tokens, ...]
    rendered: str
    plain: Any

    @property
    def least(self) -> int:
        """How many tokens an empty text takes, with its longest label."""
        return self._around + len(self._encode("").ids)

    def fit(self, text: str, longest: int) -> FittedPrompt:
        """Return the tokens for ``text`` without the white space around it, cut at its end.

        With the longest label they are at most ``longest``, which is at least ``least``. Half
        characters (lone surrogates), which tokenizers refuse, become U+FFFD.
        """
        room = longest - self._around
        whole = _SURROGATES.sub("\ufffd", text.strip())
        kept = whole[: longest * CHARACTERS_A_TOKEN]
        encoded = self._encode(kept)
        while (excess := len(encoded.ids) - room) > 0:
            kept = self._shorter(kept, encoded.offsets, excess)
            encoded = self._encode(kept)
        return FittedPrompt((*self.head, *encoded.ids, *self.answer), len(kept) < len(whole))

    @property
    def _around(self) -> int:
        return len(self.head) + len(self.answer) + max(map(len, self.labels))

    def _encode(self, text: str) -> Any:
        return self.plain.encode(self.before + text + self.after, add_special_tokens=False)

    def _shorter(self, text: str, offsets: Sequence[tuple[int, int]], excess: int) -> str:
        """Return ``text`` without the characters of its last ``excess`` tokens, at least one."""
        starts = [start - len(self.before) for start, _ in offsets]
        inside = [start for start in starts if 0 < start < len(text)]
        end = inside[-excess] if excess <= len(inside) else 0
        return text[: min(end, len(text) - 1)]


def make_prompt(tokenizer: Any, family: GuardFamily, spec: str) -> GuardPrompt:
    """Return the prompt of a family for a tokenizer.

    Raises ``ScorerUnavailable`` for a tokenizer without a chat template, or with one that does not
    take the family's messages.
    """
    rendered = _rendered(tokenizer, family, spec)
    head, tail = rendered.split(_MARK)
    added = _added_tokens(tokenizer)
    begin = max((match.end() for match in added.finditer(head)), default=0)
    found = added.search(tail)
    end = found.start() if found else len(tail)
    opening = tail[end:] if rendered.endswith(family.answer) else tail[end:] + family.answer
    answer, labels = _label_tokens(tokenizer, opening, family, spec)
    return GuardPrompt(
        head=_tokens(tokenizer, head[:begin]),
        before=head[begin:],
        after=tail[:end],
        answer=answer,
        labels=labels,
        rendered=rendered,
        plain=_without_added_tokens(tokenizer, spec),
    )


def _rendered(tokenizer: Any, family: GuardFamily, spec: str) -> str:
    """Return the chat template around the mark, which is in it once."""
    if not getattr(tokenizer, "chat_template", None):
        raise ScorerUnavailable(
            f"{spec}: its tokenizer has no chat template, and so it is not known how to ask it. "
            "Give the folder as its makers published it."
        )
    reason = "the text is not in it once"
    for form in _CONTENT_FORMS:
        try:
            rendered = str(_apply(tokenizer, family, form))
        except Exception as error:  # a template raises whatever it likes
            reason = f"{type(error).__name__}: {error}"
            continue
        if rendered.count(_MARK) == 1:
            return rendered
    raise ScorerUnavailable(
        f"{spec}: its chat template does not take the messages of family {family.name} ({reason}). "
        "Name the family of this model: family=NAME."
    )


def _apply(tokenizer: Any, family: GuardFamily, form: Callable[[str], Any]) -> Any:
    messages = [
        {"role": each["role"], "content": form(each["content"].replace(TEXT, _MARK))}
        for each in family.messages
    ]
    return tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=family.generation_prompt
    )


#: How templates take the content of a message: as a string, or as a list of parts.
_CONTENT_FORMS: tuple[Callable[[str], Any], ...] = (
    lambda content: content,
    lambda content: [{"type": "text", "text": content}],
)


def _label_tokens(
    tokenizer: Any, opening: str, family: GuardFamily, spec: str
) -> tuple[Tokens, tuple[Tokens, ...]]:
    """Return what the tokens of all labels begin with behind ``opening``, and the rest of each."""
    whole = [_tokens(tokenizer, opening + label) for label in family.labels]
    length = next((n for n, ids in enumerate(zip(*whole, strict=False)) if len(set(ids)) > 1), 0)
    shared = whole[0][:length]
    rest = tuple(tokens[length:] for tokens in whole)
    if any(a == b[: len(a)] for n, a in enumerate(rest) for m, b in enumerate(rest) if n != m):
        raise ScorerUnavailable(
            f"{spec}: its tokenizer does not tell the labels {', '.join(family.names)} of family "
            f"{family.name} apart. Name the family of this model: family=NAME."
        )
    return shared, rest


def _tokens(tokenizer: Any, text: str) -> Tokens:
    return tuple(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _added_tokens(tokenizer: Any) -> re.Pattern[str]:
    """Return what finds the added tokens in a text, special or not."""
    known = {str(token) for token in tokenizer.added_tokens_decoder.values()} - {""}
    longest_first = sorted(known, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _without_added_tokens(tokenizer: Any, spec: str) -> Any:
    """Return the same tokenizer without added tokens: all that is given to it is text."""
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ScorerUnavailable(
            f"{spec}: its tokenizer ({type(tokenizer).__name__}) is not of the package tokenizers, "
            "and a text could pass for its special tokens. Give a folder with tokenizer.json."
        )
    content = json.loads(backend.to_str())
    content |= dict.fromkeys(("post_processor", "padding", "truncation"))
    return Tokenizer.from_str(json.dumps({**content, "added_tokens": []}))
