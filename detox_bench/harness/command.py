"""``detox-bench eval``: lm-eval's own command line with our tasks and models in it.

All that depends on lm-eval's internals (its private ``_cli``, the registry) is in this module.
"""

import fnmatch
import functools
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from detox_bench.data.prompts import SOURCES, SUBSETS
from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.harness.options import check_options
from detox_bench.harness.refusals import check, check_saved, folder_of, given
from detox_bench.locations import tasks_path
from detox_bench.scorers.table import scorer_row
from detox_bench.task_files import toxicity_languages

#: Our models as lm-eval's ``--model`` knows them: ``module:Class``, imported when asked for.
MODELS = {"detox-hf": "detox_bench.harness.model:DetoxHFLM"}

#: What a name begins with that can only be a task of ours.
_OURS = ("rtplx", "flores_retrieval", "flores28", "flores_translation", "aligned200")
_INSTEAD = "`detox-bench eval ls tasks` lists them."  # in place of several hundred names
_COMMANDS = ("run", "ls", "validate")
_NO_MODEL = ("not a valid model identifier", "couldn't connect to", "no file named")


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """Our own options of ``detox-bench eval``; all but the last become lm-eval's ``--metadata``.

    ``quiet`` keeps lm-eval's tables and remarks off the terminal.
    """

    scorer: str | None = None
    prompts: str | None = None
    subset: str | None = None
    quiet: bool = False
    threshold: str | None = None
    strict: bool = False

    def metadata(self) -> dict[str, Any]:
        """Return what the tasks read (``harness.options``)."""
        given = {name: getattr(self, name) for name in ("scorer", "prompts", "subset", "threshold")}
        given["strict"] = self.strict or None
        return {f"detox_{name}": value for name, value in given.items() if value is not None}


def evaluate(arguments: Sequence[str], options: EvalOptions) -> Mapping[str, Any] | None:
    """Run lm-eval with ``arguments`` and return its results with samples, where it makes any.

    Raises ``DetoxBenchError`` before anything is loaded where the command cannot work.
    """
    if options.scorer is not None:
        scorer_row(options.scorer)
    started = time.time() - 1  # some file systems keep whole seconds
    with _loud(not options.quiet), mock.patch.object(sys, "argv", _argv(arguments)):
        args, cli = _parse()
        config = _config_file(args)
        if hasattr(args, "include_path"):
            _include_tasks(args, config)
        if args.command == "run":
            _check_names(args, config, options)
            check(args, config)
            _add_metadata(args, options, config)
            _keep_generations(args, config)
            _check_strict(args, config)
        with _indexed(args, config), _captured() as found:
            _execute(cli, args)
    if found and args.output_path:
        check_saved(Path(args.output_path), started)
    return found


def _check_names(args: Any, config: dict[str, Any], options: EvalOptions) -> None:
    """Raise ``DetoxBenchError`` for names in no table, before anything is loaded."""
    from lm_eval.api.registry import model_registry

    model, _, _ = given(args, config)
    asked = (("prompt source", options.prompts, SOURCES), ("subset", options.subset, SUBSETS))
    for what, name, table in (*asked, ("model", model, list(model_registry))):
        if name is not None and name not in table:
            raise unknown_name(what, name, table)
    if not (args.tasks or config.get("tasks")):
        raise DetoxBenchError("No task was named: --tasks 'rtplx_toxicity_*', for example.")
    if args.limit is not None and args.limit <= 0:
        raise DetoxBenchError(f"--limit {args.limit:g} leaves no prompt. Give 1 or more.")


def _argv(arguments: Sequence[str]) -> list[str]:
    command = [] if arguments and arguments[0] in _COMMANDS else ["run"]
    return ["detox-bench eval", *command, *arguments]


def _parse() -> tuple[Any, Any]:
    import lm_eval.models  # noqa: F401  built-ins come first: they are skipped if any is registered
    from lm_eval._cli import HarnessCLI
    from lm_eval.api.registry import model_registry

    for name, target in MODELS.items():
        if name not in model_registry:
            model_registry.register(name, target=target)
    cli = HarnessCLI()
    return cli.parse_args(), cli


