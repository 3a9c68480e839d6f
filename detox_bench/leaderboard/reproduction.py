"""What ``repro.json`` says: commands, versions, seed and machine, and no path of that machine."""

import platform
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detox_bench.leaderboard.making import checked
from detox_bench.leaderboard.reproduction_schema import Reproduction
from detox_bench.run_records import RunRecord, versions
from detox_bench.typed_commands import without_secrets

_SCHEMA = "1"
#: An absolute path, of Windows too, that is no part of an address.
_PATH = re.compile(r"(?<![\w.:/~\\-])(?:~|[A-Za-z]:)?[/\\][^\s,;='\"]*")
_CPU_INFO = Path("/proc/cpuinfo")


def reproduction(record: RunRecord, perplexity_model: str | None) -> dict[str, Any]:
    """Return the JSON object of ``repro.json`` for a run.

    Raises ``BadData`` for what its schema does not allow, as a command of 10,000 letters.
    """
    fields = {
        "schema_version": _SCHEMA,
        "command": None if record.command is None else _shown_command(record.command),
        "model": without_paths(record.model),
        "prompts": list(record.prompts),
        "settings": record.settings,
        "seed": record.identity.get("seed"),
        "engine": record.identity.get("engine"),
        "dtype": record.identity.get("dtype"),
        "versions": dict(record.versions),
        "scored": {
            "on": machine(),
            "versions": versions(),
            "perplexity_model": without_paths(perplexity_model),
            "at": datetime.now(UTC).date().isoformat(),
        },
    }
    return checked(Reproduction, fields).model_dump(mode="json")


def _shown_command(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is not closed
        words = command.split()
    return str(without_paths(without_secrets(words)))


def without_paths(value: Any) -> Any:
    """Return JSON with every absolute path in its texts cut down to the last part."""
    if isinstance(value, str):
        return _PATH.sub(_last_part, value)
    if isinstance(value, Mapping):
        return {str(name): without_paths(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner) for inner in value]
    return value


def machine() -> dict[str, str | None]:
    """Return kind of system, processor and GPU; no name of a machine or a user."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "processor": _processor(),
        "gpu": _gpu(),
    }


def _last_part(found: re.Match[str]) -> str:
    return re.split(r"[/\\]", found.group().rstrip("/\\"))[-1] or found.group()[-1]


def _processor() -> str | None:
    try:
        lines = _CPU_INFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor()) or None


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
