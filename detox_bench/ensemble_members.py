"""The members of an ensemble of scorers: their names, options, maps and languages."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import DetoxBenchError, ScorerUnavailable
from detox_bench.languages import LANGUAGES
from detox_bench.score_maps import MappedScorer, read_map
from detox_bench.scorers.protocol import Scorer, coverage
from detox_bench.scorers.table import SCORERS


class Member(NamedTuple):
    """One scorer, its map if it is calibrated, and the languages it scores; None: any."""

    scorer: Scorer
    mapped: MappedScorer | None
    covers: frozenset[str] | None


def split_members(members: str) -> list[str]:
    """Return the names in ``members``; a ``+`` within a name (of a folder) divides none.

    Raises ``ScorerUnavailable`` for an ensemble in an ensemble.
    """
    prefixes = "|".join(sorted({re.escape(row.prefix) for row in SCORERS.values()}))
    specs = re.split(rf"\+(?=(?:{prefixes})(?:[:+]|$))", members)
    if any(spec.partition(":")[0] == "ensemble" for spec in specs):
        raise ScorerUnavailable(
            f"ensemble:{members}: an ensemble cannot be a member. Name its members instead."
        )
    return specs


def member_options(specs: Sequence[str], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each member. Raises ``DetoxBenchError`` for those of none."""
    given: list[dict[str, Any]] = [{} for _ in specs]
    for key, value in options.items():
        owner, _, name = key.rpartition(".")
        owned = [n for n, spec in enumerate(specs, 1) if _owns(n, spec, owner)]
        if not owned:
            raise DetoxBenchError(
                f"Option {key!r} is of no member: before the dot stands its number (1 to "
                f"{len(specs)}) or the beginning of its name ({', '.join(specs)})."
            )
        for n in owned:
            given[n - 1][name] = value
    return given


def _owns(number: int, spec: str, owner: str) -> bool:
    return owner == str(number) if owner.isdigit() else bool(owner) and spec.startswith(owner)


def make_members(scorers: Sequence[Scorer], calibration: frozenset[str]) -> tuple[Member, ...]:
    """Return the members with their maps and languages.

    Raises ``DetoxBenchError`` unless each has a map of its own, or none; ``BadData`` for a file
    that is no map.
    """
    if not calibration:
        return tuple(Member(each, None, _covered(each)) for each in scorers)
    read = [read_map(Path(file)) for file in sorted(calibration)]
    _check_maps([each.id for each in scorers], [each.scorer for each in read])
    maps = {each.scorer: each for each in read}
    members = []
    for scorer in scorers:
        covers, known = _covered(scorer), frozenset(maps[scorer.id].functions)
        both = known if covers is None else known & covers
        members.append(Member(scorer, MappedScorer(scorer, maps[scorer.id]), both))
    return tuple(members)


def _check_maps(members: Sequence[str], mapped: Sequence[str]) -> None:
    """Raise ``DetoxBenchError`` unless there is one map for each id of a member."""
    found = (
        *(f"there is no map for {each}" for each in members if each not in mapped),
        *(f"there is a map for {each}, no member" for each in mapped if each not in members),
        *(f"there are two maps for {each}" for each in mapped if mapped.count(each) > 1),
    )
    if found:
        raise DetoxBenchError(
            f"Calibrate each member of an ensemble by one map, or none: {found[0]}. Make one: "
            "detox-bench compare-scorers --archive FILE --map MAP."
        )


def _covered(scorer: Scorer) -> frozenset[str] | None:
    """Return the languages that are declared, or in which it is validated; None: any."""
    valid = {code for code in LANGUAGES if coverage(scorer, code) == "validated"}
    return scorer.languages | valid if scorer.languages else None
