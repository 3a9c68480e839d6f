"""Which tasks capability is measured by, and how they are loaded.

To support another family of tasks, one a language, add a row to ``TASK_FAMILIES``.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets.exceptions import DatasetsError
from lm_eval.tasks import TaskManager

from detox_bench.data.flores import DATA_SET as FLORES
from detox_bench.data.store import read_manifest
from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.locations import package_folder, tasks_path

#: The families of arXiv 2406.16235, Table 3, in the translations of Okapi (Lai et al. 2023, arXiv
#: 2307.16039), and translation. Patterns are lm-eval's task names, ``{language}`` its codes.
TASK_FAMILIES: dict[str, tuple[str, ...]] = {
    "arc": ("arc_{language}",),
    "hellaswag": ("hellaswag_{language}",),
    "mmlu": ("m_mmlu_{language}",),
    "flores_translation": (
        "flores_translation_en-{language}",
        "flores_translation_{language}-en",
    ),
}
#: The languages of Table 3 that Okapi has.
LANGUAGES = ("vi", "ru", "hi", "zh")
#: Okapi's code and ours for the same language.
_SAME = {"zh": ("zh", "zh-hans"), "zh-hans": ("zh", "zh-hans")}
_ANY_LANGUAGE = ("[a-z][a-z]", "zh-han[st]")
_LONGEST_REASON = 200  # characters
#: In place of lm-eval's 14,000 names.
_INSTEAD = (
    f"We recommend the families {', '.join(TASK_FAMILIES)}; `detox-bench eval ls tasks` lists the "
    "tasks of lm-eval."
)
#: What datasets, the Hub and lm-eval raise for data that cannot be had, or a broken task file.
_FAILURES = (OSError, ValueError, KeyError, ImportError, DatasetsError)


class LoadedTasks(NamedTuple):
    """The tasks by name, the family of each, and what to mind."""

    tasks: Mapping[str, Any]
    families: Mapping[str, str | None]
    remarks: list[str]


class _Named(NamedTuple):
    """What was asked for, and the names of lm-eval's index that it means."""

    asked: str
    names: tuple[str, ...]
    remark: str | None = None


def load_tasks(
    asked: Sequence[str] | None,
    languages: Sequence[str],
    include: Sequence[Path],
    num_fewshot: int | None = None,
) -> LoadedTasks:
    """Load the ``asked`` tasks, groups, patterns and families; all families where None.

    Families are loaded in ``languages``. ``num_fewshot`` examples are shown; those of each task
    where None, and none in a task that says 0, as in lm-eval. Raises ``UnknownName`` for what is no
    task, and ``DetoxBenchError`` for data that cannot be had and for tasks that run a model's code.
    """
    for folder in include:
        if not folder.is_dir():
            raise DetoxBenchError(f"--include_path {folder} is no folder. Name one of task files.")
    wanted, remarks = _wanted(asked)
    index = _index(wanted, include)
    found = [_named(each, languages, index) for each in wanted]
    if not any(each.names for each in found):
        raise DetoxBenchError(
            f"No family has a task in {', '.join(languages)}. `detox-bench eval ls tasks` lists "
            "the tasks of lm-eval."
        )
    tasks: dict[str, Any] = {}
    families: dict[str, str | None] = {}
    for named in found:
        loaded = {k: v for name in named.names for k, v in _load(name, index).items()}
        for name, task in loaded.items():
            tasks.setdefault(name, _shown(task, num_fewshot))
            families.setdefault(name, _family(name, named.asked, len(loaded)))
    return LoadedTasks(tasks, families, [*remarks, *(each.remark for each in found if each.remark)])


def _wanted(asked: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return what is asked for, and what to mind where our sentences stand in for FLORES."""
    prepared = read_manifest(FLORES) is not None
    advice = "FLORES-200 is not prepared (`detox-bench data flores SOURCE`)"
    if asked is None:
        families = [each for each in TASK_FAMILIES if prepared or each != "flores_translation"]
        return families, [] if prepared else [f"{advice}: translation is left out."]
    wanted = list(dict.fromkeys(asked))
    stands_in = not prepared and any(each.startswith("flores_translation") for each in wanted)
    return wanted, [f"{advice}: translated are 40 sentences of our own."] if stands_in else []


def _index(wanted: Iterable[str], include: Sequence[Path]) -> TaskManager:
    """Return lm-eval's index; without its 14,000 task files where Okapi's and ours are enough."""
    okapi = package_folder("lm_eval") / "tasks" / "okapi"
    ours = [str(tasks_path()), *map(str, include)]
    few = TaskManager(include_defaults=False, include_path=[str(okapi), *ours])
    enough = {*few.all_tasks, *TASK_FAMILIES}
    return few if enough.issuperset(wanted) else TaskManager(include_path=list(ours))


def _named(asked: str, languages: Sequence[str], index: TaskManager) -> _Named:
    if asked in TASK_FAMILIES:
        return _of_family(asked, languages, set(index.all_tasks))
    names = tuple(fnmatch.filter(index.all_tasks, asked))
    if not names:
        raise unknown_name("task", asked, [*index.all_tasks, *TASK_FAMILIES], _INSTEAD)
    return _Named(asked, names)


def _of_family(family: str, languages: Sequence[str], known: set[str]) -> _Named:
    """Return the tasks of a family, and in words the languages that it lacks."""
    names: list[str] = []
    missing = []
    for language in languages:
        spellings = _SAME.get(language.lower(), (language.lower(),))
        possible = [p.format(language=s) for p in TASK_FAMILIES[family] for s in spellings]
        if not (found := [name for name in possible if name in known]):
            missing.append(language)
        names += found
    remark = f"{family} has no task in {', '.join(missing)}." if missing else None
    return _Named(family, tuple(dict.fromkeys(names)), remark)


def _family(name: str, asked: str, count: int) -> str | None:
    """Return the family of a task by its name, or else the group or pattern it was asked by."""
    for family, patterns in TASK_FAMILIES.items():
        exact = (p.format(language=any_) for p in patterns for any_ in _ANY_LANGUAGE)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in exact):
            return family
    return asked if count > 1 else None


def _load(name: str, index: TaskManager) -> dict[str, Any]:
    """Return the tasks that one name of the index stands for, with their data."""
    try:
        tasks = dict(index.load([name])["tasks"])
    except DetoxBenchError:
        raise
    except _FAILURES as error:
        raise DetoxBenchError(_not_loaded(name, index, error)) from error
    for each, task in tasks.items():
        if getattr(task, "UNSAFE_CODE", False):
            raise DetoxBenchError(f"{each} runs code that a model writes. Leave it out.")
    return tasks


def _shown(task: Any, num_fewshot: int | None) -> Any:
    """Return the task with its number of examples set, as lm-eval's command line sets it."""
    own = task.get_config("num_fewshot")
    task.set_config(
        key="num_fewshot", value=own or 0 if own == 0 or num_fewshot is None else num_fewshot
    )
    return task


def _not_loaded(name: str, index: TaskManager, error: Exception) -> str:
    settings = index.task_index[name].cfg or {}
    parts = (settings.get("dataset_path"), settings.get("dataset_name"))
    of = f"the data set {' '.join(map(str, filter(None, parts)))} of " if parts[0] else ""
    reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
    return (
        f"Cannot load {of}the task {name}: {reason}. With a network it is downloaded once; without "
        "one, name a cache that holds it by HF_HOME or HF_DATASETS_CACHE and set HF_HUB_OFFLINE=1."
    )
