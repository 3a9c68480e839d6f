"""Whom a ranked run is tied with, as its model's page says it."""

from collections.abc import Sequence
from typing import NamedTuple

from detox_bench.leaderboard import shown
from detox_bench.leaderboard.board_rows import anchor, page_of
from detox_bench.leaderboard.ranking import Ranking, Row

#: So many are named.
_MOST = 12


class TiedModels(NamedTuple):
    """The models that a run is not told apart from, by name and address, best first.

    ``more`` are tied and not named; ``better`` and ``worse`` are how many surely are.
    """

    named: Sequence[tuple[str, str]]
    more: int
    better: int
    worse: int


def tied_models(row: Row, rankings: Sequence[Ranking]) -> TiedModels | None:
    """Return whom a row is tied with; None for one that is not ranked.

    Addresses are from the page of a model; ``rankings`` are those of the site.
    """
    if row.standing is None:
        return None
    place = (row.entry.submission.prompt_list, row.entry.submission.track)
    own = next(each for each in rankings if (each.prompt_list, each.track) == place)
    named = [
        (shown.text_of(each.submission.model.name), f"../{page_of(each)}#{anchor(each)}")
        for each in row.tied[:_MOST]
    ]
    worse = len(own.ranked) - row.standing.lowest
    return TiedModels(named, len(row.tied) - len(named), row.standing.rank - 1, worse)
