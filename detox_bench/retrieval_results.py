"""Retrieval results of lm-eval, read back: a model, how it was asked, numbers by language."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import BadData, UnknownName, unknown_name
from detox_bench.languages import language
from detox_bench.retrieval_layer import METRICS

#: Means over layers, which are tried unless more is asked for. ``top1`` has both directions.
MEANS = ("top1", "mexa", "mrr", "margin_accuracy", "mean_cosine")

_TASK = re.compile(r"\w+_retrieval_(?P<language>[a-z]{2,3}(-[a-z]+)?)")


class Model(NamedTuple):
    """An evaluated model: the end of its path or name, the hashes of its weights and of an edit."""

    name: str
    weights: str | None
    intervention: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Retrieval results of one model, by language.

    ``settings`` is what must agree before two results are compared: sentences, their number,
    pooling. ``numbers`` are the summaries, ``curves`` the values a layer, by metric. ``weights`` is
    the sha256 of the model's where known, ``intervention`` the hash of an edit of its neurons;
    ``doubts`` names what was left out.
    """

    file: Path
    model: str
    settings: Mapping[str, Any]
    numbers: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Mapping[str, Sequence[float]]]
    weights: str | None = None
    doubts: Sequence[str] = ()
    intervention: str | None = None

    @property
    def layers(self) -> int:
        """Return how many layers every language has, embeddings too; 0 without curves."""
        lengths = [len(c.get(name, ())) for c in self.curves.values() for name in MEANS]
        return min(lengths, default=0)

    def predictors(self, which: str = "means") -> dict[str, dict[str, float]]:
        """Return the values of each predictor by language; ``which`` is a name of ``TRIED``.

        ``top1`` is a mean over layers, ``top1_best`` and ``top1_middle`` are the other summaries,
        ``top1@3`` is layer 3, where 0 are the embeddings. Raises ``UnknownName``.
        """
        if which not in TRIED:
            raise unknown_name("set of predictors", which, TRIED)
        return {
            name: {code: self.value(name, code) for code in self.numbers}
            for name in TRIED[which](self)
        }

    def value(self, predictor: str, code: str) -> float:
        """Return a predictor of one language; NaN where the results do not have it."""
        metric, _, layer = predictor.partition("@")
        if not layer:
            return self.numbers[code].get(predictor, math.nan)
        curve = self.curves[code].get(metric, ())
        return curve[int(layer)] if int(layer) < len(curve) else math.nan


def _means(_: Retrieval) -> list[str]:
    return list(MEANS)


def _summaries(retrieval: Retrieval) -> list[str]:
    return _means(retrieval) + [f"{name}_{part}" for part in ("best", "middle") for name in MEANS]


def _layers(retrieval: Retrieval) -> list[str]:
    """Return the summaries, and as many layers as every language has."""
    each = [f"{name}@{layer}" for name in MEANS for layer in range(retrieval.layers)]
    return _summaries(retrieval) + each


#: Which predictors are tried, by the name of the set; the correction counts them all.
TRIED: dict[str, Callable[[Retrieval], list[str]]] = {
    "means": _means,
    "summaries": _summaries,
    "layers": _layers,
}


def read_retrieval(path: Path) -> Retrieval:
    """Return the retrieval tasks in a results file of lm-eval, or in a folder with one such file.

    Languages with another number of sentences than most (RTP-LX has one less in Hebrew) are left
    out, and named among the doubts. Raises ``BadData`` for anything else, and where the tasks were
    not asked alike.
    """
    file = _results_file(path)
    content = _content(file)
    codes = {name: code for name in content["results"] if (code := _language_of(name))}
    if not codes:
        raise BadData(
            f"{file} has no retrieval task of a language, as flores_retrieval_de. Run `detox-bench "
            "eval --tasks flores_retrieval --output_path …` first."
        )
    tasks, doubts = _equally_many({name: _Task(content, name) for name in codes})
    numbers = {codes[name]: task.numbers() for name, task in tasks.items()}
    if not any(
        math.isfinite(each.get(name, math.nan)) for each in numbers.values() for name in MEANS
    ):
        why = next((task.failure for task in tasks.values() if task.failure), "all are NaN")
        raise BadData(f"The retrieval tasks in {file} have no result: {why}")
    curves = {codes[name]: task.curves() for name, task in tasks.items()}
    model = _model(content)
    settings = _settings(file, tasks)
    return Retrieval(
        file,
        model.name,
        settings,
        numbers,
        curves,
        model.weights,
        doubts,
        model.intervention,
    )


