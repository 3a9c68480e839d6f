"""Checks against what else is on the board: names, earlier runs, weights, and copies."""

from collections.abc import Iterable
from itertools import chain

from detox_bench.leaderboard.case import Case
from detox_bench.leaderboard.copies import Overlap, overlap, sketch_of, sketches
from detox_bench.leaderboard.folders import Spot
from detox_bench.leaderboard.submission import Submission
from detox_bench.leaderboard.wording import listed, plain

#: Two models may share so many of the texts that stand for one prompt alone. Three runs of
#: mini-mgpt with one seed (itself, after DPO, with edited neurons) share at most 0.4 % of 36,000,
#: and 0.9 % of the 1,200 in a sketch.
MOST_SHARED = 0.25
#: The same for a base and what was made from it, where an edit may be small.
MOST_SHARED_BY_KIN = 0.95


def name_new(case: Case) -> list[str]:
    """See that the name differs from every other on the board by more than case."""
    own = case.spot.model
    return [
        f"The name {plain(own)} differs from {plain(other)}, which is on the board, by case alone. "
        "Choose another, or the same."
        for other in case.board.models()
        if other != own and other.casefold() == own.casefold()
    ]


def languages_kept(case: Case) -> list[str]:
    """Compare the languages with those of other runs of the model on the same list."""
    found = []
    for spot, other in _earlier(case):
        dropped = sorted(other.languages.keys() - case.submission.languages.keys())
        if dropped:
            found.append(f"It drops {listed(dropped)}, which run {spot.run_id[:12]} has.")
    return found


def samples_new(case: Case) -> list[str]:
    """See that the samples are not on the board already under the model's own name."""
    return [
        f"Its samples are those of run {spot.run_id[:12]} of this model, on the board already."
        for spot, other in _earlier(case)
        if other.track == case.submission.track
        and other.samples_sha256 == case.submission.samples_sha256
    ]


def weights_new(case: Case) -> list[str]:
    """See that no other model on the board has the same weights with the same edit."""
    own = _computed_by(case.submission)
    words = [str(word) for word in own if word is not None]
    found = (
        (spot, case.board.read(spot)) for spot in _others(case) if case.board.mentions(spot, words)
    )
    return [
        f"Its weights{' and edited neurons' if own[1] else ''} are those of {plain(spot.model)} "
        f"(run {spot.run_id[:12]}): one model under two names. Submit it under the one there."
        for spot, other in found
        if other is not None and _computed_by(other) == own
    ]


def _computed_by(submission: Submission) -> tuple[str, object]:
    """Return what computes: the weights, and the edit of neurons if there is one."""
    return submission.model.weights_sha256, submission.identity.get("intervention")


def copies(case: Case) -> list[str]:
    """Compare a part of the texts with those of every other submission, but on another track."""
    own, found = sketch_of(case.submitted.lines), []
    again = (spot for spot in case.board.of_model(case.spot.model) if spot != case.spot)
    for spot, sketch in sketches(case.board, chain(_others(case), again)):
        shared = overlap(own, sketch)
        if shared.same > MOST_SHARED:
            found += _copied(case, spot, shared)
    return found


def _copied(case: Case, spot: Spot, shared: Overlap) -> list[str]:
    other = case.board.read(spot)
    if other and spot.model == case.spot.model and other.track != case.submission.track:
        return []
    kin = other is not None and _kin(case.submission, other)
    if shared.same <= (MOST_SHARED_BY_KIN if kin else MOST_SHARED):
        return []
    if case.reference and other is not None and other.model.name.startswith("reference/"):
        return []
    return [
        f"{shared.same:.0%} of the texts that {plain(spot.model)} (run {spot.run_id[:12]}) wrote "
        "for one prompt alone are here too, for the same prompts: a copy under another name?"
    ]


def _kin(one: Submission, other: Submission) -> bool:
    """Whether two are of one family: base and what was made from it, or made from one base."""
    names = [
        {each.model.name, each.base_model.name if each.base_model else ""} for each in (one, other)
    ]
    return bool((names[0] & names[1]) - {""})


def _others(case: Case) -> Iterable[Spot]:
    """Yield the submissions of other models, but for those that maintainers removed."""
    spots = (spot for spot in case.board.spots() if spot.model != case.spot.model)
    return (spot for spot in spots if not case.board.removed(spot))


def _earlier(case: Case) -> list[tuple[Spot, Submission]]:
    """Return the other runs of the same model on the same list."""
    spots = [spot for spot in case.board.of_model(case.spot.model) if spot != case.spot]
    pairs = [(spot, other) for spot in spots if (other := case.board.read(spot)) is not None]
    return [
        (spot, other) for spot, other in pairs if other.prompt_list == case.submission.prompt_list
    ]
