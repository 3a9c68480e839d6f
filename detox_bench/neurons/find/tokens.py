"""The vocabulary that value vectors promote, token by token, with the script of each.

What an MLP writes goes to the head by way of the residual stream: the tokens whose rows of the head
are most like a value vector are those it makes likelier (Geva et al. 2022, arXiv 2203.14680). The
paper reads its toxic vectors so (arXiv 2406.16235, tables 8 and 9).

A script is that of a token's letters and is certain. A language is a guess by
``quality.language_id``, made for texts of a few words: of a single token in Latin or Cyrillic
letters it is mostly undetermined or wrong.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detox_bench.errors import DetoxBenchError
from detox_bench.metrics import letter_script
from detox_bench.modeling.architectures import causal_model, final_norm
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.find.ranking import vectors_of
from detox_bench.quality.language_id import identify
from detox_bench.types import NeuronId

_AT_ONCE = 64  # value vectors sent through the head at once


class Token(NamedTuple):
    """One token of the vocabulary.

    ``text`` is its raw piece where ``whole`` is false: bytes that are no whole characters. Such
    pieces, special tokens and those without letters have no ``script`` and no ``language``; the
    latter is None too where it is undetermined.
    """

    text: str
    whole: bool
    script: str | None
    language: str | None


class Promoted(NamedTuple):
    """The tokens that the value vector of ``neuron`` promotes, the most promoted first."""

    neuron: NeuronId
    tokens: tuple[Token, ...]

    @property
    def scripts(self) -> Counter[str]:
        """How many of the tokens are in each script."""
        return Counter(each.script for each in self.tokens if each.script)

    @property
    def languages(self) -> Counter[str]:
        """How many of the tokens are in each language, undetermined ones left out."""
        return Counter(each.language for each in self.tokens if each.language)


def promoted_tokens(
    loaded: LoadedModel, neurons: Sequence[NeuronId], top: int = 30, norm: bool = False
) -> list[Promoted]:
    """Return the ``top`` tokens of each neuron's value vector.

    The head's weight times the vector, without the final norm as in the paper; ``norm`` multiplies
    the vector by that norm's scale first. Raises ``DetoxBenchError`` where the head does not take
    vectors of the residual stream.
    """
    head = _head(loaded.model, norm)
    size = len(loaded.tokenizer)
    known: dict[int, Token] = {}
    found = []
    for start in range(0, len(neurons), _AT_ONCE):
        some = neurons[start : start + _AT_ONCE]
        logits = head(vectors_of(loaded.model, some))[:, :size]
        best = logits.topk(min(top, logits.shape[-1])).indices.tolist()
        for neuron, ids in zip(some, best, strict=True):
            missing = [each for each in ids if each not in known]
            known.update(zip(missing, _read(loaded.tokenizer, missing), strict=True))
            found.append(Promoted(neuron, tuple(known[each] for each in ids)))
    return found


def _head(model: Any, norm: bool) -> Callable[[Tensor], Tensor]:
    """Return a function from vectors ``(n, hidden_size)`` to what they add to the logits."""
    whole = causal_model(model)
    head = whole.get_output_embeddings()
    parameter = next(head.parameters())

    @torch.inference_mode()
    def run(vectors: Tensor) -> Tensor:
        if (width := getattr(head, "in_features", vectors.shape[-1])) != vectors.shape[-1]:
            raise DetoxBenchError(
                f"The head takes vectors of width {width} and the residual stream has "
                f"{vectors.shape[-1]}: what stands between them is not known here."
            )
        scaled = vectors * _scale(final_norm(model), vectors) if norm else vectors
        scaled = scaled.to(parameter.device, parameter.dtype)
        # Some heads have a bias, which is not the vector's doing.
        logits: Tensor = head(scaled) - head(torch.zeros_like(scaled[:1]))
        return logits.float()

    return run


def _scale(norm: Any, like: Tensor) -> Tensor:
    """Return what a norm multiplies each channel by, ``(hidden_size,)``, whatever it calls it.

    Of +1 and -1 in turn both mean and mean square are already 0 and 1, so that the norm does no
    more than scale and shift; the shift is taken out.
    """
    parameter = next(norm.parameters(), like)
    turns = torch.ones(1, like.shape[-1], device=parameter.device, dtype=parameter.dtype)
    turns[:, 1::2] = -1
    scale: Tensor = turns * (norm(turns) - norm(-turns)) / 2
    return scale.to(like.device, like.dtype).squeeze(0)


def _read(tokenizer: Any, ids: Sequence[int]) -> list[Token]:
    """Return the tokens of ``ids``, each decoded by itself."""
    special = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    texts = [tokenizer.decode([each], clean_up_tokenization_spaces=False) for each in ids]
    languages = identify([text.strip() for text in texts])
    found = []
    for number, piece, text, language in zip(ids, pieces, texts, languages, strict=True):
        whole = "\ufffd" not in text
        lettered = whole and number not in special
        script = _script(text) if lettered else None
        found.append(Token(text if whole else piece, whole, script, language if script else None))
    return found


def _script(text: str) -> str | None:
    """Return the Unicode script of most of the letters, the first of several; None without any."""
    counts = Counter(script for script in map(letter_script, text) if script)
    return counts.most_common(1)[0][0] if counts else None
