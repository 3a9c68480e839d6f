"""The logits of many texts from one sequence classifier, as fast as exactness allows.

Texts are tokenised together, sorted by their number of tokens and cut into batches of a bounded
number of tokens, so that hardly any padding is computed.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

#: Tokens (with padding) of one forward pass, by type of device: what a CPU cache holds was fastest.
TOKENS_A_BATCH = {"cpu": 1024, "cuda": 65536}
#: Texts of one forward pass, unless the user says otherwise.
TEXTS_A_BATCH = 512
#: Of a text this many characters for each token of the longest input are tokenised, which is
#: exact but for what stands at the end of them; 10 MB in one text took minutes and gigabytes.
CHARACTERS_A_TOKEN = 64
#: Half characters, which tokenizers refuse.
_SURROGATES = re.compile("[\ud800-\udfff]")
#: Longest input where neither tokenizer nor config names one.
DEFAULT_LENGTH = 512
#: Architectures whose position numbers begin after the padding id (two positions are lost).
OFFSET_POSITIONS = frozenset(
    {
        "camembert",
        "data2vec-text",
        "longformer",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)


@dataclass(slots=True)
class SequenceClassifier:
    """A transformers model with its tokenizer; ``truncated`` counts the texts cut so far."""

    model: Any
    tokenizer: Any
    max_length: int
    texts_a_batch: int = TEXTS_A_BATCH
    truncated: int = 0
    _tokens: int = field(default=0, repr=False)

    @property
    def device(self) -> "torch.device":
        """Where the model is now."""
        device: torch.device = self.model.device
        return device

    def logits(self, texts: Sequence[str]) -> "torch.Tensor":
        """Return the logits, ``(n_texts, n_labels)``, float32 on the CPU."""
        import torch

        columns = self._encode(texts)
        rows = columns["input_ids"]
        result = torch.empty((len(texts), self.model.config.num_labels))
        for batch in token_batches([len(row) for row in rows], self._limit(), self._most()):
            result[torch.tensor(batch)] = self._forward(columns, batch)
        return result

    def _encode(self, texts: Sequence[str]) -> dict[str, list[list[int]]]:
        """Return the token columns of ``texts``, cut to ``max_length``."""
        most = self.max_length * CHARACTERS_A_TOKEN
        left = getattr(self.tokenizer, "truncation_side", "right") == "left"
        given = [text[-most:] if left else text[:most] for text in texts]
        columns: dict[str, list[list[int]]] = dict(self._tokenize(given))
        for i, row in enumerate(columns["input_ids"]):
            if len(given[i]) < len(texts[i]) and len(row) <= self.max_length:
                given[i] = texts[i]  # its tokens are extraordinarily long
                for name, (value,) in self._tokenize([texts[i]]).items():
                    columns[name][i] = value
        too_long = [i for i, row in enumerate(columns["input_ids"]) if len(row) > self.max_length]
        self.truncated += len(too_long)
        if too_long:
            cut = self._tokenize([given[i] for i in too_long], truncation=True)
            for name, values in cut.items():
                for i, value in zip(too_long, values, strict=True):
                    columns[name][i] = value
        return columns

    def _tokenize(self, texts: Sequence[str], truncation: bool = False) -> Any:
        """Return the tokenizer's columns, each a list of lists."""
        length = {"truncation": True, "max_length": self.max_length} if truncation else {}
        whole = [_SURROGATES.sub("�", text) for text in texts]
        columns = self.tokenizer(whole, verbose=False, **length)
        return {name: columns[name] for name in columns if name in _PADDING}

    def _limit(self) -> int:
        """Return the most tokens of a batch."""
        return self._tokens or TOKENS_A_BATCH.get(self.device.type, TOKENS_A_BATCH["cuda"])

    def _most(self) -> int:
        """Return the most texts of a batch: one where there is nothing to pad with."""
        return self.texts_a_batch if self.tokenizer.pad_token_id is not None else 1

    def _forward(self, columns: dict[str, list[list[int]]], batch: Sequence[int]) -> "torch.Tensor":
        """Return the logits of ``batch``; out of memory, halve it, then go to the CPU."""
        import torch

        try:
            with torch.inference_mode():
                logits: torch.Tensor = self.model(**self._padded(columns, batch)).logits
                return logits.float().cpu()
        except torch.OutOfMemoryError:
            if len(batch) == 1 and self.device.type == "cpu":
                raise
            self._yield_memory(len(batch))
        middle = max(len(batch) // 2, 1)
        parts = [part for part in (batch[:middle], batch[middle:]) if part]
        return torch.cat([self._forward(columns, part) for part in parts])

    def _yield_memory(self, n_texts: int) -> None:
        """Make later batches half as large; with one text there is only the CPU left."""
        import torch

        if n_texts > 1:
            self._tokens = max(self._limit() // 2, 1)
            logger.info("out of memory: batches now hold %d tokens", self._tokens)
        else:
            logger.warning("%s is out of memory: scoring continues on the CPU.", self.device)
            self.model.to("cpu", torch.float32)
            self._tokens = 0
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _padded(
        self, columns: dict[str, list[list[int]]], batch: Sequence[int]
    ) -> "dict[str, torch.Tensor]":
        """Return the tensors of ``batch``, ``(n, longest)`` each, on the model's device."""
        import torch

        longest = max(len(columns["input_ids"][i]) for i in batch)
        left = self.tokenizer.padding_side == "left"
        fill = dict(_PADDING, input_ids=self.tokenizer.pad_token_id or 0)
        return {
            name: torch.tensor([_pad(rows[i], longest, fill[name], left) for i in batch]).to(
                self.device
            )
            for name, rows in columns.items()
        }


#: The columns a classifier reads, and what each is padded with (token ids: the padding token).
_PADDING = {"input_ids": 0, "attention_mask": 0, "token_type_ids": 0}


def _pad(row: list[int], length: int, value: int, left: bool) -> list[int]:
    """Return ``row`` filled up to ``length``."""
    padding = [value] * (length - len(row))
    return padding + row if left else row + padding


def token_batches(lengths: Sequence[int], tokens: int, texts: int) -> Iterator[list[int]]:
    """Yield indices in batches of at most ``tokens`` tokens with padding, and ``texts`` texts.

    Longest first, so that a batch too large for the memory shows at once. A single text longer
    than ``tokens`` is a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) >= texts or (len(batch) + 1) * lengths[batch[0]] > tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def longest_input(tokenizer: Any, config: Any, given: int | None = None) -> int:
    """Return the most tokens a model takes: the least of what it, its tokenizer and you say."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions and config.model_type in OFFSET_POSITIONS:
        positions -= (config.pad_token_id or 0) + 1
    known = [limit for limit in (tokenizer.model_max_length, positions) if limit and limit < 10**6]
    longest = min(known, default=DEFAULT_LENGTH)
    return min(longest, given) if given else longest
