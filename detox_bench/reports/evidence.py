"""What other commands measured of the same models, found by the weights: JSON files of ours."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detox_bench.errors import BadData, DetoxBenchError, unknown_name

#: The kinds of evidence, by the ``kind`` in the file, and the command that writes them.
KINDS: Mapping[str, str] = {
    "suppression": "detox-bench suppression BASE MODEL --json FILE",
    "capability": "detox-bench capability BASE MODEL --json FILE",
}
_NEEDED = ("kind", "base", "model")
#: What says that two models are the same one.
_SAME = ("weights_sha256", "configuration", "intervention")

#: The evidence of one model, by kind.
Evidence = Mapping[str, Mapping[str, Any]]


def read_evidence(files: Sequence[Path]) -> list[Mapping[str, Any]]:
    """Return what the files hold; raises ``BadData`` or ``UnknownName`` for other files."""
    return [_read(file) for file in files]


def evidence_of(
    identity: Mapping[str, Any], base: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return the evidence of the model with ``identity`` against the base, by kind.

    Raises ``DetoxBenchError`` where two files of one kind are of this model.
    """
    own = [each for each in found if _same(each["model"], identity) and _same(each["base"], base)]
    kinds = [each["kind"] for each in own]
    if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        raise DetoxBenchError(
            f"Several files of --evidence say {', '.join(twice)} of one model. Give the newest."
        )
    return dict(zip(kinds, own, strict=True))


def check_used(
    files: Sequence[Path], found: Sequence[Mapping[str, Any]], used: Sequence[Evidence]
) -> None:
    """Raise ``DetoxBenchError`` for a file that is of none of the models compared."""
    taken = [id(each) for evidence in used for each in evidence.values()]
    for file, each in zip(files, found, strict=True):
        if id(each) not in taken:
            raise DetoxBenchError(
                f"{file} compares {each['base'].get('name')} with {each['model'].get('name')}, "
                "which are not the base and one of the runs (their weights differ). Make it again: "
                f"{KINDS[each['kind']]}."
            )


def _read(file: Path) -> Mapping[str, Any]:
    found = _object(file)
    if lacking := [name for name in _NEEDED if name not in found]:
        raise _no_evidence(file, f"it does not say {', '.join(lacking)}")
    kind, models = str(found["kind"]), (found["base"], found["model"])
    if kind not in KINDS:
        raise unknown_name("kind of evidence", kind, KINDS)
    if not all(isinstance(model, dict) and model.get("weights_sha256") for model in models):
        raise BadData(f"{file} does not say which models it is of. Make it again: {KINDS[kind]}.")
    return found


def _object(file: Path) -> Mapping[str, Any]:
    """Return the JSON object that a file holds."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BadData(f"{file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise _no_evidence(file, "it is no JSON") from error
    if not isinstance(found, dict):
        raise _no_evidence(file, "it is no JSON object")
    return found


def _no_evidence(file: Path, reason: str) -> BadData:
    ways = " or ".join(f"`{way}`" for way in KINDS.values())
    return BadData(f"{file} holds no evidence: {reason}. It is made by {ways}.")


def _same(model: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    return all(model.get(name) == identity.get(name) for name in _SAME)
