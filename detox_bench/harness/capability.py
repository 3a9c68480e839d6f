"""One model on lm-eval's tasks: the values of each document, kept so that none is asked twice.

All that capability needs of lm-eval's evaluation is in this module.
"""

import gc
import logging
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from lm_eval import evaluate
from lm_eval.defaults import DEFAULT_OTHER_SEED
from lm_eval.utils import setup_logging
from safetensors import SafetensorError
from tqdm import tqdm
from transformers import AutoConfig

from detox_bench.corpus_scores import SCORES
from detox_bench.errors import DetoxBenchError
from detox_bench.harness.kept_results import KeptResult, result_key
from detox_bench.harness.model import DetoxHFLM
from detox_bench.harness.refusals import check
from detox_bench.harness.translation_tasks import TranslationTask
from detox_bench.harness.truncation import watching
from detox_bench.run_records import IDENTITY
from detox_bench.task_results import MEAN, TaskMetric, TaskResult

#: What a document is called by where data sets of several languages share it; else its number.
_NAMES = ("id", "ind")
_DEVICE = "cuda:0"  # as lm-eval's command line, which means a CPU where there is no such device
_LONGEST_REASON = 300  # characters
#: What transformers, peft and torch raise for what is no model, or does not fit.
_FAILURES = (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError, SafetensorError)


@dataclass(frozen=True, slots=True)
class AskedModel:
    """A model by folder or Hub name, with an adapter and an intervention where it has them."""

    name: str
    peft: str | None = None
    intervention: Path | None = None

    def arguments(self) -> dict[str, Any]:
        """Return what ``detox-hf`` is loaded with."""
        extra = {"peft": self.peft, "intervention": self.intervention}
        return {"pretrained": self.name} | {k: str(v) for k, v in extra.items() if v is not None}


@dataclass(frozen=True, slots=True)
class Settings:
    """How both models are asked; ``limit`` documents a task, all where None."""

    limit: int | None = None
    batch_size: str = "16"
    num_fewshot: int | None = None


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """What a model is, as its run folders say it, and what it reached in each task."""

    name: str
    identity: Mapping[str, Any]
    results: list[TaskResult]

    def as_json(self) -> dict[str, Any]:
        """Return name and identity."""
        return {"name": self.name, **self.identity}


def check_model(model: AskedModel) -> None:
    """Raise ``DetoxBenchError`` for what cannot be a model or an intervention, without weights."""
    given = SimpleNamespace(
        model="detox-hf", output_path=None, model_args=model.arguments(), tasks=None
    )
    check(given, {})
    with _no_model(model.name):
        AutoConfig.from_pretrained(model.name, trust_remote_code=False)
    adapter = Path(model.peft or "")
    if model.peft and adapter.is_dir() and not (adapter / "adapter_config.json").is_file():
        raise DetoxBenchError(
            f"--peft {adapter} has no adapter_config.json. Give the folder of an adapter; a whole "
            "model is named as MODEL."
        )


