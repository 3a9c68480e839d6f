"""Where things lie: packaged files, and the user's data folder."""

import os
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from detox_bench.errors import DetoxBenchError


def data_folder() -> Path:
    """Return the folder of all stores: ``$DETOX_BENCH_DATA``, else the user's data folder."""
    chosen = os.environ.get("DETOX_BENCH_DATA")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("detox-bench"))


def file_name(scorer_id: str) -> str:
    """Return a scorer's id with every character that a file name may not hold replaced."""
    return "".join(c if c.isalnum() or c in "-_.@#" else "_" for c in scorer_id)


def package_folder(name: str) -> Path:
    """Return the folder of an installed package, without importing it if it has no parent."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise DetoxBenchError(f"The package {name} is not installed: pip install detox-bench.")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def tasks_path() -> Path:
    """Return the folder of the task files.

    Where a plain install is shadowed by the ``detox_bench`` folder of a checkout, that checkout's
    own ``tasks/`` is meant.
    """
    try:
        return package_folder("detox_bench.tasks")
    except DetoxBenchError:
        beside = package_folder("detox_bench").parent / "tasks"
        if not beside.is_dir():
            raise
        return beside
