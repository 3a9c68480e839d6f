"""What was done to a model, as a submission states it: recipe or intervention, inline."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.leaderboard.making import checked
from detox_bench.leaderboard.reproduction import without_paths
from detox_bench.leaderboard.submission import Method
from detox_bench.neurons.edit.interventions import read_intervention
from detox_bench.run_records import RunRecord

_MOST = 200_000
#: What a record of training holds of every step; too much for a submission.
_LEFT_OUT = ("curves",)
#: What each method must be given, by the option's name.
NEEDED: Mapping[str, str | None] = {
    "base": None,
    "dpo": "recipe",
    "neurons": "intervention",
    "other": "description",
}
#: The methods that a run with edited neurons may state.
EDITED = ("neurons", "other")
FOLDED = "What was folded into the weights is submitted as `other`."


class Told(NamedTuple):
    """What a user says of the method: its kind, files and words."""

    kind: str
    description: str | None = None
    recipe: Path | None = None
    intervention: Path | None = None


def check_told(told: Told) -> None:
    """Raise ``DetoxBenchError`` for another method, or one without what it needs."""
    if told.kind not in NEEDED:
        raise DetoxBenchError(f"Unknown method {told.kind!r}. Known: {', '.join(NEEDED)}.")
    needed = NEEDED[told.kind]
    if needed and getattr(told, needed) is None:
        raise DetoxBenchError(
            f"--method {told.kind} says how it was made: give --{needed} "
            + ("with a sentence." if needed == "description" else "FILE.")
        )


def method_of(told: Told, record: RunRecord, base_weights: str | None = None) -> Method:
    """Return the method with its files inline, without paths.

    A recipe is YAML or JSON, as the ``detox_run.json`` of a training. ``base_weights`` is the
    SHA-256 of the base's, which edited neurons leave as they are. Raises ``BadData`` for anything
    else, ``BadIntervention``, and ``BadData`` for an intervention that the run was not made with,
    or was made with and is not told.
    """
    _check_edited(told, record, base_weights)
    return checked(
        Method,
        {
            "kind": told.kind,
            "description": told.description,
            "recipe": _recipe(told.recipe) if told.recipe else None,
            "intervention": _intervention(told, record),
        },
    )


def _recipe(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MOST:
            raise BadData(f"{file} is larger than a recipe: over {_MOST:,} bytes.")
        text = file.read_text("utf-8")
        found = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadData(f"{file} cannot be read as a recipe: {error}.") from error
    if not isinstance(found, dict):
        raise BadData(
            f"{file} is no recipe: it holds {type(found).__name__}, not names and values."
        )
    kept = {name: value for name, value in found.items() if name not in _LEFT_OUT}
    plain = json.dumps(without_paths(kept), default=str)
    return dict(json.loads(plain, parse_constant=lambda _: None))


def _check_edited(told: Told, record: RunRecord, base_weights: str | None) -> None:
    used = record.identity.get("intervention")
    if used is not None and told.kind not in EDITED:
        raise BadData(
            f"The run was made with intervention {used}, and --method is {told.kind}. Add it as "
            "--method neurons with its --intervention FILE, or as other."
        )
    weights = record.identity.get("weights_sha256")
    if told.kind == "neurons" and base_weights is not None and weights != base_weights:
        raise BadData(
            f"The run was made with weights {str(weights)[:16]}, and the base on the board has "
            f"{base_weights[:16]}: --method neurons edits the base as it is. {FOLDED}"
        )


def _intervention(told: Told, record: RunRecord) -> dict[str, Any] | None:
    """Return the intervention's JSON; of method ``other`` it may be one that was folded."""
    if told.intervention is None:
        return None
    found = read_intervention(told.intervention)
    used = record.identity.get("intervention")
    if used != found.sha256 and (used is not None or told.kind == "neurons"):
        raise BadData(
            f"{told.intervention} is intervention {found.sha256}, and the run was made with "
            f"{used or 'none'}. Give the one of its command. {FOLDED}"
        )
    return dict(without_paths(found.as_json()))
