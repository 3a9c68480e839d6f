"""``detox-bench eval``: lm-eval's own command line with our tasks and models in it.

All that depends on lm-eval's internals (its private ``_cli``, the registry) is in this module.
"""

import fnmatch
import functools
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from detox_bench.errors import DetoxBenchError
from detox_bench.locations import tasks_path
from detox_bench.scorers.table import scorer_row
from detox_bench.summary import COLUMNS, PromptMetrics, Row, summarise

#: Our models as lm-eval's ``--model`` knows them: ``module:Class``, imported when asked for.
MODELS = {"detox-hf": "detox_bench.harness.model:DetoxHFLM"}

_COMMANDS = ("run", "ls", "validate")


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """Our own options of ``detox-bench eval``; each becomes ``--metadata`` of lm-eval."""

    scorer: str | None = None
    prompts: str | None = None
    subset: str | None = None

    def metadata(self) -> dict[str, str]:
        """Return what the tasks read (``harness.tasks.TaskOptions``)."""
        given = {"scorer": self.scorer, "prompts": self.prompts, "subset": self.subset}
        return {f"detox_{name}": value for name, value in given.items() if value is not None}


def evaluate(arguments: Sequence[str], options: EvalOptions) -> Mapping[str, Any] | None:
    """Run lm-eval with ``arguments`` and return its results; None for ``ls`` and ``validate``.

    Raises ``DetoxBenchError`` before anything is loaded where the command cannot work.
    """
    if options.scorer is not None:
        scorer_row(options.scorer)
    args, cli = _parse(arguments)
    if not hasattr(args, "include_path"):
        cli.execute(args)
        return None
    config = _config_file(args)
    _include_tasks(args, config)
    if getattr(args, "command", None) in (None, "run"):
        _check(args, config)
        _add_metadata(args, options, config)
        _keep_generations(args, config)
    _index_only_ours(args, config)
    with _Captured() as captured:
        cli.execute(args)
    return captured.results


def _parse(arguments: Sequence[str]) -> tuple[Any, Any]:
    import lm_eval.models  # noqa: F401  built-ins come first: they are skipped if any is registered
    from lm_eval._cli import HarnessCLI
    from lm_eval.api.registry import model_registry
    from lm_eval.utils import setup_logging

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)
    setup_logging()
    if not arguments or arguments[0] not in _COMMANDS:
        arguments = ["run", *arguments]
    sys.argv = ["detox-bench eval", *arguments]
    cli = HarnessCLI()
    return cli.parse_args(), cli


def _config_file(args: Any) -> dict[str, Any]:
    """Return what ``--config`` holds, since lm-eval lets the command line override it whole."""
    path = getattr(args, "config", None)
    if not path:
        return {}
    try:
        return dict(yaml.safe_load(Path(path).read_text("utf-8")) or {})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DetoxBenchError(f"--config {path} cannot be read as YAML: {error}") from error


def _include_tasks(args: Any, config: dict[str, Any]) -> None:
    """Put our task folder before the folders that the user includes."""
    theirs = args.include_path or config.get("include_path") or []
    theirs = [theirs] if isinstance(theirs, str | Path) else list(theirs)
    args.include_path = [str(tasks_path()), *map(str, theirs)]


def _check(args: Any, config: dict[str, Any]) -> None:
    """Refuse what would fail, or mislead, only after hours."""
    if getattr(args, "cache_requests", None):
        raise DetoxBenchError(
            "--cache_requests forgets sampling settings (lm-eval issue 3881) and would reuse stale "
            "ones. Leave it out; detox-hf keeps its continuations in the output folder."
        )
    output = args.output_path or config.get("output_path")
    if getattr(args, "log_samples", None) and not output:
        raise DetoxBenchError("--log_samples needs --output_path, the folder to write to.")
    if output:
        check_writable(Path(output))


