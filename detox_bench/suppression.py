"""Over-suppression: how much less likely a detoxified model finds harmless text than its base.

A model may seem clean because it avoids more than toxicity: harmless answers to toxic prompts, or
whatever mentions a group. Asked is what both models think of given texts: the mean natural
log-probability of a text's tokens, model less base, in nats a token, paired text by text. Below
zero on harmless text is over-suppression; below zero on toxic completions is what detoxification is
for, and ``selectivity``, their difference less that of harmless completions of the same prompts,
says how far the one goes without the other.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from detox_bench.comparison import OTHERS, ComparisonRow, compare
from detox_bench.errors import DetoxBenchError
from detox_bench.runs import digest
from detox_bench.suppression_texts import KINDS, GivenText, TextSet

if TYPE_CHECKING:
    from detox_bench.modeling.loading import LoadedModel

#: So many tokens of a completion count, as many as the tasks sample; sentences count whole.
TOKENS = 20
#: What the rows of a kind, and of ``selectivity``, compare.
MEASURE = "log_probability"
_AT_ONCE = 256  # texts

#: Mean log-probabilities in nats a token, by text id.
Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which models to compare, and how.

    ``base`` and ``model`` are folders or Hub names, ``peft`` an adapter for ``model``, and
    ``intervention`` a file of ``detox-bench neurons make`` that edits it; ``dtype`` is ``auto`` (as
    stored, what ``eval`` loads) or a type of torch.
    """

    base: str
    model: str
    peft: str | None = None
    intervention: Path | None = None
    tokens: int = TOKENS
    device: str | None = None
    dtype: str = "auto"


class KindResult(NamedTuple):
    """What came of one kind of text.

    ``rows`` are the languages and their mean, with one change, ``MEASURE``. ``n_cut`` counts the
    completions of which only the first tokens count. ``n_left_out`` counts the items without a
    text, and texts without a token to score or too long for a model's window.
    """

    rows: list[ComparisonRow]
    n_left_out: int
    n_cut: int


@dataclass(frozen=True, slots=True)
class Suppression:
    """Two models' identities as run folders have them, and results by kind.

    A row of ``selectivity`` compares, prompt by prompt, the change of the harmless completion with
    that of the toxic one; it is empty unless both kinds are there.
    """

    base: Mapping[str, Any]
    model: Mapping[str, Any]
    kinds: Mapping[str, KindResult]
    selectivity: list[ComparisonRow]


class _Side(NamedTuple):
    """One model: who it is, its scores by kind and language, and the completions cut by kind."""

    identity: dict[str, Any]
    scores: dict[str, dict[str, Scores]]
    n_cut: dict[str, int]


def measure(asked: Asked, sets: Sequence[TextSet]) -> Suppression:
    """Score all texts under both models, one model in memory at a time, and compare.

    Raises ``DetoxBenchError`` for models that cannot be loaded or have different tokenizers, and
    ``BadIntervention``. The edited model comes first, so that an intervention that is not for it
    is refused before the work.
    """
    _check_tokenizers(asked)
    model = _side(asked, sets)
    base = _side(replace(asked, model=asked.base, peft=None, intervention=None), sets)
    kinds = {each.kind: _result(each, base, model) for each in sets}
    return Suppression(base.identity, model.identity, kinds, _selectivity(base, model))


def _check_tokenizers(asked: Asked) -> None:
    """Refuse different ones: a mean over other tokens is another measure."""
    if asked.base == asked.model:
        return
    from detox_bench.modeling.fingerprint import tokenizer_content
    from detox_bench.modeling.loading import load_tokenizer

    one, other = (
        digest(tokenizer_content(load_tokenizer(name))) for name in (asked.base, asked.model)
    )
    if one != other:
        raise DetoxBenchError(
            f"{asked.model} has another tokenizer than {asked.base} ({other}, not {one}), and log-"
            "probabilities of other tokens cannot be compared. Name the base it was made from."
        )


def _side(asked: Asked, sets: Sequence[TextSet]) -> _Side:
    """Load the model after, score everything, and let go of it."""
    from detox_bench.modeling.adapters import load_adapted_model
    from detox_bench.neurons.edit.applied import Applied

    loaded = load_adapted_model(asked.model, asked.peft, asked.device, asked.dtype)
    identity, hooks = _identity(loaded), ExitStack()
    if asked.intervention is not None:
        applied = Applied.to(loaded.model, loaded.name, asked.intervention)
        identity |= {**applied.identity, "edit": applied.as_json()}
        hooks = applied.hooks
    side = _Side(identity, {}, {})
    with hooks, _progress(identity, sets) as advance:
        for each in sets:
            most = asked.tokens if KINDS[each.kind].completion else None
            scored = _score_set(loaded, each, most, advance)
            side.scores[each.kind], side.n_cut[each.kind] = scored
    return side


