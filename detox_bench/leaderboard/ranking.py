"""Rankings: on each list and track, the rows by their change against their own base model.

Ranked is who stays inside the band of quality and whose base a maintainer has reproduced; bases,
reference rows and the others are listed beside, with the reason. What ranks is the change that
counts (``counted_change``); who is surely better than whom is told by ``ties``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from detox_bench.leaderboard.band import outside_band
from detox_bench.leaderboard.counted_change import (
    Counted,
    PromptChanges,
    counted_mean,
    left_out,
    stated_change,
)
from detox_bench.leaderboard.entries import Entry
from detox_bench.leaderboard.prompt_toxicity import prompt_toxicity, read_ahead
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import LanguageChange
from detox_bench.leaderboard.ties import Prompts, Standing, standings
from detox_bench.summary import MEAN

BASE_REASON = "base model"
REFERENCE_REASON = "reference row"
NO_BASE_REASON = "its base model is not on the board"
#: A base that was made worse makes what is made from it look better: anybody may submit one, and
#: maintainers generate a part of published models only again.
UNREPRODUCED_REASON = "its base was not reproduced by a maintainer"
#: Otherwise the luckiest of many seeds would stand for a model.
ANOTHER_RUN_REASON = "another run of this model is ranked"
#: The badge that the base of a ranked row has.
_REPRODUCED = "reproduced"

#: The toxicity of prompts of bases that were read, by run.
_Bases = dict[str, Mapping[tuple[str, str], float]]


class Row(NamedTuple):
    """A submission in a ranking: where it stands, or why it is not ranked.

    ``counted`` is what ranks, None for a base model. ``tied`` are the ranked ones that it is not
    told apart from, best first.
    """

    entry: Entry
    base: Entry | None
    counted: Counted | None = None
    standing: Standing | None = None
    reason: str = ""
    tied: Sequence[Entry] = ()

    @property
    def mean(self) -> LanguageChange | None:
        """Its change in the mean of languages; None for a base model."""
        return (self.entry.submission.change or {}).get(MEAN)

    @property
    def change(self) -> float | None:
        """Its change as it is, whether it counts or not."""
        found = stated_change(self.entry.submission)
        return None if found is None else found.estimate


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
    bases: _Bases = {}
    rows = _first_runs([_row(entry, by_run, suite, bases) for entry in entries])
    ranked = _stand([row for row in rows if not row.reason], bases)
    unranked = sorted((row for row in rows if row.reason), key=_order_unranked)
    return Ranking(prompt_list, track, ranked, unranked)


def _row(entry: Entry, by_run: Mapping[str, Entry], suite: Specification, bases: _Bases) -> Row:
    stated = entry.submission
    base = by_run.get(stated.base_model.run_id) if stated.base_model else None
    row = Row(entry, base, _counted(entry, base, bases))
    return row._replace(reason=_reason(row, suite))


def _counted(entry: Entry, base: Entry | None, bases: _Bases) -> Counted | None:
    """Return what ranks a row; None for a base model, and where the base is not on the board.

    Where every language counts, it is the change that is stated, interval and all.
    """
    change, without = stated_change(entry.submission), left_out(entry.submission)
    if change is None or base is None:
        return None
    found = counted_mean(_changes_of(entry, base, bases), without) if without else change
    return Counted(found, without)


def _reason(row: Row, suite: Specification) -> str:
    """Return why a row is not ranked, empty for one that is."""
    if row.entry.reference:
        return REFERENCE_REASON
    if row.entry.submission.method.kind == "base":
        return BASE_REASON
    if row.base is None or row.counted is None or row.mean is None:
        return NO_BASE_REASON
    outside = outside_band(row.mean, suite)
    reasons = [] if _REPRODUCED in row.base.badges else [UNREPRODUCED_REASON]
    return "; ".join([*reasons, *([f"outside the band: {', '.join(outside)}"] if outside else [])])


def _first_runs(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with the reason of those that are not the first run of their model.

    The first is that of the earliest date, of one date that of the lowest run id.
    """
    known: set[tuple[str, str]] = set()
    found = []
    for row in sorted(rows, key=_submitted):
        model = row.entry.submission.model
        key = (model.name, model.revision)
        again = not row.reason and key in known
        found.append(row._replace(reason=ANOTHER_RUN_REASON) if again else row)
        known |= set() if row.reason else {key}
    return found


def _submitted(row: Row) -> tuple[str, str]:
    return row.entry.submission.submitted, row.entry.submission.run_id


def _stand(rows: Sequence[Row], bases: _Bases) -> list[Row]:
    """Return the rows with their standings: by rank, then by what counts, then by run."""
    found = standings(*prompt_changes(rows, bases))
    pairs = zip(rows, found, strict=True)
    placed = {n: row._replace(standing=standing) for n, (row, standing) in enumerate(pairs)}
    order = sorted(placed, key=lambda n: _order_ranked(placed[n]))
    place = {n: at for at, n in enumerate(order)}
    tied = {n: sorted(standing.tied, key=place.__getitem__) for n, standing in enumerate(found)}
    return [placed[n]._replace(tied=[rows[other].entry for other in tied[n]]) for n in order]


def prompt_changes(
    rows: Sequence[Row], bases: _Bases | None = None
) -> tuple[NDArray[np.float64], Prompts]:
    """Return ``(n_rows, n_prompts)``: what counts of the change of each prompt of the rows.

    0 in a language whose fall does not count, NaN where row or base has no number. Every row has a
    base; ``bases`` are those that were read.
    """
    keys: dict[tuple[str, str], int] = {}
    found = []
    read_ahead([row.entry.folder for row in rows])
    for row in tqdm(rows, desc="samples", unit="submission", delay=2, leave=False):
        if row.base is None:
            raise ValueError(f"{row.entry.spot} has no base")
        changes = _changes_of(row.entry, row.base, {} if bases is None else bases)
        without = row.counted.left_out if row.counted else ()
        places = [keys.setdefault(key, len(keys)) for key in changes]
        counted = [0.0 if code in without else each for (code, _), each in changes.items()]
        found.append((np.array(places, dtype=int), np.array(counted)))
    changed = np.full((len(rows), len(keys)), np.nan)
    for place, (columns, values) in enumerate(found):
        changed[place, columns] = values
    return changed, _prompts(keys)


def _changes_of(entry: Entry, base: Entry, bases: _Bases) -> PromptChanges:
    """Return the changes of the prompts that a row and its base have; ``bases`` is added to."""
    run = base.submission.run_id
    if run not in bases:
        bases[run] = prompt_toxicity(base.folder).by_key()
    before, after = bases[run], prompt_toxicity(entry.folder).by_key()
    return {key: value - before[key] for key, value in after.items() if key in before}


def _prompts(keys: Iterable[tuple[str, str]]) -> Prompts:
    """Return what the columns are: the last segment of an id is the item languages share."""
    every = list(keys)
    return Prompts(
        [language for language, _ in every], [prompt.rpartition("/")[2] for _, prompt in every]
    )


def _order_ranked(row: Row) -> tuple[int, float, str]:
    rank = row.standing.rank if row.standing else 0
    return rank, _counts(row), row.entry.submission.run_id


def _order_unranked(row: Row) -> tuple[int, float, str, str]:
    """Bases first, then reference rows, then the others, the largest fall that counts first."""
    kinds = {BASE_REASON: 0, REFERENCE_REASON: 1}
    stated = row.entry.submission
    return kinds.get(row.reason, 2), _counts(row), stated.model.name, stated.run_id


def _counts(row: Row) -> float:
    return row.counted.change.estimate if row.counted else 0.0
