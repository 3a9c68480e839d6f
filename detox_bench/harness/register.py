"""Make the tasks known to the stock ``lm_eval`` command, and take them away again.

lm-eval 0.4.13 finds tasks in its own folder only. ``register`` writes one file there for each of
our task files, with a single ``include`` line; ``unregister`` removes just the folder it wrote.
"""

import json
import shutil
from pathlib import Path

from detox_bench.errors import DetoxBenchError
from detox_bench.locations import package_folder, tasks_path

_MARK = ".written-by-detox-bench"


def stub_folder() -> Path:
    """Return the folder inside lm-eval that holds our includes."""
    folder = package_folder("lm_eval")
    if not (folder / "__init__.py").is_file():
        raise DetoxBenchError(
            f"What is left of lm-eval in {folder} is no package. Delete that folder, then run: "
            "pip install lm-eval"
        )
    return folder / "tasks" / "detox_bench"


def register() -> int:
    """Write the includes anew and return their number."""
    unregister()
    folder, tasks = stub_folder(), tasks_path()
    files = sorted(tasks.rglob("*.yaml"))
    try:
        folder.mkdir()
        (folder / _MARK).touch()
        for file in files:
            name = "__".join(file.relative_to(tasks).parts)
            (folder / name).write_text(f"include: {json.dumps(str(file))}\n", "utf-8")
    except OSError as error:
        raise DetoxBenchError(_refused(folder, error)) from error
    return len(files)


def unregister() -> bool:
    """Remove the includes and return whether there were any."""
    folder = stub_folder()
    if not (folder / _MARK).exists():
        if folder.exists():
            raise DetoxBenchError(
                f"{folder} was not written by detox-bench and is left alone. Move it away first."
            )
        return False
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise DetoxBenchError(_refused(folder, error)) from error
    return True


def _refused(folder: Path, error: OSError) -> str:
    return (
        f"Cannot write to {folder}: {error.strerror or error}. Without registering, use: "
        'lm_eval --include_path "$(detox-bench tasks-path)" ...'
    )
