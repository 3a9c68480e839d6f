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
    try:
        found = json.loads(file.read_text("utf-8"))
        kind, models = found["kind"], (found["base"], found["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        ways = " or ".join(f"`{way}`" for way in KINDS.values())
        raise BadData(
            f"{file} holds no evidence ({type(error).__name__}: {error}). It is made by {ways}."
        ) from error
    if kind not in KINDS:
        raise unknown_name("kind of evidence", str(kind), KINDS)
    if not all(isinstance(model, dict) and model.get("weights_sha256") for model in models):
        raise BadData(f"{file} does not say which models it is of. Make it again: {KINDS[kind]}.")
    return dict(found)


def _same(model: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    return all(model.get(name) == identity.get(name) for name in _SAME)
