"""The metrics as modules of evaluate: ``evaluate.load(str(path("prompt_toxicity")))``."""

from pathlib import Path

from detox_bench.errors import unknown_name

MODULES = ("prompt_toxicity", "distinct_n")


def path(name: str) -> Path:
    """Return the folder to give to ``evaluate.load``; raises ``UnknownName``."""
    if name not in MODULES:
        raise unknown_name("evaluate module", name, MODULES)
    return Path(__file__).parent / name
