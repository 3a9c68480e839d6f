"""The summary of a check in Markdown: problems, and each submission beside its neighbours.

Names are those of strangers: what Markdown or HTML would act on is escaped.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from detox_bench.leaderboard.checking import Checking
from detox_bench.leaderboard.folders import Board
from detox_bench.leaderboard.submission import Estimate, Submission
from detox_bench.reports import markdown_text
from detox_bench.summary import MEAN

#: Neighbours beside a submission: so many, the nearest in what they changed.
_NEIGHBOURS = 6
_HEADLINE = "emt"


def markdown(checking: Checking) -> str:
    """Return the summary of a check, with the comparison with neighbours on the board."""
    parts = [_title(checking), *(_bullets(checking.board_problems))]
    for each in checking.checked:
        parts += ["", f"## {escaped('/'.join(each.folder.parts[-3:]))}", ""]
        parts += _bullets(each.problems) or ["No problem was found."]
        if each.submission is not None:
            parts += ["", *_table(each.submission, checking.board)]
    return "\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return text as it stands in Markdown, cut where it is long: nothing in it is markup."""
    return markdown_text.escaped(text if len(text) <= 300 else f"{text[:300]}…")


class Standing(NamedTuple):
    """What a row of the comparison needs of a submission; all else is let go."""

    name: str
    run_id: str
    change: float
    cells: tuple[str, ...]


def neighbours(submission: Submission, board: Board) -> list[Standing]:
    """Return the nearest on the same list and track, by the change of EMT; the base first."""
    own, base = standing(submission), submission.base_model
    found = list(_others(submission, board))
    found.sort(key=lambda each: (abs(each.change - own.change), each.name))
    found.sort(key=lambda each: base is None or each.run_id != base.run_id)
    return found[:_NEIGHBOURS]


def standing(submission: Submission) -> Standing:
    """Return the row of a submission."""
    change = (submission.change or {}).get(MEAN)
    metric = change.metrics.get(_HEADLINE) if change else None
    ratio = change.perplexity_ratio if change else None
    cells = (
        submission.method.kind,
        _mean(submission, _HEADLINE),
        "–" if metric is None else _interval(metric.difference),
        "–" if ratio is None else f"× {ratio.estimate:.2f}",
        _mean(submission, "distinct_2"),
        _mean(submission, "language_share"),
        "yes" if submission.degenerate else "no",
    )
    by = metric.difference.estimate if metric else 0.0
    return Standing(submission.model.name, submission.run_id, by, cells)


def _others(submission: Submission, board: Board) -> Iterator[Standing]:
    key = submission.prompt_list, submission.track
    for spot in board.spots():
        found = None if spot.run_id == submission.run_id else board.read(spot)
        if found is not None and (found.prompt_list, found.track) == key:
            yield standing(found)


def _title(checking: Checking) -> str:
    wrong = sum(bool(each.problems) for each in checking.checked)
    changed = len(checking.board_problems)
    refused = f", {changed} changes refused" if changed else ""
    return f"# {len(checking.checked)} submissions checked, {wrong} with problems{refused}"


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [f"- {escaped(each)}" for each in sentences]


def _table(submission: Submission, board: Board) -> list[str]:
    head = (
        "| model | method | EMT | change of EMT | perplexity | distinct-2 | language | degenerate |"
    )
    own = standing(submission)
    rows = [(f"**{escaped(own.name)}**", own)]
    rows += [(escaped(each.name), each) for each in neighbours(submission, board)]
    lines = [f"| {' | '.join((name, *each.cells))} |" for name, each in rows]
    return [head, "|---|---|---:|---:|---:|---:|---:|---|", *lines]


def _mean(submission: Submission, name: str) -> str:
    found = submission.mean.get(name)
    return "–" if found is None else f"{found.estimate:.3f}"


def _interval(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return f"{value.estimate:+.3f}"
    return f"{value.estimate:+.3f} ({value.low:+.3f} to {value.high:+.3f})"
