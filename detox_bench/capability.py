"""What a detoxification cost: two models on the same documents of the same tasks, paired.

A metric is compared by its values a document where it is their mean, and by counts that add up
where it is the score of a corpus (``corpus_scores``); of any other metric only the two numbers are
told. Documents that several tasks have, as translations of one question, are one item: draws
and tests of means take them together.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.comparison import FEWEST, interval_json
from detox_bench.corpus_scores import SCORES, PairedCounts, exchange_p, mean_change
from detox_bench.errors import DetoxBenchError
from detox_bench.statistics import Interval, holm, mean_of_groups
from detox_bench.task_results import MEAN, TaskMetric, TaskResult

#: A task is surely worse where its corrected p lies below this.
LEVEL = 0.05


class CapabilityRow(NamedTuple):
    """One metric before and after, of a task, or the unweighted mean over ``n_tasks`` of a family.

    ``n`` counts documents. ``difference`` is None, and the p values NaN, where nothing can be
    paired. ``p_holm`` is corrected over the rows of the same metric, means apart. ``cut`` says
    whether a document was cut to the window of either model.
    """

    name: str
    family: str | None
    metric: str
    higher_is_better: bool | None
    n: int
    n_tasks: int
    base: float
    model: float
    difference: Interval | None
    p: float
    p_holm: float = math.nan
    version: Any = None
    num_fewshot: int | None = None
    cut: bool = False

    @property
    def loss(self) -> float:
        """How far the metric is worse than before, below 0 where it is better; NaN if unknown."""
        if self.difference is None or self.higher_is_better is None:
            return math.nan
        return -self.difference.estimate if self.higher_is_better else self.difference.estimate

    @property
    def surely_worse(self) -> bool:
        """Whether the metric is worse, by the corrected test."""
        return self.loss > 0 and self.p_holm < LEVEL

    @property
    def surely_better(self) -> bool:
        """Whether the metric is better, by the corrected test."""
        return self.loss < 0 and self.p_holm < LEVEL


class Capability(NamedTuple):
    """The rows of tasks, and those of means over the tasks of a family."""

    tasks: list[CapabilityRow]
    means: list[CapabilityRow]


class Verdict(NamedTuple):
    """How many tasks could be tested, and which tasks and means are surely worse than before."""

    tested: int
    worse: tuple[str, ...]
    worse_means: tuple[str, ...]


class _Paired(NamedTuple):
    """One metric of one task of two models; ``cut`` as in ``TaskResult``, of either."""

    task: TaskResult
    cut: bool
    base: TaskMetric
    model: TaskMetric
    counts: PairedCounts | None


def pair(
    base: Sequence[TaskResult],
    model: Sequence[TaskResult],
    families: Mapping[str, str | None],
) -> Capability:
    """Return a row a task and metric, and a mean a family of at least two tasks and metric.

    ``families`` has the family of each task. Raises ``DetoxBenchError`` where the models were not
    asked the same documents.
    """
    paired = [each for one, other in _same_tasks(base, model) for each in _pairs(one, other)]
    tasks = [
        _row(name, families.get(each.task.task), metric, [each]) for name, metric, each in paired
    ]
    groups: dict[tuple[str, str], list[_Paired]] = {}
    for name, metric, each in paired:
        if (family := families.get(name)) is not None:
            groups.setdefault((family, metric), []).append(each)
    means = [_row(MEAN, *key, found) for key, found in groups.items() if len(found) > 1]
    return Capability(_corrected(tasks), _corrected(means))


def verdict(found: Capability) -> Verdict:
    """Say which tasks and which means are surely worse than before."""
    tested = {row.name for row in found.tasks if not math.isnan(row.loss)}
    worse = dict.fromkeys(row.name for row in found.tasks if row.surely_worse)
    means = dict.fromkeys(str(row.family) for row in found.means if row.surely_worse)
    return Verdict(len(tested), tuple(worse), tuple(means))


def largest_loss_left_open(found: Capability) -> tuple[float, CapabilityRow] | None:
    """Return the worst loss, in shares, that the intervals of tasks do not exclude, and its row.

    Of metrics that are shares of documents only; None where there is no interval.
    """
    open_losses = []
    for row in found.tasks:
        if row.difference is not None and row.higher_is_better is not None and _share(row):
            bound = -row.difference.low if row.higher_is_better else row.difference.high
            open_losses.append((bound, row))
    known = [each for each in open_losses if not math.isnan(each[0])]
    return max(known, key=lambda each: each[0], default=None)


def warnings(found: Capability) -> list[str]:
    """Return a sentence for each thing that the rows of tasks must be read with."""
    few = dict.fromkeys(row.name for row in found.tasks if row.n < FEWEST)
    cut = dict.fromkeys(row.name for row in found.tasks if row.cut)
    whole = [f"{row.name} {row.metric}" for row in found.tasks if row.difference is None]
    told = {
        f"fewer than {FEWEST} documents say nothing": few,
        "documents were cut to the model's window": cut,
        "no value a document, so no interval and no test": whole,
    }
    return [f"{what}: {', '.join(names)}." for what, names in told.items() if names]


def as_json(rows: Iterable[CapabilityRow]) -> list[dict[str, Any]]:
    """Return rows of tasks, or of means, as JSON; numbers that do not exist are null."""
    return [_row_json(row) for row in rows]


def _same_tasks(
    base: Sequence[TaskResult], model: Sequence[TaskResult]
) -> Iterable[tuple[TaskResult, TaskResult]]:
    others = {each.task: each for each in model}
    for one in base:
        other = others.get(one.task)
        if other is None or (one.items, one.version) != (other.items, other.version):
            raise DetoxBenchError(
                f"The two models were not asked the same documents of {one.task}. Evaluate both "
                "with the same tasks and settings."
            )
        yield one, other


def _pairs(one: TaskResult, other: TaskResult) -> Iterable[tuple[str, str, _Paired]]:
    """Yield task, metric and both models' values of each metric that both have."""
    for name, before in one.metrics.items():
        if name in other.metrics:
            after = other.metrics[name]
            counts = _counts(one.items, before, after)
            yield one.task, name, _Paired(one, one.cut or other.cut, before, after, counts)


