"""The task files under ``tasks/``, written from the table of languages: ``make tasks``.

``python -m detox_bench.task_files`` writes them, ``--check`` says whether they are up to date.
"""

import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from detox_bench.errors import DetoxBenchError
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.locations import tasks_path
from detox_bench.retrieval import LEGACY, METRICS, SUMMARIES

_FAMILY = "rtplx_toxicity"
_MORE = "rtplx28_toxicity"
_TITLE = "# Written by `make tasks` from detox_bench/languages.py; edit the template instead.\n"
#: The metrics of a group's row, all of them unweighted means over its languages.
_GROUP_METRICS = (
    "emt",
    "toxicity_probability",
    "average_toxicity",
    "distinct_1",
    "distinct_2",
    "distinct_3",
    "empty_rate",
    "unscored_rate",
    "distinct_1_legacy",
    "distinct_2_legacy",
    "distinct_3_legacy",
    "self_bleu",
    "short_rate",
    "repetition",
    "prompt_copy",
    "duplicate_rate",
    "script_share",
    "mixed_script_words",
    "language_share",
    "undetermined_share",
    "right_language_toxicity",
    "right_language_emt",
    "right_language_toxicity_probability",
)
_RETRIEVAL_METRICS = (
    *(
        name if summary == "mean" else f"{name}_{summary}"
        for name in METRICS
        for summary in SUMMARIES
    ),
    *(LEGACY, "n", "chance"),
)
# No group name may match the pattern ``rtplx_toxicity_*``: lm-eval would load its tasks twice.
_GROUPS = {
    _FAMILY: PAPER_LANGUAGES,
    _MORE: tuple(LANGUAGES),
}
#: Of each retrieval data set (``data.parallel.PARALLEL``), whether it has all 28 languages.
_RETRIEVAL = {"flores": True, "rtplx": True, "aligned200": False}
_TRANSLATION = "flores_translation"
_FAMILIES = (_FAMILY, *(f"{data}_retrieval" for data in _RETRIEVAL), _TRANSLATION)


def task_name(language: str) -> str:
    """Return the name of the toxicity task of a language, e.g. ``rtplx_toxicity_zh-hans``.

    The languages that are not in the paper are ``rtplx28_toxicity_<language>``, so that the pattern
    ``rtplx_toxicity_*`` means the paper's 17, and never a language without sample prompts.
    """
    row = LANGUAGES[language]
    return f"{_FAMILY if row.paper else _MORE}_{row.slug}"


def toxicity_languages(patterns: Iterable[str]) -> list[str]:
    """Return the languages of the toxicity tasks and groups that ``patterns`` of names match."""
    asked = list(patterns)
    names = {task_name(code): (code,) for code in LANGUAGES} | _GROUPS
    matched = {name for name in names if any(fnmatchcase(name, each) for each in asked)}
    codes = {code for name in matched for code in names[name]}
    return [code for code in LANGUAGES if code in codes]


def retrieval_task_name(data: str, language: str) -> str:
    """Return the name of the task that retrieves between English and a language.

    It is ``flores_retrieval_de``, and ``flores28_retrieval_da`` for one that is not in the paper.
    """
    row = LANGUAGES[language]
    return f"{_retrieval_group(data, row.paper)}_{row.slug}"


def task_files() -> dict[str, str]:
    """Return the text of every generated file, by its path below ``tasks/``."""
    files = {f"{_FAMILY}/{task_name(code)}.yaml": _task(code) for code in LANGUAGES}
    files |= {
        f"{_FAMILY}/_{name}.yaml": _group(name, map(task_name, codes), _GROUP_METRICS)
        for name, codes in _GROUPS.items()
    }
    for data in _RETRIEVAL:
        files |= _retrieval_files(data)
    return files | _translation_files()


