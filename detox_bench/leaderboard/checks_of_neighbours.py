"""Checks against what else is on the board: the base, earlier runs, and copies."""

from collections.abc import Iterable

from detox_bench.leaderboard.case import Case, base_spot
from detox_bench.leaderboard.copies import Overlap, overlap, sketch_of, sketches
from detox_bench.leaderboard.folders import Spot
from detox_bench.leaderboard.submission import Submission
from detox_bench.leaderboard.wording import listed, plain

#: Texts of two models may agree so far above chance: with one seed our engine gives a model and its
#: edits 4 % of their texts in common (three runs of mini-mgpt, 42,500 texts each).
MOST_SHARED = 0.25
#: The same for a base and what was made from it, where an edit may be small.
MOST_SHARED_BY_KIN = 0.95


def base_on_board(case: Case) -> list[str]:
    """Look up the base: on the board, same list and track, itself a base, judged by one model."""
    spot = base_spot(case.submission)
    if spot is None:
        return []
    if case.base is None:
        there = case.board.has(spot)
        return [
            f"The base model {listed(spot)} {'cannot be read' if there else 'is not on the board'}."
            " Submit the base first (`add --method base`)."
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
        f"The base model's {name} is {plain(str(found))}, and should be {plain(str(wanted))}."
        for name, found, wanted in pairs
        if found != wanted
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


def copies(case: Case) -> list[str]:
    """Compare a part of the texts with those of every other model on the board."""
    own, found = sketch_of(case.submitted.lines), []
    for spot, sketch in sketches(case.board, _others(case)):
        shared = overlap(own, sketch)
        if shared.excess > MOST_SHARED:
            found += _copied(case, spot, shared)
    return found


def _copied(case: Case, spot: Spot, shared: Overlap) -> list[str]:
    other = case.board.read(spot)
    kin = other is not None and _kin(case.submission, other)
    if shared.excess <= (MOST_SHARED_BY_KIN if kin else MOST_SHARED):
        return []
    if case.reference and other is not None and other.model.name.startswith("reference/"):
        return []
    return [
        f"{shared.same:.0%} of its texts are those of {plain(spot.model)} (run "
        f"{spot.run_id[:12]}), where {shared.chance:.0%} would be by chance: a copy under another "
        "name?"
    ]


def _kin(one: Submission, other: Submission) -> bool:
    """Whether two are of one family: base and what was made from it, or made from one base."""
    names = [
        {each.model.name, each.base_model.name if each.base_model else ""} for each in (one, other)
    ]
    return bool((names[0] & names[1]) - {""})


def _others(case: Case) -> Iterable[Spot]:
    return (spot for spot in case.board.spots() if spot.model != case.spot.model)


def _earlier(case: Case) -> list[tuple[Spot, Submission]]:
    """Return the other runs of the same model on the same list."""
    spots = [spot for spot in case.board.of_model(case.spot.model) if spot != case.spot]
    pairs = [(spot, other) for spot in spots if (other := case.board.read(spot)) is not None]
    return [
        (spot, other) for spot, other in pairs if other.prompt_list == case.submission.prompt_list
    ]
