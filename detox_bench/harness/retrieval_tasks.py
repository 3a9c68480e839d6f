"""The retrieval tasks as lm-eval sees them: pairs of sentences in, metrics over all layers out.

Options come through ``--metadata '{"detox_pooling": "last"}'``; see ``harness.options``.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import datasets
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from detox_bench import __version__
from detox_bench.data.parallel import Asked, PairSet, load_pairs
from detox_bench.data.store import content_sha256
from detox_bench.errors import DetoxBenchError
from detox_bench.harness.hidden_states import (
    REQUEST,
    Answer,
    HiddenStates,
    NoHiddenStates,
    install,
    layers_of,
)
from detox_bench.harness.options import RetrievalOptions
from detox_bench.retrieval import RetrievalMetrics, retrieval_metrics

logger = logging.getLogger(__name__)

install()  # the models of lm-eval are built before its tasks are loaded

_SIDES = ("source", "target")
_FEWEST = 2  # one sentence has no other to be confused with


def pair_documents(**metadata: Any) -> dict[str, datasets.Dataset]:
    """Return the pairs of two languages as lm-eval's ``custom_dataset``."""
    found = _pairs(RetrievalOptions.of(metadata))
    rows = [
        {"id": pair.id, "number": number, "source": pair.source, "target": pair.target}
        for number, pair in enumerate(found.pairs)
    ]
    return {"test": datasets.Dataset.from_list(rows)}


@dataclass(frozen=True, slots=True)
class StatePair:
    """What a model made of one pair; the samples file has the hashes under ``resps``."""

    number: int
    sides: tuple[Answer, Answer]

    def __str__(self) -> str:
        return "of all pairs together"


class RetrievalTask(ConfigurableTask):  # type: ignore[misc]
    """Bilingual retrieval between the sentences of two languages."""

    def __init__(self, config: dict[str, Any] | None = None, **_: Any) -> None:
        """Build the task from its YAML; lm-eval leaves the key ``class`` in it."""
        super().__init__(config={k: v for k, v in (config or {}).items() if k != "class"})
        # lm-eval books the padding of several processes under this name; a YAML may not give it.
        self.OUTPUT_TYPE = REQUEST
        kwargs = self.config.dataset_kwargs or {}
        self._options = RetrievalOptions.of({**(self.config.metadata or {}), **kwargs})
        self._numbers: dict[str, float] | None = None

    @property
    def predict_only(self) -> bool:
        """Whether ``--predict_only`` asks for states without metrics."""
        return "bypass" in self._metric_fn_list

    def construct_requests(
        self,
        doc: dict[str, Any],
        ctx: Any,  # noqa: ARG002  the sentence is asked as it is, whatever lm-eval puts around it
        metadata: Any = (None, None, None),
        **_: Any,
    ) -> list[Instance]:
        """Return a request for each side of a pair."""
        return [
            Instance(
                request_type=REQUEST,
                doc=doc,
                arguments=(doc[side], self._options.pooling),
                idx=place,
                metadata=metadata,
            )
            for place, side in enumerate(_SIDES)
        ]

    def apply_filters(self) -> None:
        """Keep one answer a request: with several processes lm-eval asks some again."""
        self._numbers = None
        for instance in self._instances:
            instance.resps[:] = instance.resps[:1]
            instance.filtered_resps["none"] = instance.resps[0]

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
        """Return both states under the name of every metric, which needs those of all pairs."""
        if self.predict_only:
            return {"bypass": 999}
        pair = StatePair(doc["number"], (results[0], results[1]))
        return dict.fromkeys(self._metric_fn_list, pair)

    def aggregation(self) -> dict[str, Callable[[Sequence[Any]], float]]:
        """Return a function a metric, from the states of all pairs to its number."""
        if self.predict_only:
            return dict(super().aggregation())
        return {name: partial(self._number, name) for name in self._metric_fn_list}

    def _number(self, name: str, pairs: Sequence[StatePair]) -> float:
        if self._numbers is None:
            self._numbers = self._compare(sorted(pairs, key=lambda pair: pair.number))
        return self._numbers.get(name, math.nan)

    def _compare(self, pairs: Sequence[StatePair]) -> dict[str, float]:
        """Compute all metrics, record what they are of, and return those lm-eval shows."""
        self.config.metadata.update(self._record(pairs))
        found = self._metrics(pairs)
        if isinstance(found, str):
            self.config.metadata["detox_no_result"] = found
            return {"n": float(len(pairs)), "chance": 1 / len(pairs)}
        self.config.metadata["detox_retrieval"] = {**found.as_json(), "layers": _curves(found)}
        return found.numbers()

    def _metrics(self, pairs: Sequence[StatePair]) -> RetrievalMetrics | str:
        """Return the metrics, or why there are none."""
        answers = [answer for pair in pairs for answer in pair.sides]
        states = [each for each in answers if isinstance(each, HiddenStates)]
        if len(states) < len(answers):  # the model has said so, once for all tasks
            return next(str(each) for each in answers if isinstance(each, NoHiddenStates))
        try:
            if len(pairs) < _FEWEST:
                raise DetoxBenchError(
                    "one sentence has no other to be confused with. Give --limit 2 or more."
                )
            return retrieval_metrics(layers_of(states[::2]), layers_of(states[1::2]))
        except DetoxBenchError as error:
            logger.warning("%s has no result: %s", self.config.task, error)
            return str(error)

    def _record(self, pairs: Sequence[StatePair]) -> dict[str, Any]:
        """Return what the results file says of sentences and states."""
        found = _pairs(self._options)
        asked = [found.pairs[pair.number] for pair in pairs]
        pair_set = {k: v for k, v in asdict(found).items() if k != "pairs"}
        digest = content_sha256((each.id, f"{each.source}\n{each.target}") for each in asked)
        return {
            "detox_data_asked": self._options.data,
            "detox_pair_set": {**pair_set, "available": len(found.pairs)},
            "detox_asked": {"n": len(asked), "sha256": digest},
            "detox_pooling_used": self._options.pooling,
            "detox_tokens": _over_sides(pairs, lambda states: states.tokens),
            "detox_cut": _over_sides(pairs, lambda states: int(states.cut)),
            "detox_bench_version": __version__,
        }


def _curves(found: RetrievalMetrics) -> dict[str, list[float | None]]:
    """Return the value of each metric layer by layer, None where it is undefined."""
    return {
        name: [value if math.isfinite(value) else None for value in curve]
        for name, curve in found.curves().items()
    }


def _over_sides(
    pairs: Sequence[StatePair], count: Callable[[HiddenStates], int]
) -> dict[str, int | None]:
    """Return the sum over the sentences of each side; None where there are no states."""
    found: dict[str, int | None] = {}
    for place, side in enumerate(_SIDES):
        states = [pair.sides[place] for pair in pairs]
        known = [count(each) for each in states if isinstance(each, HiddenStates)]
        found[side] = sum(known) if len(known) == len(states) else None
    return found


def _pairs(options: RetrievalOptions) -> PairSet:
    asked = Asked(options.source, options.language, options.split, options.folder, options.prompts)
    return _load_pairs(options.data, asked)


_load_pairs = cache(load_pairs)
