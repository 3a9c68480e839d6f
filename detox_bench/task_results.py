"""What one model reached in one task: its metrics, and the documents that they are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: The kind of a metric that is the mean of a value a document.
MEAN = "mean"


@dataclass(frozen=True, slots=True)
class TaskMetric:
    """One metric of one task: the task's own number, and what it is made of.

    ``rows`` is ``(n, d)`` in the order of the task's items: with ``kind`` ``MEAN`` the value of
    each document (d = 1), with a name of ``corpus_scores.SCORES`` its counts; None where the task
    shows neither. ``higher_is_better`` is None where the task does not say.
    """

    value: float
    higher_is_better: bool | None
    kind: str | None
    rows: Sequence[Sequence[float]] | None


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What one model reached in one task; ``items`` is ``(n,)``, a name a document.

    ``cut`` says whether a document was cut to the model's window.
    """

    task: str
    version: Any
    num_fewshot: int
    items: Sequence[str]
    cut: bool
    metrics: Mapping[str, TaskMetric]

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "TaskResult":
        """Return the result that ``dataclasses.asdict`` made an object of."""
        metrics = {name: TaskMetric(**each) for name, each in found["metrics"].items()}
        return cls(**{**found, "metrics": metrics})