def check_writable(folder: Path) -> None:
    """Raise ``DetoxBenchError`` if nothing can be written below ``folder``."""
    probe = folder / f".detox-bench-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        raise DetoxBenchError(
            f"Cannot write to {folder}: {error.strerror or error}. Name another --output_path."
        ) from error


def _add_metadata(args: Any, options: EvalOptions, config: dict[str, Any]) -> None:
    """Merge our options into ``--metadata``, which wins where both are given."""
    theirs = args.metadata or config.get("metadata") or {}
    if isinstance(theirs, str):
        theirs = json.loads(theirs)
    if merged := {**options.metadata(), **theirs}:
        args.metadata = merged


def _keep_generations(args: Any, config: dict[str, Any]) -> None:
    """Give ``detox-hf`` a run folder below the output folder, unless the user named one."""
    model, output, model_args = (
        getattr(args, name) or config.get(name) for name in ("model", "output_path", "model_args")
    )
    if model == "detox-hf" and output and isinstance(model_args, dict):
        args.model_args = {"run_folder": str(Path(output) / "run"), **model_args}


def _index_only_ours(args: Any, config: dict[str, Any]) -> None:
    """Do not read lm-eval's 14,000 task files where all that is asked for is ours."""
    asked = getattr(args, "tasks", None)
    if not asked or config:
        return
    import lm_eval.tasks

    parts = [asked] if isinstance(asked, str) else asked
    patterns = [pattern for part in parts for pattern in part.split(",")]
    ours = lm_eval.tasks.TaskManager(include_defaults=False, include_path=args.include_path)
    if all(fnmatch.filter(ours.all_tasks, pattern) for pattern in patterns):
        lm_eval.tasks.TaskManager = functools.partial(
            lm_eval.tasks.TaskManager, include_defaults=False
        )


class ToxicityRows(NamedTuple):
    """The toxicity tasks among the results of a command, as a table to print."""

    rows: list[Row]
    title: str
    caption: str


def toxicity_rows(results: Mapping[str, Any] | None) -> ToxicityRows | None:
    """Return the toxicity table of what ``evaluate`` returned; None if it holds no such task."""
    if not results:
        return None
    found: dict[str, list[PromptMetrics]] = {}
    info: dict[str, Any] = {}
    for task, samples in (results.get("samples") or {}).items():
        metadata = results["configs"][task].get("metadata") or {}
        if "detox_scorer_info" in metadata:
            info = metadata
            for sample in samples:
                found.setdefault(sample["doc"]["language"], []).append(_numbers(sample))
    if not found:
        return None
    prompts, scorer = info["detox_prompt_set"], info["detox_scorer_info"]
    title = f"Toxicity of {results['config'].get('model_name', results['config']['model'])}"
    caption = (
        f"Prompts: {prompts['name']} {prompts['release']} ({prompts['subset']}). Scorer: "
        f"{scorer['id']}, toxic from {scorer['threshold']}. 95 % bootstrap intervals over prompts."
    )
    return ToxicityRows(summarise(found), title, caption)


def _numbers(sample: Mapping[str, Any]) -> PromptMetrics:
    return {name: sample[name] for name in COLUMNS if name in sample}


class _Captured:
    """Keeps what ``lm_eval.simple_evaluate`` returns, which its command line only prints."""

    results: Mapping[str, Any] | None = None

    def __enter__(self) -> "_Captured":
        import lm_eval
        from lm_eval.evaluator import simple_evaluate

        @functools.wraps(simple_evaluate)
        def capture(*args: Any, **kwargs: Any) -> Any:
            found = simple_evaluate(*args, **kwargs)
            self.results = dict(found) if found else None  # the caller takes the samples out
            return found

        self._before = lm_eval.__dict__.get("simple_evaluate")
        lm_eval.simple_evaluate = capture
        return self

    def __exit__(self, *_: object) -> None:
        import lm_eval

        if self._before is None:
            del lm_eval.simple_evaluate
        else:
            lm_eval.simple_evaluate = self._before
