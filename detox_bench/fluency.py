"""Conditional perplexity: how likely a language model finds continuations, given their prompts.

Perplexity is exp(-mean log-probability) of the continuation's tokens alone
(``modeling.likelihood``), by one frozen model for all runs that are compared: the base model, or
any other. A low one is no praise, repetition has it too; a much higher one than before means
that the text is wrecked. ``legacy-mt5:NAME`` is what the paper's code computes instead
(``fluency_legacy``).
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detox_bench.data.prompts import SOURCES, load_prompts
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.fluency_legacy import LEGACY, legacy_probabilities
from detox_bench.readable_texts import readable
from detox_bench.scorers.cache import ScoreCache
from detox_bench.statistics import Interval, median_ratio_interval, quantiles
from detox_bench.stored_texts import PromptSamples, prompt_set
from detox_bench.types import ToxicityScore

_PROMPTS_AT_ONCE = 40


class LanguageModel(NamedTuple):
    """A language model, its tokenizer, its row of ``FORMULAS``; ``id`` stands for all three."""

    id: str
    model: Any
    tokenizer: Any
    formula: str = "perplexity"


class Fluency(NamedTuple):
    """The perplexities of one language's continuations, by prompt id.

    ``n_empty`` counts the continuations of nothing but white space, ``n_dropped`` those that have
    no token to score, are longer than the model's window, or whose legacy perplexity is left out as
    the paper's code does (``fluency_legacy.HIGHEST``); neither has a perplexity.
    """

    values: Mapping[str, Sequence[float]]
    n_empty: int
    n_dropped: int

    @property
    def quartiles(self) -> tuple[float, float, float] | None:
        """The lower quartile, median and upper quartile over all continuations."""
        pooled = [value for values in self.values.values() for value in values]
        if not pooled:
            return None
        low, median, high = quantiles(pooled, [0.25, 0.5, 0.75])
        return float(low), float(median), float(high)

    def as_json(self) -> dict[str, Any]:
        """Return quartiles and counts as a JSON object."""
        quartiles = [q if math.isfinite(q) else None for q in self.quartiles or [math.nan] * 3]
        counts = {"n_empty": self.n_empty, "n_dropped": self.n_dropped}
        return dict(zip(("lower", "median", "upper"), quartiles, strict=True)) | counts


def load_language_model(name: str, device: str | None = None) -> LanguageModel:
    """Load a folder or Hub name (``modeling.loading``); ``legacy-mt5:NAME`` for that formula."""
    from detox_bench.modeling.loading import load_causal_model, load_seq2seq_model

    if name.startswith(f"{LEGACY}:"):
        loaded = load_seq2seq_model(name.removeprefix(f"{LEGACY}:"), device)
        return as_language_model(loaded.model, loaded.tokenizer, LEGACY)
    loaded = load_causal_model(name, device)
    return as_language_model(loaded.model, loaded.tokenizer)


def as_language_model(model: Any, tokenizer: Any, formula: str = "perplexity") -> LanguageModel:
    """Return a loaded model with what its perplexities are cached under."""
    return LanguageModel(_id(model, tokenizer, formula), model, tokenizer, formula)


def run_perplexity(
    language_model: LanguageModel, samples: Iterable[PromptSamples], prompts: Mapping[str, str]
) -> dict[str, Fluency]:
    """Return the perplexities of stored continuations under a model, by language.

    Args:
        language_model: See ``load_language_model``.
        samples: As ``read_samples`` yields them.
        prompts: The text of each prompt by id; see ``prompt_texts``.

    What was computed before is taken from the score cache. Raises ``DetoxBenchError`` for prompts
    without a text.
    """
    found: dict[str, dict[str, list[float | None]]] = {}
    empty: Counter[str] = Counter()
    for each, values in sample_perplexities(language_model, samples, prompts):
        found.setdefault(each.language, {})[each.prompt_id] = values
        empty[each.language] += sum(not text.strip() for text in each.texts)
    return {code: _fluency(values, empty[code]) for code, values in found.items()}


def sample_perplexities(
    language_model: LanguageModel, samples: Iterable[PromptSamples], prompts: Mapping[str, str]
) -> Iterator[tuple[PromptSamples, list[float | None]]]:
    """Yield each prompt with the ``(k,)`` perplexities of its samples, as ``run_perplexity``."""
    from tqdm import tqdm

    given = list(samples)
    _check_known(given, prompts)
    total, left = sum(len(each.texts) for each in given), iter(given)
    bar = tqdm(total=total, desc="Perplexity", unit=" texts", disable=None)
    with ScoreCache() as cache, bar:
        while chunk := list(islice(left, _PROMPTS_AT_ONCE)):
            for each, values in _perplexities(language_model, chunk, prompts, cache):
                yield each, values
                bar.update(len(values))


def perplexity_ratio(before: Fluency, after: Sequence[Fluency]) -> Interval:
    """Return the ratio of the median perplexities, after to before, with its 95 % interval.

    Over the prompts that all have; several runs after (seeds) count as more samples. A bootstrap
    draw takes a prompt with all its continuations.
    """
    ids = sorted(set(before.values).intersection(*(each.values for each in after)))
    pooled = [[value for each in after for value in each.values[i]] for i in ids]
    return median_ratio_interval([before.values[i] for i in ids], pooled)


def prompt_texts(samples: Iterable[PromptSamples], file: Path | None = None) -> dict[str, str]:
    """Return the texts of the prompts that ``samples`` continue, by id.

    They are looked up in the data set that the ids name, or read from ``file``: a JSON object a
    line with ``id`` and ``text``. Raises ``BadData`` for a file that is not that, and as
    ``load_prompts``.
    """
    if file is not None:
        return dict(_read_prompts(file))
    wanted = {(each.language, prompt_set(each.prompt_id)) for each in samples}
    known = sorted((code, source) for code, source in wanted if source in SOURCES)
    return {p.id: p.text for code, source in known for p in load_prompts(code, source).prompts}


def _read_prompts(file: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = file.read_text("utf-8").split("\n")  # a JSON string may hold other line ends
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file} cannot be read: {error}.") from error
    for number, line in ((n, line) for n, line in enumerate(lines, 1) if line.strip()):
        try:
            row = json.loads(line)
            yield str(row["id"]), str(row["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadData(
                f"{file} line {number} is not a JSON object with id and text: {error}."
            ) from error


def _check_known(samples: Sequence[PromptSamples], prompts: Mapping[str, str]) -> None:
    if unknown := [each.prompt_id for each in samples if each.prompt_id not in prompts]:
        raise DetoxBenchError(
            f"The texts of {len(unknown)} prompts are not known, as of {unknown[0]!r}. Prepare the "
            "data set the run was made with (`detox-bench data rtplx SOURCE`), or give a file of "
            "prompts: --prompts FILE."
        )


def _perplexities(
    language_model: LanguageModel,
    chunk: Sequence[PromptSamples],
    prompts: Mapping[str, str],
    cache: ScoreCache,
) -> Iterator[tuple[PromptSamples, list[float | None]]]:
    """Yield the perplexities of each prompt's continuations; None for one without."""
    keys = {
        _key(prompts[each.prompt_id], text): (prompts[each.prompt_id], text)
        for each in chunk
        for text in each.texts
        if text.strip()
    }
    known = cache.get(language_model.id, None, list(keys))
    missing = {key: pair for key, pair in keys.items() if key not in known}
    _, model, tokenizer, formula = language_model
    pairs = [(readable(prompt), readable(text)) for prompt, text in missing.values()]
    values = FORMULAS[formula](model, tokenizer, pairs)
    made = {key: ToxicityScore(value) for key, value in zip(missing, values, strict=True)}
    cache.put(language_model.id, None, made)
    known |= made
    for each in chunk:
        found = [known.get(_key(prompts[each.prompt_id], text)) for text in each.texts]
        yield each, [_perplexity(score) for score in found]


