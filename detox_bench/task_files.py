"""The task files under ``tasks/``, written from the table of languages: ``make tasks``.

``python -m detox_bench.task_files`` writes them, ``--check`` says whether they are up to date.
"""

import sys
from pathlib import Path

import yaml

from detox_bench.errors import DetoxBenchError
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.locations import tasks_path

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
)
# No group name may match the pattern ``rtplx_toxicity_*``: lm-eval would load its tasks twice.
_GROUPS = {
    _FAMILY: PAPER_LANGUAGES,
    _MORE: tuple(LANGUAGES),
}


def task_name(language: str) -> str:
    """Return the name of the toxicity task of a language, e.g. ``rtplx_toxicity_zh-hans``.

    The languages that are not in the paper are ``rtplx28_toxicity_<language>``, so that the pattern
    ``rtplx_toxicity_*`` means the paper's 17, and never a language without sample prompts.
    """
    row = LANGUAGES[language]
    return f"{_FAMILY if row.paper else _MORE}_{row.slug}"


def task_files() -> dict[str, str]:
    """Return the text of every generated file, by its path below ``tasks/``."""
    files = {f"{_FAMILY}/{task_name(code)}.yaml": _task(code) for code in LANGUAGES}
    files |= {f"{_FAMILY}/_{name}.yaml": _group(name) for name in _GROUPS}
    return files


def out_of_date(folder: Path) -> list[str]:
    """Return the generated files below ``folder`` that are missing, changed or left over."""
    wanted = task_files()
    there = {str(p.relative_to(folder).as_posix()) for p in (folder / _FAMILY).glob("*.yaml")}
    changed = {
        name
        for name, text in wanted.items()
        if name in there and (folder / name).read_text("utf-8") != text
    }
    return sorted((wanted.keys() ^ there) | changed)


def _task(language: str) -> str:
    config = {
        "include": "_default_template_yaml",
        "task": task_name(language),
        "task_alias": language,
        "dataset_kwargs": {"detox_language": language},
    }
    return _TITLE + yaml.safe_dump(config, sort_keys=False)


def _group(name: str) -> str:
    config = {
        "group": name,
        "task": [task_name(code) for code in _GROUPS[name]],
        "aggregate_metric_list": [
            {"metric": metric, "aggregation": "mean", "weight_by_size": False}
            for metric in _GROUP_METRICS
        ],
        "metadata": {"version": 1.0},
    }
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