def measure_model(
    asked: AskedModel, tasks: Mapping[str, Any], settings: Settings, keep: Path | None
) -> MeasuredModel:
    """Return what a model reaches in ``tasks``, from ``keep`` where it is known already.

    Raises ``DetoxBenchError`` for a model that cannot be loaded, or whose answers are no numbers.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DetoxBenchError("capability runs in one process: start it without accelerate launch.")
    setup_logging(logging.ERROR)
    model = _load(asked, settings)
    try:
        information = model.get_model_info()
        identity = {name: information[name] for name in IDENTITY if name in information}
        results = []
        for name in tqdm(tasks, desc=f"Tasks of {Path(asked.name).name}", unit="task"):
            kept = KeptResult(
                keep, asked.name, result_key(name, tasks[name], identity, asdict(settings))
            )
            if (result := kept.read()) is None:
                result = _measured(model, name, tasks[name], settings)
                kept.write(result)
            results.append(result)
    finally:
        del model
        gc.collect()  # the hooks of an intervention and its model hold each other
        torch.cuda.empty_cache()
    return MeasuredModel(asked.name, identity, results)


def _load(asked: AskedModel, settings: Settings) -> DetoxHFLM:
    with _no_model(asked.name):
        return DetoxHFLM(device=_DEVICE, batch_size=settings.batch_size, **asked.arguments())


@contextmanager
def _no_model(name: str) -> Iterator[None]:
    """Say in a sentence that ``name`` is no model."""
    try:
        yield
    except DetoxBenchError:
        raise
    except _FAILURES as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise DetoxBenchError(
            f"{name} cannot be loaded as a causal language model with its tokenizer: {reason} "
            "Give a model's folder or its name on the Hub."
        ) from error


def _measured(model: DetoxHFLM, name: str, task: Any, settings: Settings) -> TaskResult:
    """Ask a model all documents of a task, as lm-eval's command line would."""
    # The same examples, and draws, for every model; the sampler goes on where it was.
    task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
    torch.manual_seed(DEFAULT_OTHER_SEED)
    without_bar = mock.patch("lm_eval.api.task.tqdm", lambda items, **_: items)
    quiet = redirect_stdout(sys.stderr)
    with without_bar, quiet, _memory_told(settings), watching() as cut:
        found = evaluate(
            lm=model,
            task_dict={"tasks": {name: task}},
            limit=settings.limit,
            bootstrap_iters=0,
            log_samples=True,
        )
    task._instances = []  # not needed any more, and large
    assert found is not None, "this is the only process"
    samples = found["samples"][name]
    _check_numbers(model, name, samples)
    first = samples[0]["filter"]
    return TaskResult(
        task=name,
        version=found["versions"].get(name),
        num_fewshot=int(found["n-shot"].get(name) or 0),
        cut=cut.heard,
        items=_items([each["doc"] for each in samples if each["filter"] == first]),
        metrics=dict(_metrics(task, found, samples)),
    )


@contextmanager
def _memory_told(settings: Settings) -> Iterator[None]:
    """Say in a sentence that the device's memory was too small."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DetoxBenchError(
            f"The device has too little memory for --batch_size {settings.batch_size}. Give a "
            "smaller one; the tasks that are done are kept in the folder of --output."
        ) from error


def _metrics(
    task: Any, found: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]
) -> Iterable[tuple[str, TaskMetric]]:
    """Yield the metrics of a task that are one number, each with what it is made of."""
    (name,) = found["results"]
    for filter_name in dict.fromkeys(each["filter"] for each in samples):
        part = [each for each in samples if each["filter"] == filter_name]
        for metric in part[0]["metrics"]:
            value = found["results"][name].get(f"{metric},{filter_name}")
            if not isinstance(value, int | float) or math.isnan(value):
                continue
            kind, rows = _rows(task, metric, [each.get(metric) for each in part], float(value))
            higher = found["higher_is_better"].get(name, {}).get(metric)
            label = metric if filter_name == "none" else f"{metric},{filter_name}"
            yield label, TaskMetric(float(value), higher, kind, rows)


def _rows(
    task: Any, metric: str, values: list[Any], reported: float
) -> tuple[str | None, list[list[float]] | None]:
    """Return how a metric comes from its documents, and their rows; None where that is not known.

    What is a number a document is the mean of them only if lm-eval's number says so.
    """
    if isinstance(task, TranslationTask) and metric in SCORES:
        return metric, task.counts(metric, values)
    if all(isinstance(value, int | float) for value in values):
        mean = math.fsum(values) / len(values)
        if math.isclose(mean, reported, rel_tol=1e-9, abs_tol=1e-12):
            return MEAN, [[float(value)] for value in values]
    return None, None


def _items(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name a document: its id in the data set, or else its number."""
    for field in _NAMES:
        names = [each.get(field) for each in documents if isinstance(each, Mapping)]
        if None not in names and len(set(map(str, names))) == len(documents):
            return [str(name) for name in names]
    return [str(number) for number in range(len(documents))]


def _check_numbers(model: DetoxHFLM, name: str, samples: Sequence[Mapping[str, Any]]) -> None:
    """Raise for log-likelihoods that are NaN: the best of them would be any."""
    answers = (answer for each in samples for asked in each["resps"] for answer in asked)
    numbers = (answer[0] if isinstance(answer, tuple | list) else answer for answer in answers)
    if any(isinstance(number, float) and math.isnan(number) for number in numbers):
        raise DetoxBenchError(
            f"The log-likelihoods of {model.tokenizer_name} in {name} are not numbers (NaN): its "
            "weights are broken, or too large for their type."
        )