def _counts(items: Sequence[str], before: TaskMetric, after: TaskMetric) -> PairedCounts | None:
    if before.rows is None or after.rows is None or before.kind != after.kind:
        return None
    return PairedCounts(items, *(np.asarray(each.rows, dtype=float) for each in (before, after)))


def _row(name: str, family: str | None, metric: str, paired: Sequence[_Paired]) -> CapabilityRow:
    """Return the row of one task, or of the mean over several that have the metric."""
    first = paired[0]
    difference, p = _tested(first.base.kind, [each.counts for each in paired])
    one_task = len(paired) == 1
    return CapabilityRow(
        name=first.task.task if one_task else name,
        family=family,
        metric=metric,
        higher_is_better=first.base.higher_is_better,
        n=sum(len(each.task.items) for each in paired),
        n_tasks=len(paired),
        base=float(np.mean([each.base.value for each in paired])),
        model=float(np.mean([each.model.value for each in paired])),
        difference=difference,
        p=p,
        version=first.task.version if one_task else None,
        num_fewshot=first.task.num_fewshot if one_task else None,
        cut=any(each.cut for each in paired),
    )


def _tested(
    kind: str | None, counts: Sequence[PairedCounts | None]
) -> tuple[Interval | None, float]:
    """Return the mean change over tasks with its interval, and its p; None and NaN without rows."""
    known = [each for each in counts if each is not None]
    if kind is None or len(known) < len(counts):
        return None, math.nan
    if kind == MEAN:
        return mean_of_groups([(each.items, _gaps(each)) for each in known])
    return mean_change(known, SCORES[kind]), exchange_p(known, SCORES[kind])


def _gaps(counts: PairedCounts) -> NDArray[np.float64]:
    return np.asarray((counts.after - counts.before)[:, 0])


def _corrected(rows: Sequence[CapabilityRow]) -> list[CapabilityRow]:
    """Set ``p_holm``, corrected over the rows that have the same metric."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row.metric, []).append(row.p)
    corrected = {metric: iter(holm(found)) for metric, found in values.items()}
    return [row._replace(p_holm=next(corrected[row.metric])) for row in rows]


def _share(row: CapabilityRow) -> bool:
    return row.metric.partition(",")[0] not in SCORES


def _row_json(row: CapabilityRow) -> dict[str, Any]:
    difference = None if row.difference is None else interval_json(row.difference)
    numbers = {name: _number(getattr(row, name)) for name in ("base", "model", "p", "p_holm")}
    known = {"family": row.family, "metric": row.metric, "higher_is_better": row.higher_is_better}
    found = {**known, "n": row.n, **numbers, "difference": difference}
    found |= {"surely_worse": row.surely_worse, "cut": row.cut}
    if row.n_tasks > 1:
        return {**found, "tasks": row.n_tasks}
    return {"task": row.name, **found, "version": row.version, "num_fewshot": row.num_fewshot}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