def _probabilities(
    model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]]
) -> list[float | None]:
    """Return the geometric mean of the tokens' probabilities, in [0, 1]: 1 / perplexity."""
    from detox_bench.modeling.likelihood import log_probabilities
    from detox_bench.modeling.splitting import split_texts
    from detox_bench.modeling.tokens import window_of

    window = window_of(model) or math.inf
    split = split_texts(tokenizer, pairs)
    scored = [n for n, each in enumerate(split) if len(each.tokens) < window]
    found = log_probabilities(model, [split[n] for n in scored])
    means: list[float | None] = [None] * len(pairs)
    for n, values in zip(scored, found, strict=True):
        means[n] = float(np.exp(np.mean(values, dtype=np.float64))) if len(values) else None
    return means


#: How 1 / perplexity comes from model, tokenizer and pairs of prompt and continuation.
FORMULAS: dict[str, Callable[[Any, Any, Sequence[tuple[str, str]]], list[float | None]]] = {
    "perplexity": _probabilities,
    LEGACY: legacy_probabilities,
}


def _perplexity(score: ToxicityScore | None) -> float | None:
    value = None if score is None else score.value
    return None if value is None else 1 / value if value else math.inf


def _fluency(values: Mapping[str, Sequence[float | None]], n_empty: int) -> Fluency:
    known = {i: [value for value in each if value is not None] for i, each in values.items()}
    without = sum(map(len, values.values())) - sum(map(len, known.values()))
    return Fluency(known, n_empty, without - n_empty)


def _key(prompt: str, continuation: str) -> str:
    return json.dumps([prompt, continuation])


def _id(model: Any, tokenizer: Any, formula: str) -> str:
    """Return what perplexities are cached under: all that decides them but the texts.

    The formula, weights, configuration (the same weights with another activation are another
    model), how text becomes tokens, and the type of the numbers.
    """
    from detox_bench.modeling.fingerprint import configuration, weights_sha256
    from detox_bench.runs import digest

    made = getattr(tokenizer, "backend_tokenizer", None)
    tokens = digest(made.to_str() if made else tokenizer.get_vocab())
    settings = digest(configuration(model))
    return f"{formula}@{weights_sha256(model)[:16]}#{settings}-{tokens}-{model.dtype}"
