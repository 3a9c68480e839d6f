"""The output folder of a training run: its record, what may be continued, and what is refused.

::

    detox_run.json      what was trained on what, how, and how it went
    checkpoint-<step>/  as transformers writes them
    watch.jsonl         toxicity while training, if it was watched
    merged/             the whole model after LoRA, if asked for
"""

import json
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detox_bench.errors import BadRunFolder
from detox_bench.runs import write_json

RECORD = "detox_run.json"
_SCHEMA = 1
#: What a run leaves in its folder.
_WRITTEN = (
    *(RECORD, "watch.jsonl", "*nan_batch.json", "checkpoint-*", "merged", ".merged"),
    *("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json"),
    *("generation_config.json", "training_args.bin", "token*.json", "special_tokens_map.json"),
    *("chat_template.jinja", "README.md"),
)
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class TrainingFolder:
    """The folder of one run, found empty, unfinished or finished."""

    def __init__(self, path: Path, identity: Mapping[str, Any], overwrite: bool = False) -> None:
        """Claim ``path`` for the run that ``identity`` describes; ``clear`` makes room for it.

        Raises ``BadRunFolder`` where anything that is no run lies there, or another run that is
        not to be overwritten.
        """
        self.path = path
        self._record: dict[str, Any] = {"schema": _SCHEMA, "identity": dict(identity)}
        self._overwrite = overwrite
        found = self._read()
        if found is None:
            self._check_empty()
        elif not overwrite:
            self._check_same(dict(found.get("identity", {})), dict(identity))
            self._record = found

    @property
    def finished(self) -> bool:
        """Whether the run that lies here has come to its end."""
        return "finished" in self._record

    @property
    def record(self) -> dict[str, Any]:
        """What the record holds by now."""
        return dict(self._record)

    def write(self, **values: Any) -> None:
        """Add ``values`` to the record and write it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadRunFolder(
                f"{self.path} cannot be made: {error.strerror or error}. Name another --output_dir."
            ) from error
        self._record.setdefault("created", _now())
        self._record |= values
        write_json(self.path / RECORD, self._record)

    def finish(self, **values: Any) -> None:
        """Write the last values, and that the run is at its end."""
        self.write(**values, finished=_now())

    def last_checkpoint(self) -> Path | None:
        """Return the newest checkpoint of this run that is whole, not a half-written one."""
        if self._overwrite:
            return None
        folders = {
            int(match[1]): folder
            for folder in self.path.glob("checkpoint-*")
            if (match := _CHECKPOINT.fullmatch(folder.name)) and _whole(folder)
        }
        return folders[max(folders)] if folders else None

    def _read(self) -> dict[str, Any] | None:
        file = self.path / RECORD
        try:
            return dict(json.loads(file.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise BadRunFolder(
                f"{file} is not the record of a training run: {error}. Name another --output_dir."
            ) from error

    def _check_empty(self) -> None:
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise BadRunFolder(
                f"{self.path} holds something that is not a run of train-dpo. Name another "
                "--output_dir."
            )

    def _check_same(self, found: dict[str, Any], asked: dict[str, Any]) -> None:
        differences = [
            f"{key} is {found.get(key)!r}, now {asked.get(key)!r}"
            for key in sorted({*found, *asked})
            if found.get(key) != asked.get(key)
        ]
        if differences:
            raise BadRunFolder(
                f"{self.path} holds another run: {'; '.join(differences)}. Name another "
                "--output_dir, or give --overwrite to delete that run."
            )

    def clear(self) -> None:
        """Delete the run that lies here, if it is to be overwritten; other files stay."""
        for pattern in _WRITTEN if self._overwrite else ():
            for found in self.path.glob(pattern):
                shutil.rmtree(found) if found.is_dir() else found.unlink()


def _whole(folder: Path) -> bool:
    """Return whether transformers came to the last file it writes, and that is readable."""
    try:
        json.loads((folder / "trainer_state.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
