"""``watch.jsonl``: what a watch measured, a line for each step and language."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.trainers.watch_records import LanguageReading, WatchRecord

_READINGS = tuple(field.name for field in fields(LanguageReading))


class WatchFile:
    """The lines of one training; every line repeats the ``settings`` it was measured by."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Name the file; it is written when training begins."""
        self.path, self.settings = path, dict(settings)

    def begin(self, step: int) -> list[WatchRecord]:
        """Return what the file holds up to ``step``, from which training goes on.

        Later lines are taken out of it: they are of steps that will be made again. At step 0 all
        are. Raises ``BadData`` for a file that is damaged, and ``DetoxBenchError`` for one that was
        measured in another way.
        """
        lines = [each for each in self._read() if each["step"] <= step] if step else []
        for each in lines:
            self._check(each)
        self._write("w", lines)
        return _records(lines)

    def add(self, record: WatchRecord, first: WatchRecord, seconds: float) -> None:
        """Append the lines of ``record``."""
        ratios = record.perplexity_ratios(first)
        lines = [
            {
                "step": record.step,
                "language": code,
                **asdict(reading),
                "perplexity_ratio": ratios.get(code),
                "seconds": round(seconds, 2),
                **self.settings,
            }
            for code, reading in record.languages.items()
        ]
        self._write("a", lines)

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        lines = []
        text = self.path.read_text("utf-8")
        for number, line in enumerate(text.split("\n"), start=1):
            if not line:
                continue
            try:
                lines.append(json.loads(line))
            except ValueError as error:
                if not text.endswith("\n") and number == text.count("\n") + 1:
                    break  # the process ended in the midst of the last line
                raise BadData(
                    f"{self.path}, line {number} is no JSON. Move the file away to resume without "
                    "what was watched before."
                ) from error
        return lines

    def _check(self, line: Mapping[str, Any]) -> None:
        for name, value in self.settings.items():
            if line.get(name) != value:
                raise DetoxBenchError(
                    f"{self.path} was measured with {name} {line.get(name)}, now it is {value}. "
                    "Resume with what it was, or move the file away."
                )

    def _write(self, mode: str, lines: list[dict[str, Any]]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open(mode, encoding="utf-8") as out:
                out.writelines(json.dumps(line) + "\n" for line in lines)
        except OSError as error:
            raise DetoxBenchError(
                f"Cannot write {self.path}: {error.strerror or error}. Make room, or name another "
                "output folder."
            ) from error


def _records(lines: list[dict[str, Any]]) -> list[WatchRecord]:
    by_step: dict[int, dict[str, LanguageReading]] = {}
    for line in lines:
        reading = LanguageReading(**{name: line[name] for name in _READINGS})
        by_step.setdefault(line["step"], {})[line["language"]] = reading
    return [WatchRecord(step, by_step[step]) for step in sorted(by_step)]
