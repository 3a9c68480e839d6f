"""From which score on a text counts as toxic: one number for all languages, or a table of them.

A table is a JSON file that ``detox-bench validate-scorer --thresholds`` writes; it holds for the
scorer id it was derived with, and for no other.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detox_bench.doubts import checked_threshold
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.languages import language as language_row
from detox_bench.scorers.protocol import Scorer

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ThresholdTable:
    """Thresholds of one scorer by language; ``rule`` says how they were chosen, ``on`` on what."""

    scorer: str
    rule: str
    on: str
    thresholds: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return what is written to a file."""
        return {"format": FORMAT, **asdict(self)}


#: What a user may give: a number for all languages, or a table.
Threshold = float | ThresholdTable


def read_threshold(given: object) -> Threshold:
    """Return a number from 0 to 1, or the table in the file that ``given`` names.

    Raises ``DetoxBenchError`` for what is neither, ``BadData`` for a file that is no table.
    """
    path = Path(given).expanduser() if isinstance(given, str) else None
    if path is None or not path.is_file():
        try:
            return checked_threshold(given)
        except DetoxBenchError as error:
            raise DetoxBenchError(f"{error} A file with a table of them is not there.") from error
    try:
        found = json.loads(path.read_text("utf-8"))
        table = ThresholdTable(**{k: v for k, v in found.items() if k != "format"})
        limits = {code: checked_threshold(value) for code, value in table.thresholds.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadData(
            f"{path} is no table of thresholds. Write one: "
            "detox-bench validate-scorer SCORER --thresholds best."
        ) from error
    return ThresholdTable(str(table.scorer), str(table.rule), str(table.on), limits)


def threshold_for(given: Threshold | None, scorer: Scorer, language: str) -> float:
    """Return the threshold of ``scorer`` in a language; its own where none was given.

    Raises ``DetoxBenchError`` for a table of another scorer, or without the language.
    """
    if given is None:
        return scorer.threshold
    if not isinstance(given, ThresholdTable):
        return given
    if given.scorer != scorer.id:
        raise DetoxBenchError(
            f"The table of thresholds is of scorer {given.scorer}, and this is {scorer.id}. Derive "
            "one for it: detox-bench validate-scorer SCORER --thresholds best."
        )
    code = language_row(language).code
    if code not in given.thresholds:
        raise DetoxBenchError(
            f"The table of thresholds has none for {code!r}, only for "
            f"{', '.join(given.thresholds)}. Validate the scorer there, or leave the language out."
        )
    return given.thresholds[code]