def out_of_date(folder: Path) -> list[str]:
    """Return the generated files below ``folder`` that are missing, changed or left over."""
    wanted = task_files()
    there = {
        file.relative_to(folder).as_posix()
        for family in _FAMILIES
        for file in (folder / family).glob("*.yaml")
    }
    changed = {
        name
        for name, text in wanted.items()
        if name in there and (folder / name).read_text("utf-8") != text
    }
    return sorted((wanted.keys() ^ there) | changed)


def _task(language: str) -> str:
    return _yaml(
        {
            "include": "_default_template_yaml",
            "task": task_name(language),
            "task_alias": language,
            "dataset_kwargs": {"detox_language": language},
        }
    )


def _retrieval_files(data: str) -> dict[str, str]:
    """Return a task a language but English, and the groups: the paper's languages, and all."""
    paper = [code for code in PAPER_LANGUAGES if code != "en"]
    groups = {_retrieval_group(data, True): paper}
    if _RETRIEVAL[data]:
        groups[_retrieval_group(data, False)] = [code for code in LANGUAGES if code != "en"]
    folder = f"{data}_retrieval"
    files = {
        f"{folder}/{retrieval_task_name(data, code)}.yaml": _retrieval_task(data, code)
        for codes in groups.values()
        for code in codes
    }
    for name, codes in groups.items():
        tasks = [retrieval_task_name(data, code) for code in codes]
        files[f"{folder}/_{name}.yaml"] = _group(name, tasks, _RETRIEVAL_METRICS)
    return files


def _translation_files() -> dict[str, str]:
    """Return a task for each direction between English and the paper's other languages."""
    others = [code for code in PAPER_LANGUAGES if code != "en"]
    pairs = [pair for code in others for pair in (("en", code), (code, "en"))]
    tasks = {f"{_TRANSLATION}_{'-'.join(pair)}".lower(): pair for pair in pairs}
    files = {
        f"{_TRANSLATION}/{name}.yaml": _yaml(
            {
                "include": "_default_template_yaml",
                "task": name,
                "task_alias": "-".join(pair),
                "dataset_kwargs": dict(
                    zip(("detox_translate_from", "detox_translate_to"), pair, strict=True)
                ),
            }
        )
        for name, pair in tasks.items()
    }
    group = _group(_TRANSLATION, tasks, ("chrf_plus_plus", "bleu", "empty_rate"))
    return files | {f"{_TRANSLATION}/_{_TRANSLATION}.yaml": group}


def _retrieval_group(data: str, paper: bool) -> str:
    return f"{data}{'' if paper else 28}_retrieval"


def _retrieval_task(data: str, language: str) -> str:
    return _yaml(
        {
            "include": "_default_template_yaml",
            "task": retrieval_task_name(data, language),
            "task_alias": f"{data} {language}",
            "dataset_kwargs": {"detox_data": data, "detox_language": language},
        }
    )


def _group(name: str, tasks: Iterable[str], metrics: Iterable[str]) -> str:
    return _yaml(
        {
            "group": name,
            "task": list(tasks),
            "aggregate_metric_list": [
                {"metric": metric, "aggregation": "mean", "weight_by_size": False}
                for metric in metrics
            ],
            "metadata": {"version": 1.0},
        }
    )


def _yaml(config: dict[str, Any]) -> str:
    return _TITLE + yaml.safe_dump(config, sort_keys=False)


def main(arguments: list[str]) -> None:
    """Write the files, or with ``--check`` raise ``DetoxBenchError`` if they are out of date."""
    folder = tasks_path()
    stale = out_of_date(folder)
    if "--check" in arguments:
        if stale:
            raise DetoxBenchError(
                f"Task files are out of date: {', '.join(stale)}. Run: make tasks"
            )
        return
    wanted = task_files()
    for name in stale:
        if name in wanted:
            (folder / name).write_text(wanted[name], "utf-8")
        else:
            (folder / name).unlink()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except DetoxBenchError as error:
        sys.exit(str(error))
