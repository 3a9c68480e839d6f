"""Rankings: on each list and track, the rows by their change against their own base model.

Ranked is who stays inside the band of quality; bases, reference rows and those outside are listed
beside, with the reason. What ranks is the mean over languages of the change of expected maximum
toxicity; who is surely better than whom is told by ``ties``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from detox_bench.leaderboard.band import outside_band
from detox_bench.leaderboard.entries import Entry
from detox_bench.leaderboard.prompt_toxicity import prompt_toxicity, read_ahead
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import LanguageChange
from detox_bench.leaderboard.ties import Prompts, Standing, standings
from detox_bench.summary import MEAN

#: What ranks.
METRIC = "emt"
BASE_REASON = "base model"
REFERENCE_REASON = "reference row"
NO_BASE_REASON = "its base model is not on the board"


class Row(NamedTuple):
    """A submission in a ranking: where it stands, or why it is not ranked."""

    entry: Entry
    base: Entry | None
    standing: Standing | None = None
    reason: str = ""

    @property
    def mean(self) -> LanguageChange | None:
        """Its change in the mean of languages; None for a base model."""
        return (self.entry.submission.change or {}).get(MEAN)

    @property
    def change(self) -> float | None:
        """What it is ranked by."""
        found = self.mean.metrics.get(METRIC) if self.mean else None
        return None if found is None else found.difference.estimate


class Ranking(NamedTuple):
    """The rows of a list and track: those ranked, best first, and the others by their change."""

    prompt_list: str
    track: str
    ranked: Sequence[Row]
    unranked: Sequence[Row]

    @property
    def rows(self) -> list[Row]:
        """All rows, the ranked ones first."""
        return [*self.ranked, *self.unranked]


def rankings(entries: Sequence[Entry], suite: Specification) -> list[Ranking]:
    """Return the rankings that have rows, in the order of the suite's lists and tracks.

    Submissions of another suite, and those that were removed, are in none.
    """
    present = [
        each for each in entries if each.submission.suite == suite.suite and not each.removed
    ]
    found = []
    for prompt_list in suite.lists:
        for track in suite.tracks:
            own = [e for e in present if _place(e) == (prompt_list, track)]
            if own:
                found.append(_ranking(own, prompt_list, track, suite))
    return found


def _place(entry: Entry) -> tuple[str, str]:
    return entry.submission.prompt_list, entry.submission.track


def _ranking(
    entries: Sequence[Entry], prompt_list: str, track: str, suite: Specification
) -> Ranking:
    by_run = {entry.submission.run_id: entry for entry in entries}
    rows = [_row(entry, by_run, suite) for entry in entries]
    ranked = _stand([row for row in rows if not row.reason])
    unranked = sorted((row for row in rows if row.reason), key=_order_unranked)
    return Ranking(prompt_list, track, ranked, unranked)


def _row(entry: Entry, by_run: Mapping[str, Entry], suite: Specification) -> Row:
    stated = entry.submission
    base = by_run.get(stated.base_model.run_id) if stated.base_model else None
    row = Row(entry, base)
    return row._replace(reason=_reason(row, suite))


def _reason(row: Row, suite: Specification) -> str:
    """Return why a row is not ranked, empty for one that is."""
    if row.entry.reference:
        return REFERENCE_REASON
    if row.entry.submission.method.kind == "base":
        return BASE_REASON
    if row.base is None or row.change is None or row.mean is None:
        return NO_BASE_REASON
    outside = outside_band(row.mean, suite)
    return f"outside the band: {', '.join(outside)}" if outside else ""


def _stand(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with their standings: by rank, then by change, then by run."""
    found = [
        row._replace(standing=standing)
        for row, standing in zip(rows, standings(*prompt_changes(rows)), strict=True)
    ]
    return sorted(found, key=_order_ranked)


def prompt_changes(rows: Sequence[Row]) -> tuple[NDArray[np.float64], Prompts]:
    """Return ``(n_rows, n_prompts)`` changes of the rows' prompts against their bases.

    NaN where row or base has no number. Every row has a base.
    """
    bases: dict[str, Mapping[tuple[str, str], float]] = {}
    keys: dict[tuple[str, str], int] = {}
    found = []
    read_ahead([row.entry.folder for row in rows])
    for row in tqdm(rows, desc="samples", unit="submission", delay=2, leave=False):
        if row.base is None:
            raise ValueError(f"{row.entry.spot} has no base")
        known = row.base.submission.run_id
        if known not in bases:
            bases[known] = prompt_toxicity(row.base.folder).by_key()
        before, after = bases[known], prompt_toxicity(row.entry.folder).by_key()
        for key in after:
            keys.setdefault(key, len(keys))
        found.append({key: after[key] - before[key] for key in after.keys() & before.keys()})
    changes = np.full((len(rows), len(keys)), np.nan)
    for place, values in enumerate(found):
        changes[place, [keys[key] for key in values]] = list(values.values())
    return changes, _prompts(keys)


def _prompts(keys: Iterable[tuple[str, str]]) -> Prompts:
    """Return what the columns are: the last segment of an id is the item languages share."""
    every = list(keys)
    return Prompts(
        [language for language, _ in every], [prompt.rpartition("/")[2] for _, prompt in every]
    )


def _order_ranked(row: Row) -> tuple[int, float, str]:
    rank = row.standing.rank if row.standing else 0
    return rank, row.change or 0.0, row.entry.submission.run_id


def _order_unranked(row: Row) -> tuple[int, float, str, str]:
    """Bases first, then reference rows, then those outside the band, least toxic first."""
    kinds = {BASE_REASON: 0, REFERENCE_REASON: 1}
    stated = row.entry.submission
    return kinds.get(row.reason, 2), row.change or 0.0, stated.model.name, stated.run_id
