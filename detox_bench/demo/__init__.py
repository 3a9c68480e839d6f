"""A tiny multilingual model of a toy world, for seeing the machinery run; and how it is made."""

from importlib.resources import as_file, files
from pathlib import Path


def model_path() -> Path:
    """Return the folder of the packaged demo model (weights, config, tokenizer, model card)."""
    with as_file(files("detox_bench.demo").joinpath("model")) as path:
        return path
