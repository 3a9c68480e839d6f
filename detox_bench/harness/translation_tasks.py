"""The translation tasks as lm-eval sees them: chrF++ and BLEU of what a model writes.

They measure the ability that a detoxification may cost. ``harness.options`` has what
``--metadata`` may set.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import datasets
import numpy as np
from lm_eval.api.task import ConfigurableTask

from detox_bench import __version__
from detox_bench.data.parallel import SentencePair, load_translations
from detox_bench.harness.options import TranslationOptions
from detox_bench.languages import language
from detox_bench.statistics import bootstrap_means

#: What sacrebleu cuts into words by, where spaces do not: needs no download.
_TOKENIZERS = {"zh-Hans": "zh", "zh-Hant": "zh", "ja": "char", "th": "char"}
_RESAMPLES = 1000


def translation_documents(**metadata: Any) -> dict[str, datasets.Dataset]:
    """Return sentences and examples of two languages as lm-eval's ``custom_dataset``."""
    options = TranslationOptions.of(metadata)
    found = load_translations(options.translate_from, options.translate_to)
    asked = found.asked.pairs[: options.sentences]
    return {"test": _documents(options, asked), "dev": _documents(options, found.examples)}


class TranslationTask(ConfigurableTask):  # type: ignore[misc]
    """Few-shot translation from one language into another."""

    def __init__(self, config: dict[str, Any] | None = None, **_: Any) -> None:
        """Build the task from its YAML; lm-eval leaves the key ``class`` in it."""
        super().__init__(config={k: v for k, v in (config or {}).items() if k != "class"})
        kwargs = self.config.dataset_kwargs or {}
        self._options = TranslationOptions.of({**(self.config.metadata or {}), **kwargs})

    @property
    def predict_only(self) -> bool:
        """Whether ``--predict_only`` asks for translations without metrics."""
        return "bypass" in self._metric_fn_list

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
        """Return translation and reference under each metric of the corpus; 1 if it is empty."""
        if self.predict_only:
            return {"bypass": 999}
        written = str(results[0]).strip()
        pair = (written, str(doc["target"]))
        return {"chrf_plus_plus": pair, "bleu": pair, "empty_rate": float(not written)}

    def aggregation(self) -> dict[str, Callable[[Sequence[Any]], float]]:
        """Return a function a metric, from all translations to its number."""
        found = dict(super().aggregation())
        if not self.predict_only:
            found |= {name: partial(self._score, name) for name in ("chrf_plus_plus", "bleu")}
        return found

    def counts(self, name: str, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """Return what a corpus metric is computed from, ``(n, d)``: counts that add up over pairs.

        ``detox_bench.corpus_scores.SCORES`` has the score of such sums.
        """
        metric = _metric(name, language(self._options.translate_to).code)
        written, references = (list(side) for side in zip(*pairs, strict=True))
        found = metric._extract_corpus_statistics(written, [references])
        return [[float(count) for count in each] for each in found]

    def _score(self, name: str, pairs: Sequence[tuple[str, str]]) -> float:
        """Return a score in [0, 100], and record its interval and what it was computed by."""
        target = language(self._options.translate_to).code
        metric = _metric(name, target)
        written, references = (list(side) for side in zip(*pairs, strict=True))
        score = float(metric.corpus_score(written, [references]).score)
        record = {"score": score, "signature": str(metric.get_signature())}
        if len(pairs) > 1:
            record["interval"] = _interval(metric, written, references)
        self.config.metadata.setdefault("detox_translation", {})[name] = record
        self.config.metadata |= self._record(len(pairs))
        return score

    def _record(self, n: int) -> dict[str, Any]:
        found = load_translations(self._options.translate_from, self._options.translate_to).asked
        pair_set = {k: v for k, v in asdict(found).items() if k != "pairs"}
        return {
            "detox_translated_set": {**pair_set, "available": len(found.pairs)},
            "detox_translated": n,
            "detox_bench_version": __version__,
        }


def _metric(name: str, target: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if name == "bleu":
        return BLEU(tokenize=_TOKENIZERS.get(target, "13a"))
    return CHRF(word_order=2)  # chrF++ (Popović 2017)


def _interval(metric: Any, written: list[str], references: list[str]) -> list[float]:
    """Return the 95 % percentile bootstrap interval of the corpus's score, over sentences."""
    counts = np.asarray(metric._extract_corpus_statistics(written, [references]), dtype=float)
    sums = np.rint(bootstrap_means(counts, _RESAMPLES, seed=0) * len(counts))
    # Not by sacrebleu: some of its scores are float32, others float, which ends in a TypeError.
    scores = [float(metric._compute_score_from_stats(each).score) for each in sums.tolist()]
    low, high = np.quantile(scores, [0.025, 0.975])
    return [float(low), float(high)]


def _documents(options: TranslationOptions, pairs: Iterable[SentencePair]) -> datasets.Dataset:
    names = [
        language(code).name.split(",")[0] for code in (options.translate_from, options.translate_to)
    ]
    rows = [
        {**pair._asdict(), "source_language": names[0], "target_language": names[1]}
        for pair in pairs
    ]
    return datasets.Dataset.from_list(rows)