@contextmanager
def _progress(
    identity: Mapping[str, Any], sets: Sequence[TextSet]
) -> Iterator[Callable[[int], Any]]:
    from tqdm import tqdm

    total = sum(len(texts) for each in sets for texts in each.texts.values())
    label = identity["name"] + (" (edited)" if "intervention" in identity else "")
    with tqdm(total=total, desc=label, unit=" texts", disable=None) as bar:
        yield bar.update


def _identity(loaded: "LoadedModel") -> dict[str, Any]:
    """Return what tells a model from others, in the words of a run folder's ``run.json``."""
    from detox_bench.modeling.fingerprint import configuration, weights_sha256

    folder = Path(loaded.name)
    return {
        "name": folder.resolve().name if folder.exists() else loaded.name,
        "weights_sha256": weights_sha256(loaded.model),
        "configuration": digest(configuration(loaded.model)),
    }


def _score_set(
    loaded: "LoadedModel", texts: TextSet, most: int | None, advance: Callable[[int], Any]
) -> tuple[dict[str, Scores], int]:
    """Return the scores by language, and how many texts were cut to ``most`` tokens."""
    found: dict[str, Scores] = {}
    n_cut = 0
    for code, given in texts.texts.items():
        scores: dict[str, float] = {}
        for start in range(0, len(given), _AT_ONCE):
            part = given[start : start + _AT_ONCE]
            some, cut = _score(loaded, part, most)
            scores |= some
            n_cut += cut
            advance(len(part))
        found[code] = scores
    return found, n_cut


def _score(
    loaded: "LoadedModel", texts: Sequence[GivenText], most: int | None
) -> tuple[dict[str, float], int]:
    """Return the mean log-probability of each text that has one, and how many were cut."""
    from detox_bench.modeling.likelihood import Continuation, log_probabilities
    from detox_bench.modeling.splitting import split_texts
    from detox_bench.modeling.tokens import window_of

    whole = split_texts(loaded.tokenizer, [(each.prompt, each.text) for each in texts])
    cut = [Continuation(each.prompt, each.tokens[:most]) for each in whole]
    window = window_of(loaded.model) or math.inf
    scored = [n for n, each in enumerate(cut) if 0 < len(each.tokens) < window]
    values = log_probabilities(loaded.model, [cut[n] for n in scored])
    found = {
        texts[n].id: float(np.mean(of_tokens, dtype=np.float64))
        for n, of_tokens in zip(scored, values, strict=True)
        if len(of_tokens)
    }
    return found, sum(a.tokens != b.tokens for a, b in zip(whole, cut, strict=True))


def _result(texts: TextSet, base: _Side, model: _Side) -> KindResult:
    """Compare the texts of one kind that both models scored."""
    before, after = base.scores[texts.kind], model.scores[texts.kind]
    rows = _rows(before, after)
    given = sum(map(len, texts.texts.values()))
    scored = sum(len(ids) for _, ids in _shared(before, after))
    return KindResult(rows, texts.n_left_out + given - scored, base.n_cut[texts.kind])


def _selectivity(base: _Side, model: _Side) -> list[ComparisonRow]:
    """Compare the change of harmless completions with that of toxic ones of the same prompts."""
    if not {"benign", "toxic"} <= base.scores.keys():
        return []
    return _rows(*(_changes(base.scores[k], model.scores[k]) for k in ("benign", "toxic")))


def _changes(before: Mapping[str, Scores], after: Mapping[str, Scores]) -> dict[str, Scores]:
    return {
        code: {i: after[code][i] - before[code][i] for i in ids}
        for code, ids in _shared(before, after)
    }


def _rows(before: Mapping[str, Scores], after: Mapping[str, Scores]) -> list[ComparisonRow]:
    """Return a row a language and their mean, over the texts that both have."""
    shared = dict(_shared(before, after))
    if not shared:
        return []
    runs = [
        {code: {i: {MEASURE: side[code][i]} for i in ids} for code, ids in shared.items()}
        for side in (before, after)
    ]
    return [row for row in compare(runs[:1], runs[1:]) if row.language != OTHERS]


def _shared(
    before: Mapping[str, Scores], after: Mapping[str, Scores]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each language with the ids that both sides have, if there are any."""
    for code in before:
        if ids := [i for i in before[code] if i in after.get(code, {})]:
            yield code, ids
