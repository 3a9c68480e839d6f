"""The toxicity tasks as lm-eval sees them: documents in, continuations scored, metrics out.

Options come through ``--metadata '{"detox_scorer": "ngram"}'``; see ``harness.options``.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from detox_bench import __version__
from detox_bench.data.prompts import PromptSet, load_prompts
from detox_bench.data.store import content_sha256
from detox_bench.doubts import doubts, observe
from detox_bench.harness.options import TaskOptions
from detox_bench.languages import language as language_row
from detox_bench.quality.measures import measure
from detox_bench.runs import digest
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer, check_validated, scorer_info
from detox_bench.scorers.table import load_scorer
from detox_bench.scorers.thresholds import threshold_for
from detox_bench.signature import Signature
from detox_bench.types import ToxicityScore

logger = logging.getLogger(__name__)


def prompt_documents(**metadata: Any) -> dict[str, datasets.Dataset]:
    """Return the documents of one language as lm-eval's ``custom_dataset``."""
    found = _prompts(TaskOptions.of(metadata))
    asked = "-".join((found.name, found.release, found.subset))
    rows = [
        {"id": p.id, "language": p.language, "prompt": p.text, "prompts": asked}
        for p in found.prompts
    ]
    return {"test": datasets.Dataset.from_list(rows)}


def not_used(*_: object) -> None:
    """Stand in the template where lm-eval would otherwise look for metrics on the Hub."""


class ScoredText(str):
    """A continuation that carries its score; lm-eval logs it as plain text."""

    __slots__ = ("score",)
    score: ToxicityScore

    @classmethod
    def of(cls, text: str, score: ToxicityScore) -> "ScoredText":
        """Return ``text`` with ``score``."""
        made = cls(text)
        made.score = score
        return made


class ToxicityTask(ConfigurableTask):  # type: ignore[misc]
    """Toxicity of the continuations of one language's prompts."""

    def __init__(self, config: dict[str, Any] | None = None, **_: Any) -> None:
        """Build the task from its YAML; lm-eval leaves the key ``class`` in it."""
        super().__init__(config={k: v for k, v in (config or {}).items() if k != "class"})
        kwargs = self.config.dataset_kwargs or {}
        self._options = TaskOptions.of({**(self.config.metadata or {}), **kwargs})

    @property
    def predict_only(self) -> bool:
        """Whether ``--predict_only`` asks for continuations without scores."""
        return "bypass" in self._metric_fn_list

    def build_all_requests(
        self, *, limit: int | None = None, samples: list[int] | None = None, **kwargs: Any
    ) -> None:
        """Build the requests and remember which prompts they are, on all processes together."""
        if not self.predict_only:
            self._check_scorer()  # what cannot be loaded fails now, not after hours of sampling
        prompts = _prompts(self._options).prompts
        places = range(len(prompts))[:limit] if samples is None else samples
        self._asked = tuple(prompts[place] for place in places)
        self._form = _form(kwargs.get("system_instruction"), kwargs.get("chat_template"))
        super().build_all_requests(limit=limit, samples=samples, **kwargs)

    def apply_filters(self) -> None:
        """Score all continuations at once, after all of them have been made."""
        for instance in self._instances:
            instance.resps[:] = instance.resps[: self.config.repeats]
        scores = {} if self.predict_only else self._score()
        for instance in self._instances:
            instance.filtered_resps["none"] = [
                ScoredText.of(text, scores.get(text, _NOT_ASKED)) for text in instance.resps
            ]

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
        """Return the metrics of one prompt, and its scores for the samples file."""
        if self.predict_only:
            return {"bypass": 999}
        texts: list[ScoredText] = results[0]
        values = [text.score.value for text in texts]
        found = measure(texts, values, doc["language"], self._threshold, doc["prompt"])
        return {"scores": values, **found}

    @property
    def _threshold(self) -> float:
        options = self._options
        return threshold_for(options.threshold, _scorer(options), options.language)

    def _check_scorer(self) -> None:
        """Raise where there is no scorer or threshold, or ``strict`` refuses the language."""
        language = language_row(self._options.language).code
        if self._options.strict:
            check_validated(_scorer(self._options), [language])
        self._threshold  # noqa: B018  raises for a table without the language

    def _score(self) -> dict[str, ToxicityScore]:
        """Score what was generated and record by what."""
        scorer, language = _scorer(self._options), language_row(self._options.language).code
        texts = list(dict.fromkeys(text for each in self._instances for text in each.resps))
        scores = dict(zip(texts, score_texts(texts, language, scorer, cache=_cache()), strict=True))
        self.config.metadata.update(self._record(scorer, language))
        observed = [
            observe(each.resps, [scores[text].value for text in each.resps])
            for each in self._instances
        ]
        self.config.metadata["detox_doubts"] = doubts(observed)
        for doubt in self.config.metadata["detox_doubts"]:
            logger.warning("%s: %s", self.config.task, doubt)
        return scores

    def _record(self, scorer: Scorer, language: str) -> dict[str, Any]:
        """Return what the results file says of prompts, sampling and scorer."""
        found, sampling = _prompts(self._options), self.config.generation_kwargs
        asked_sha256 = content_sha256((prompt.id, prompt.text) for prompt in self._asked)
        signature = Signature(
            prompts="-".join((found.name, found.release, found.subset)),
            prompts_sha256=asked_sha256[:12],
            language=language,
            n_prompts=len(self._asked),
            samples=self.config.repeats,
            new_tokens=sampling.get("max_gen_toks"),
            temperature=sampling.get("temperature"),
            top_p=sampling.get("top_p"),
            top_k=sampling.get("top_k"),
            generation=digest(sampling)[:8],
            form=self._form,
            scorer=scorer.id,
            threshold=self._threshold,
            version=__version__,
        )
        return {
            "detox_signature": str(signature),
            "detox_prompt_set": {k: v for k, v in asdict(found).items() if k != "prompts"},
            "detox_scorer_info": scorer_info(scorer, [language]).as_json(),
            "detox_threshold_used": self._threshold,
            "detox_bench_version": __version__,
        }


def _form(system_instruction: str | None, chat_template: Callable[[Any], str] | None) -> str:
    """Return ``raw``, or a digest of what is put around the prompts."""
    if not system_instruction and not chat_template:
        return "raw"
    shown = chat_template([{"role": "user", "content": "prompt"}]) if chat_template else ""
    return digest([system_instruction, shown])[:8]


_NOT_ASKED = ToxicityScore(None, reason="not scored: --predict_only")


def _prompts(options: TaskOptions) -> PromptSet:
    return _load_prompts(options.language, options.prompts, options.subset)


_load_prompts = cache(load_prompts)


def check_strict(metadata: Mapping[str, Any], languages: Sequence[str]) -> None:
    """Raise naming all ``languages`` in which the scorer that ``metadata`` names is not validated.

    Raises ``ScorerUnavailable``, and as ``load_scorer``; nothing where ``metadata`` is not strict.
    """
    options = TaskOptions.of(metadata)
    if options.strict:
        check_validated(_scorer(options), languages)


def _scorer(options: TaskOptions) -> Scorer:
    return _load_scorer(options.scorer, json.dumps(dict(options.scorer_options), sort_keys=True))


@cache
def _load_scorer(spec: str, options: str) -> Scorer:
    return load_scorer(spec, **json.loads(options))


@cache
def _cache() -> ScoreCache:
    return ScoreCache()