@contextmanager
def _loud(loud: bool) -> Iterator[None]:
    """Set up lm-eval's log; keep it and all that lm-eval prints away unless ``loud``."""
    from lm_eval.utils import setup_logging

    setup_logging(logging.INFO if loud else logging.ERROR)
    if loud:
        yield
        return
    without_bar = mock.patch("lm_eval.api.task.tqdm", lambda items, **_: items)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), without_bar:
        yield


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


def _add_metadata(args: Any, options: EvalOptions, config: dict[str, Any]) -> None:
    """Merge our options into ``--metadata``, which wins where both are given."""
    theirs = args.metadata or config.get("metadata") or {}
    if isinstance(theirs, str):
        try:
            theirs = json.loads(theirs)
        except ValueError as error:
            raise DetoxBenchError(f"--metadata {theirs!r} is not JSON: {error}") from error
    if merged := {**options.metadata(), **theirs}:
        check_options(merged)
        args.metadata = merged


def _check_strict(args: Any, config: dict[str, Any]) -> None:
    """Refuse languages in which the scorer is not validated, all of them in one sentence."""
    metadata = args.metadata or {}
    if isinstance(metadata, dict) and metadata.get("detox_strict"):
        from detox_bench.harness.tasks import check_strict

        check_strict(metadata, toxicity_languages(_patterns(args.tasks or config["tasks"])))


def _patterns(asked: str | list[str]) -> list[str]:
    """Return the names and patterns in what ``--tasks`` was given."""
    parts = [asked] if isinstance(asked, str) else asked
    return [pattern.strip() for part in parts for pattern in part.split(",")]


def _keep_generations(args: Any, config: dict[str, Any]) -> None:
    """Give ``detox-hf`` a run folder and its own batch size, unless the user named others."""
    model, output, model_args = given(args, config)
    if model != "detox-hf":
        return
    if not (getattr(args, "batch_size", None) or "batch_size" in config):
        args.batch_size = "auto"  # lm-eval's own default is 1, fifty times slower
    if not isinstance(model_args, dict):
        return
    ours: dict[str, Any] = {}
    if getattr(args, "seed", None):
        ours["seed"] = args.seed[0] or 0
    if output:
        parts = [Path(str(model_args.get(each) or "")).name for each in ("pretrained", "peft")]
        parts.append(Path(str(model_args.get("intervention") or "")).stem)
        name = "+".join(filter(None, parts))
        ours["run_folder"] = str(folder_of(output) / "run" / name)
    args.model_args = {**ours, **model_args}


@contextmanager
def _indexed(args: Any, config: dict[str, Any]) -> Iterator[None]:
    """Do not read lm-eval's 14,000 task files where all that is asked for is ours."""
    import lm_eval.tasks

    asked = getattr(args, "tasks", None)
    if not asked or config or args.command != "run":
        yield
        return
    patterns = _patterns(asked)
    ours = lm_eval.tasks.TaskManager(include_defaults=False, include_path=args.include_path)
    unmatched = [each for each in patterns if not fnmatch.filter(ours.all_tasks, each)]
    for each in unmatched:
        if each.startswith(_OURS):
            raise unknown_name("task", each, ours.all_tasks, _INSTEAD)
    only_ours = functools.partial(lm_eval.tasks.TaskManager, include_defaults=False)
    manager = lm_eval.tasks.TaskManager if unmatched else only_ours
    with mock.patch.object(lm_eval.tasks, "TaskManager", manager):
        yield


@contextmanager
def _captured() -> Iterator[dict[str, Any]]:
    """Yield a dictionary that will hold the results, which lm-eval's command line only prints."""
    import lm_eval
    from lm_eval.evaluator import simple_evaluate

    results: dict[str, Any] = {}

    def capture(*args: Any, **kwargs: Any) -> Any:
        found = simple_evaluate(*args, **{**kwargs, "log_samples": True})
        results.update(found or {})
        if found and not kwargs.get("log_samples"):
            found.pop("samples", None)
        return found

    with mock.patch.object(lm_eval, "simple_evaluate", capture):
        yield results


def _execute(cli: Any, args: Any) -> None:
    try:
        cli.execute(args)
    except ValueError as error:
        if not str(error).startswith("Tasks not found"):
            raise
        raise DetoxBenchError(f"{error}. `detox-bench eval ls tasks` lists them.") from error
    except OSError as error:
        if not any(words in str(error) for words in _NO_MODEL):
            raise
        raise DetoxBenchError(f"The model cannot be loaded: {error}") from error