def evaluated_model(file: Path) -> Model:
    """Return the model of a results file of lm-eval. Raises ``BadData``."""
    return _model(_content(file))


class _Task:
    """One task in a results file."""

    def __init__(self, content: Mapping[str, Any], name: str) -> None:
        config = _object(_object(content.get("configs")).get(name))
        self.metadata = _object(config.get("metadata"))
        self.results = _object(content["results"][name])

    @property
    def failure(self) -> str:
        """Why there is no result, in the task's words."""
        return str(self.metadata.get("detox_no_result", ""))

    def numbers(self) -> dict[str, float]:
        """Return lm-eval's numbers by metric, without standard errors."""
        named = {key.removesuffix(",none"): value for key, value in self.results.items()}
        return {name: float(v) for name, v in named.items() if isinstance(v, int | float)}

    def curves(self) -> dict[str, list[float]]:
        """Return the values a layer; what is null is NaN."""
        found = _object(_object(self.metadata.get("detox_retrieval")).get("layers"))
        return {
            name: [math.nan if value is None else float(value) for value in curve]
            for name, curve in found.items()
            if name in METRICS and isinstance(curve, list)
        }

    def settings(self) -> dict[str, Any]:
        """Return what was asked."""
        pairs = _object(self.metadata.get("detox_pair_set"))
        asked = {name: pairs.get(name) for name in ("name", "release", "split", "source")}
        n = self.numbers().get("n", math.nan)
        pooling = self.metadata.get("detox_pooling_used")
        return asked | {"n": int(n) if math.isfinite(n) else None, "pooling": pooling}


def _equally_many(tasks: Mapping[str, _Task]) -> tuple[dict[str, _Task], list[str]]:
    """Return the tasks that have the n of more than half of them, and doubts that name the others.

    All of them where there is no such n.
    """
    counts = {name: task.settings()["n"] for name, task in tasks.items()}
    n, times = Counter(counts.values()).most_common(1)[0]
    if n is None or 2 * times <= len(tasks):
        return dict(tasks), []
    doubts = [
        f"{name} is left out: it is of {count or 'no'} sentences, most are of {n}."
        for name, count in counts.items()
        if count != n
    ]
    return {name: task for name, task in tasks.items() if counts[name] == n}, doubts


def _settings(file: Path, tasks: Mapping[str, _Task]) -> dict[str, Any]:
    """Return what all tasks share. Raises ``BadData`` where they were asked differently."""
    (first, wanted), *rest = ((name, task.settings()) for name, task in tasks.items())
    for name, found in rest:
        for key, value in found.items():
            if value != wanted[key]:
                raise BadData(
                    f"{first} and {name} in {file} were not asked alike: {key} is {wanted[key]!r} "
                    f"and {value!r}. Give results of one data set, pooling and --limit."
                )
    return wanted


def _language_of(task: str) -> str | None:
    """Return the code in a task's name; None for other tasks, and for groups."""
    match = _TASK.fullmatch(task)
    if match is None:
        return None
    try:
        return language(match["language"]).code
    except UnknownName:
        return None


def _results_file(path: Path) -> Path:
    if not path.exists():
        raise BadData(f"{path} does not exist. Give a results_….json of lm-eval, or its folder.")
    if path.is_file():
        return path
    files = sorted(path.rglob("results_*.json"))
    if len(files) != 1:
        listed = f", as {files[-1]}" if files else ""
        raise BadData(f"{path} holds {len(files)} results_….json{listed}. Name the one you mean.")
    return files[0]


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(
            f"{file} cannot be read as JSON ({error}). Give lm-eval's results."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise BadData(f"{file} is no results file of lm-eval: it has no 'results'.")
    return content


def _model(content: Mapping[str, Any]) -> Model:
    config = _object(content.get("config"))
    given = config.get("model_args") or ""
    if not isinstance(given, Mapping):
        given = dict(each.partition("=")[::2] for each in str(given).split(","))
    name = Path(str(given.get("pretrained") or config.get("model") or "model")).name
    return Model(name, config.get("weights_sha256"), config.get("intervention"))


def _object(value: Any) -> dict[str, Any]:
    """Return a JSON object, an empty one where there is something else."""
    return value if isinstance(value, dict) else {}
