"""Checks against the base: on the board, the judge of perplexity, the model that was edited."""

from collections.abc import Mapping
from typing import Any

from detox_bench.errors import DetoxBenchError
from detox_bench.leaderboard.case import Case, base_spot
from detox_bench.leaderboard.folders import Spot
from detox_bench.leaderboard.methods import EDITED, FOLDED
from detox_bench.leaderboard.wording import plain, shown
from detox_bench.neurons.edit.interventions import BaseModel, intervention
from detox_bench.types import NeuronId

#: How the id of a judge of perplexity begins (``fluency``), and so many digits of its weights.
_JUDGE, _DIGITS = "perplexity@", 16


def base_on_board(case: Case) -> list[str]:
    """Look up the base: on the board, same list and track, itself a base, judged by one model."""
    spot = base_spot(case.submission)
    if spot is None:
        return []
    if case.board.removed(spot):
        return [
            f"The base model {_words(spot)} was removed by maintainers. Submit against another."
        ]
    if case.base is None:
        wrong = "cannot be read" if case.board.has(spot) else "is not on the board"
        return [
            f"The base model {_words(spot)} {wrong}. Submit the base first (`add --method base`)."
        ]
    base, own = case.base.submission, case.submission
    pairs = (
        ("prompt_list", base.prompt_list, own.prompt_list),
        ("track", base.track, own.track),
        ("perplexity_judge", base.perplexity_judge, own.perplexity_judge),
        ("method.kind", base.method.kind, "base"),
        ("run_id", base.run_id, spot.run_id),
    )
    return [
        f"The base model's {name} is {shown(found, 120)}, and should be {shown(wanted, 120)}."
        for name, found, wanted in pairs
        if found != wanted
    ]


def _words(spot: Spot) -> str:
    return f"{plain(spot.model)} (run {spot.run_id[:12]})"


def judge(case: Case) -> list[str]:
    """See that perplexities are those under the base: the judge's id begins with its weights."""
    weights = _weights_of_base(case)
    if weights is None:
        return []
    wanted, found = f"{_JUDGE}{weights[:_DIGITS]}", case.submission.perplexity_judge
    if found is not None and found.startswith(f"{wanted}#"):
        return []
    return [
        f"perplexity_judge is {shown(found, 120)}, and the base judges, whose weights make it "
        f"{wanted}#…: `add --perplexity-model`, in the precision of the base's run."
    ]


def edited(case: Case) -> list[str]:
    """See that ``neurons`` is the base with the stated edit, and that no other method hides one."""
    method, used = case.submission.method, case.submission.identity.get("intervention")
    if method.kind == "neurons":
        return [*_another_edit(case), *_other_weights(case)]
    if method.kind in EDITED or (used is None and method.intervention is None):
        return []
    edit = "method.intervention" if used is None else f"identity.intervention {plain(str(used))}"
    return [
        f"There is {edit}, and method.kind is {method.kind}. Submit a model with edited neurons as "
        "`neurons`, or as `other` with a description."
    ]


def _another_edit(case: Case) -> list[str]:
    stated = _edit_sha256(case.submission.method.intervention or {})
    used = case.submission.identity.get("intervention")
    if stated is not None and stated == used:
        return []
    return [
        f"method.intervention is {stated or 'no intervention'}, and the run was made with "
        f"{plain(str(used or 'none'))} (identity.intervention). {FOLDED}"
    ]


def _other_weights(case: Case) -> list[str]:
    weights = case.submission.model.weights_sha256
    if case.base is None or weights == case.base.submission.model.weights_sha256:
        return []
    return [
        f"Its weights are {weights[:_DIGITS]}…, and the base has "
        f"{case.base.submission.model.weights_sha256[:_DIGITS]}…: `neurons` edits the base as it "
        f"is. {FOLDED}"
    ]


def _weights_of_base(case: Case) -> str | None:
    """Return the weights of the base, of a base its own; None where there is no base to look at."""
    if case.submission.base_model is None:
        return case.submission.model.weights_sha256
    return case.base.submission.model.weights_sha256 if case.base else None


def _edit_sha256(raw: Mapping[str, Any]) -> str | None:
    """Return the hash of an intervention as a submission has it; None for what is none."""
    try:
        edits = [(NeuronId(layer, neuron), float(value)) for layer, neuron, value in raw["edits"]]
        base = BaseModel(**raw["base_model"])
        return intervention(base, raw["operator"], edits, raw["positions"]).sha256
    except (DetoxBenchError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
