"""Where packaged files lie."""

from importlib.util import find_spec
from pathlib import Path

from detox_bench.errors import DetoxBenchError


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
