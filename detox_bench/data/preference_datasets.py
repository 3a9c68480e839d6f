"""Preference pairs that the ``datasets`` library reads: a saved folder, parquet, CSV, the Hub."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detox_bench.data.preference_formats import plain_draft
from detox_bench.data.preference_rows import Draft, ReadOptions, Row
from detox_bench.errors import BadData

HUB = "hub:"
FILE_BUILDERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json"}
SAVED = ("dataset_info.json", "dataset_dict.json")


def read_dataset(path: Path | str, options: ReadOptions) -> Iterator[Draft]:  # noqa: ARG001
    """Yield the pairs of a data set with the columns ``prompt``, ``chosen`` and ``rejected``.

    ``path`` is a folder of ``save_to_disk``, a parquet, CSV or JSON file, or
    ``hub:owner/name[:split]``. Of several splits ``train`` is taken. Raises ``BadData``.
    """
    data = load(path)
    missing = [name for name in ("prompt", "chosen", "rejected") if name not in data.column_names]
    if missing:
        raise BadData(
            f"{path} lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(data.column_names)}. Rename them: data.rename_columns({{...}})."
        )
    name = Path(str(path)).stem
    for number, fields in enumerate(data, 1):
        given = {key: value for key, value in fields.items() if value is not None}
        yield plain_draft(Row(f"{name}, row {number}", f"{name}:{number}", given))


def load(path: Path | str) -> Any:
    """Return the ``datasets.Dataset`` that ``path`` names. Raises ``BadData``."""
    try:
        found = _load(str(path))
    except BadData:
        raise
    except Exception as error:
        what = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadData(f"{path} cannot be read as a data set: {what}.") from error
    if hasattr(found, "column_names") and isinstance(found.column_names, dict):
        if "train" not in found:
            raise BadData(f"{path} has the splits {', '.join(found)}: name one, {path}:SPLIT.")
        return found["train"]
    return found


def _load(path: str) -> Any:
    from datasets import load_dataset, load_from_disk

    if path.startswith(HUB):
        name, _, split = path.removeprefix(HUB).partition(":")
        return load_dataset(name, split=split) if split else load_dataset(name)
    if Path(path).is_dir():
        return load_from_disk(path)
    builder = FILE_BUILDERS.get(Path(path).suffix.lower())
    if builder is None:
        raise BadData(f"{path} is no folder of save_to_disk, nor parquet, CSV or JSON.")
    return load_dataset(builder, data_files=path, split="train")
