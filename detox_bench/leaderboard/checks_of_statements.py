"""Checks of what a submission states: its path, hashes, names, settings and method."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from detox_bench.leaderboard.agreement import generation_arguments
from detox_bench.leaderboard.band import outside_band
from detox_bench.leaderboard.board import REFERENCE
from detox_bench.leaderboard.case import Case
from detox_bench.leaderboard.content import run_id
from detox_bench.leaderboard.folders import spot_of
from detox_bench.leaderboard.methods import NEEDED
from detox_bench.leaderboard.references import (
    REFERENCES,
    reference_model,
    reference_weights,
)
from detox_bench.leaderboard.submission import REPRODUCTION, SAMPLES
from detox_bench.leaderboard.wording import listed, plain, shown, texts_in, unsafe_character
from detox_bench.scorers.protocol import COVERAGE_STATES
from detox_bench.summary import MEAN

_LOCAL = "local-"
_LONGEST_NAME = 200
#: Names of tables that a page shows are short; a recipe may say more.
_FEW = 5


def path(case: Case) -> list[str]:
    """Compare where it lies with what is in it."""
    model = case.submission.model
    wanted = spot_of(model.name, model.revision, case.submission.run_id)
    if case.spot == wanted:
        return []
    return [f"It lies in {listed(case.spot)}, and belongs in {wanted}: names are those in it."]


def content_hash(case: Case) -> list[str]:
    """Compute the run id again."""
    found = run_id(case.submitted.raw)
    if found == case.submission.run_id:
        return []
    return [
        f"run_id is {case.submission.run_id[:12]}…, and the content has {found[:12]}…: it was "
        "edited by hand. Make it again with `detox-bench leaderboard add`."
    ]


def file_hashes(case: Case) -> list[str]:
    """Compute the hashes of the two other files again."""
    stated = {
        SAMPLES: case.submission.samples_sha256,
        REPRODUCTION: case.submission.reproduction_sha256,
    }
    return [
        f"{name} has the SHA-256 {(found or 'of no file')[:12]}, and submission.json says "
        f"{stated[name][:12]}."
        for name, found in case.submitted.hashes.items()
        if found != stated[name]
    ]


def safe_text(case: Case) -> list[str]:
    """Look for characters that hide or reorder text, and for names that fit no table."""
    raw: tuple[Any, ...] = (case.submitted.raw, case.submitted.reproduction)
    found = [each for value in raw for each in _unsafe(value)]
    return [*found[:_FEW], *([f"{len(found) - _FEW} more texts are so."] if found[_FEW:] else [])]


def _unsafe(value: Any) -> Iterator[str]:
    for where, text in texts_in(value):
        if character := unsafe_character(text):
            yield f"{where} holds {character}, which hides or reorders text: {shown(text)}."
        elif where.startswith("a name in") and len(text) > _LONGEST_NAME:
            yield f"{where} has {len(text)} characters; {_LONGEST_NAME} is the most: {shown(text)}."


def suite(case: Case) -> list[str]:
    """Look up suite, list and track."""
    asked = (
        ("suite", case.submission.suite, [case.suite.suite]),
        ("prompt_list", case.submission.prompt_list, list(case.suite.lists)),
        ("track", case.submission.track, list(case.suite.tracks)),
    )
    return [
        f"{name} is {shown(found)}; allowed: {', '.join(allowed)}."
        for name, found, allowed in asked
        if found not in allowed
    ]


def scorer(case: Case) -> list[str]:
    """Compare scorer and threshold with those of the track."""
    track, card = case.track, case.submission.scorer
    if track is None:
        return []
    pairs = (("id", card.id, track.scorer), ("threshold", card.threshold, track.threshold))
    found = [
        f"scorer.{name} is {shown(value)}, and track {case.submission.track} has {shown(wanted)}."
        for name, value, wanted in pairs
        if value != wanted
    ]
    unstated = [code for code in case.suite.languages if code not in card.states]
    if unstated:
        found.append(f"scorer.states says nothing of {listed(unstated)}.")
    strange = sorted(code for code, state in card.states.items() if state not in COVERAGE_STATES)
    if strange:
        found.append(f"scorer.states of {listed(strange)} is none of {', '.join(COVERAGE_STATES)}.")
    return found


def generation(case: Case) -> list[str]:
    """Compare the generation arguments with those of the suite, all of them."""
    wanted, found = generation_arguments(case.suite.sampling), case.submission.generation
    return [
        f"generation.{plain(name)} is {shown(found.get(name))}, and the suite has "
        f"{shown(wanted.get(name))}."
        for name in dict.fromkeys([*wanted, *sorted(found)])
        if _differ(found.get(name), wanted.get(name)) or (name in wanted) != (name in found)
    ]


def _differ(found: Any, wanted: Any) -> bool:
    return found != wanted or isinstance(found, bool) != isinstance(wanted, bool)


def weights(case: Case) -> list[str]:
    """Compare the weights of the card, of the identity, and of a local revision."""
    card, identity = case.submission.model, case.submission.identity
    found = []
    if identity.get("weights_sha256") != card.weights_sha256:
        found.append("model.weights_sha256 is not identity.weights_sha256.")
    local = card.revision.removeprefix(_LOCAL)
    if local != card.revision and not card.weights_sha256.startswith(local):
        found.append(
            f"model.revision is {card.revision}, and the weights begin with "
            f"{card.weights_sha256[: len(local)]}."
        )
    return found


def method(case: Case) -> list[str]:
    """See that the method says how, and that a base has no base."""
    kind = case.submission.method.kind
    found, needed = [], NEEDED[kind]
    if needed and not getattr(case.submission.method, needed):
        found.append(f"method.{needed} is missing; {kind} needs it: how was the model made?")
    if kind == "base" and case.submission.base_model is not None:
        found.append("method.kind is base, and yet there is a base_model.")
    if kind != "base" and (case.submission.base_model is None or case.submission.change is None):
        found.append(f"method.kind is {kind}: base_model and change must be there.")
    return found


def reference(case: Case) -> list[str]:
    """See that a reference row is one of ours, and that nobody else uses their name."""
    organisation = case.submission.model.name.partition("/")[0]
    if organisation.lower() != REFERENCE:
        return []
    name = str(case.submission.identity.get("reference"))
    base = case.base.submission.model.weights_sha256 if case.base else ""
    ours = name in REFERENCES and (
        case.submission.model.name == reference_model(name)
        and case.submission.model.weights_sha256 == reference_weights(name, base)
    )
    if ours or (name in REFERENCES and case.base is None):
        return []
    return [
        f"The organisation {plain(organisation)} is for reference rows, which only "
        "`add --reference` makes."
    ]


def submitted_date(case: Case) -> list[str]:
    """See that the date is one, and not in the future; a day's difference of clocks is none."""
    text = case.submission.submitted
    try:
        later = date.fromisoformat(text) > datetime.now(UTC).date() + timedelta(days=1)
    except ValueError:
        return [f"submitted is {shown(text)}, which is no date."]
    return [f"submitted is {text}, which is in the future."] if later else []


def degenerate(case: Case) -> list[str]:
    """Compare the flag with the band of the suite."""
    change = case.submission.change or {}
    if MEAN not in change:
        return []
    reasons = outside_band(change[MEAN], case.suite)
    if bool(reasons) == case.submission.degenerate:
        return []
    why = f"outside the band ({', '.join(reasons)})" if reasons else "inside the band"
    return [f"degenerate is {case.submission.degenerate}, and its mean is {why}."]
