"""One look at a model in training: how toxic, how fluent, how empty in several languages."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from statistics import median
from typing import Any

import torch

from detox_bench.data.prompts import load_prompts
from detox_bench.errors import DetoxBenchError, ScorerUnavailable
from detox_bench.languages import language as language_row
from detox_bench.metrics import any_toxic, distinct_n, empty_rate, mean_of_known, pooled_mean
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.likelihood import Continuation, log_probabilities, perplexity
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.modeling.sampling import SampledTokens, Sampler, SampleRequest
from detox_bench.modeling.tokens import prompt_tokens, stop_tokens_of, window_of
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer
from detox_bench.scorers.table import load_scorer
from detox_bench.trainers.watch_quiet import undisturbed
from detox_bench.trainers.watch_records import LanguageReading, WatchOptions, WatchRecord
from detox_bench.types import Prompt, ToxicityScore

logger = logging.getLogger(__name__)

#: Gives the frozen model that perplexity is measured by, for the length of a ``with``.
Reference = Callable[[], AbstractContextManager[Any]]

_BATCH_SIZE = 64
_LONGEST_WINDOW = 2**31  # of models that do not say


class Watch:
    """Measures a model on a small, fixed set of prompts, and leaves it as it was."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        options: WatchOptions,
        *,
        scorer: Scorer | None = None,
        reference: Reference | None = None,
    ) -> None:
        """Choose the prompts and load the scorer, so that a wrong name fails before training.

        Args:
            model: A transformers model, PEFT-wrapped or not; not sharded.
            tokenizer: The model's.
            options: What to measure.
            scorer: Instead of the one that ``options`` names.
            reference: What perplexity is measured by; None leaves perplexity out.

        Raises ``DetoxBenchError`` for languages, prompts or scorers that are not there.
        """
        self.model, self.tokenizer, self.options = model, tokenizer, options
        self.scorer = scorer or load_scorer(options.scorer)
        self.reference = reference if options.perplexity else None
        self.prompts = {row.code: _choose(row.code, options) for row in _rows(options)}
        window = window_of(model) or _LONGEST_WINDOW
        self.room = window - options.new_tokens
        if self.room <= 0:
            raise DetoxBenchError(
                f"{options.new_tokens} new tokens do not fit a window of {window}. "
                "Ask the watch for fewer new tokens."
            )
        if torch.device(model.device).type == "mps":
            raise DetoxBenchError(
                "The watch draws in float64, which Apple's GPUs lack. Train on the CPU, or turn "
                "the watch off."
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What the readings depend on besides model and scorer; JSON."""
        chosen = sorted(prompt.id for prompts in self.prompts.values() for prompt in prompts)
        drawn = self._sampling()
        return {
            "new_tokens": drawn.new_tokens,
            "temperature": drawn.temperature,
            "top_p": drawn.top_p,
            "top_k": drawn.top_k,
            "samples": self.options.samples,
            "prompts_sha256": sha256("\n".join(chosen).encode()).hexdigest()[:16],
            "threshold": self.scorer.threshold,
        }

    def measure(self, step: int) -> WatchRecord:
        """Return the readings of the model as it is now.

        Modes, flags and random states are as before when this returns. Raises
        ``ScorerUnavailable`` if the scorer fails on every text at step 0; later it only warns.
        """
        with undisturbed(self.model):
            drawn = self._draw()
            perplexities = self._perplexities(drawn)
        with ScoreCache() as cache:
            scores = {code: self._score(each, cache, step) for code, each in drawn.items()}
        readings = {
            code: self._reading(code, each, perplexities[code], scores[code])
            for code, each in drawn.items()
        }
        return WatchRecord(step, readings)

    def _sampling(self) -> SamplingSettings:
        return SamplingSettings(new_tokens=self.options.new_tokens, seed=self.options.seed)

    def _draw(self) -> dict[str, list[SampledTokens]]:
        """Return the samples of every language, those of one prompt together."""
        requests = list(self._requests())
        batch_size, drawn = _BATCH_SIZE, None
        while drawn is None:
            try:
                drawn = self._draw_in_batches(requests, batch_size)
            except torch.OutOfMemoryError:
                if batch_size == 1:
                    raise
                batch_size //= 2
                torch.cuda.empty_cache()
        drawn.sort(key=lambda each: (each.request.prompt_id, each.sample))
        return {
            code: [each for each in drawn if each.request.label == code] for code in self.prompts
        }

    def _draw_in_batches(
        self, requests: Sequence[SampleRequest], batch_size: int
    ) -> list[SampledTokens]:
        model = CausalModel(self.model, self.tokenizer.pad_token_id or 0)
        stops = stop_tokens_of(self.model, self.tokenizer)
        sampler = Sampler(model, self._sampling(), stops, batch_size)
        return [each for batch in sampler.sample(requests) for each in batch]

    def _requests(self) -> Iterator[SampleRequest]:
        samples = tuple(range(self.options.samples))
        for code, prompts in self.prompts.items():
            for prompt in prompts:
                tokens = prompt_tokens(self.tokenizer, prompt.text, self.room)
                yield SampleRequest(prompt.id, tokens, samples, code)

    def _perplexities(self, drawn: Mapping[str, Sequence[SampledTokens]]) -> dict[str, list[float]]:
        """Return the perplexity under the reference of every continuation that has tokens."""
        if self.reference is None:
            return {code: [] for code in drawn}
        asked = [
            Continuation(each.request.tokens, tuple(each.tokens))
            for part in drawn.values()
            for each in part
        ]
        with self.reference() as model, undisturbed(model):
            found = iter(log_probabilities(model, asked))
        values = {code: [perplexity(next(found)) for _ in part] for code, part in drawn.items()}
        return {code: [v for v in part if v is not None] for code, part in values.items()}

    def _texts(self, drawn: Sequence[SampledTokens]) -> list[str]:
        return [self.tokenizer.decode(each.tokens, skip_special_tokens=True) for each in drawn]

    def _score(
        self, drawn: Sequence[SampledTokens], cache: ScoreCache, step: int
    ) -> list[ToxicityScore]:
        code = drawn[0].request.label
        try:
            return score_texts(self._texts(drawn), code, self.scorer, cache=cache, progress=False)
        except ScorerUnavailable as error:
            if step == 0:
                raise
            logger.warning("The watch has no scores in %s at step %d: %s", code, step, error)
            return [ToxicityScore(None, reason=str(error))] * len(drawn)

    def _reading(
        self,
        code: str,
        drawn: Sequence[SampledTokens],
        perplexities: Sequence[float],
        scores: Sequence[ToxicityScore],
    ) -> LanguageReading:
        texts, spaced = self._texts(drawn), language_row(code).spaced
        values = [score.value for score in scores]
        k = self.options.samples
        by_prompt = [values[start : start + k] for start in range(0, len(values), k)]
        return LanguageReading(
            toxicity_probability=mean_of_known(
                [any_toxic(each, self.scorer.threshold) for each in by_prompt]
            ),
            average_toxicity=pooled_mean(by_prompt),
            perplexity=median(perplexities) if perplexities else None,
            empty_rate=empty_rate(texts),
            repetition=mean_of_known([_repetition(text, spaced) for text in texts]),
            n=len(texts),
            n_unscored=values.count(None),
            n_prompts=len(by_prompt),
        )


def _rows(options: WatchOptions) -> Iterator[Any]:
    return (language_row(code) for code in dict.fromkeys(options.languages))


def _choose(code: str, options: WatchOptions) -> tuple[Prompt, ...]:
    """Return the watched prompts: the same items in every language that numbers them alike."""

    def rank(prompt: Prompt) -> str:
        item = prompt.id.rpartition("/")[2]
        return sha256(f"{options.seed} {item}".encode()).hexdigest()

    found = load_prompts(code, options.source, options.subset).prompts
    return tuple(sorted(found, key=rank)[: options.prompts])


def _repetition(text: str, spaced: bool) -> float | None:
    different = distinct_n([text], 2, spaced)
    return None if different is None else 1.0 - different
