"""Results of tasks kept in a folder, so that no model is asked the same twice.

A file a model and task, written whole when the task is done: a process that dies loses the task in
progress. It is found again only by all that the result depends on.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from detox_bench import __version__
from detox_bench.data.store import content_sha256
from detox_bench.runs import digest, write_json
from detox_bench.task_results import TaskResult

logger = logging.getLogger(__name__)

_SCHEMA = 1
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of an object in memory


@dataclass(frozen=True, slots=True)
class KeptResult:
    """The place of one result below ``folder``; None keeps nothing.

    ``model`` is a name for people; ``key`` is of ``result_key``.
    """

    folder: Path | None
    model: str
    key: Mapping[str, Any]

    @property
    def file(self) -> Path | None:
        """Return the file it is, or would be, in."""
        if self.folder is None:
            return None
        below = f"{Path(self.model).name}-{digest(self.key['model'])[:8]}"
        return (
            self.folder / "capability" / below / f"{self.key['task']}-{digest(self.key)[:8]}.json"
        )

    def read(self) -> TaskResult | None:
        """Return the result; None where there is none, or where it is damaged."""
        if self.file is None or not self.file.exists():
            return None
        try:
            found = json.loads(self.file.read_text("utf-8"))
            return TaskResult.of(found["result"]) if found["key"] == self.key else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s is damaged and is made anew: %s", self.file, error)
            return None

    def write(self, result: TaskResult) -> None:
        """Keep the result. Raises ``BadRunFolder``."""
        if self.file is not None:
            found = {"schema": _SCHEMA, "key": dict(self.key), "result": asdict(result)}
            write_json(self.file, found)


def result_key(
    name: str, task: Any, identity: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all that a task's result depends on, as JSON.

    ``identity`` is the model's, ``settings`` how it is asked; ``limit`` among them says how many
    documents are.
    """
    asked = enumerate(islice(task.eval_docs, settings["limit"]))
    configuration = {k: v for k, v in task.dump_config().items() if k != "metadata"}
    return {
        "model": dict(identity),
        "task": name,
        "version": str(task.VERSION),
        "configuration": digest(_text(configuration)),
        "documents": content_sha256((str(number), _text(doc)) for number, doc in asked),
        "settings": dict(settings),
        "versions": {"lm_eval": version("lm_eval"), "detox_bench": __version__},
    }


def _text(value: object) -> str:
    """Return any value of a document or task file as text, the same in every process."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=repr)
    return _ADDRESS.sub("", text)
