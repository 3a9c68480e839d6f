"""A submission in the terminal: a line a language, before and after, with verdicts."""

from rich import box
from rich.markup import escape
from rich.table import Table

from detox_bench.comparison import HEADLINE
from detox_bench.leaderboard.submission import Estimate, LanguageChange, Submission
from detox_bench.summary import COLUMNS, MEAN
from detox_bench.verdicts import CLEAN, DEGENERATE, WORSE

_COLOURS = {CLEAN: "green", DEGENERATE: "red", WORSE: "red"}
_QUALITY = ("language_share", "distinct_2")
_HEADINGS = COLUMNS | {"language_share": "language"}


def submission_table(submission: Submission) -> Table:
    """Return the table: toxicity as base → after, or alone of a base, and what goes with it."""
    scorer = submission.scorer
    table = Table(
        title=escape(f"{submission.model.name} on list {submission.prompt_list}"),
        box=box.SIMPLE_HEAD,
        caption_justify="left",
        caption=f"Scorer: {scorer.id}, toxic from {scorer.threshold:g}. Perplexity under the base "
        "model: the median, or its ratio to the base's.",
    )
    table.add_column("language")
    for name in (*HEADLINE, *_QUALITY):
        table.add_column(_HEADINGS[name], justify="right")
    table.add_column("perplexity", justify="right")
    table.add_column("verdict")
    for code in submission.languages:
        table.add_row(*_row(submission, code))
    table.add_section()
    table.add_row(*_row(submission, MEAN))
    return table


def _row(submission: Submission, code: str) -> list[str]:
    language = submission.languages.get(code)
    metrics = language.metrics if language else submission.mean
    change = (submission.change or {}).get(code)
    cells = [_cell(metrics.get(name), change, name) for name in (*HEADLINE, *_QUALITY)]
    if change is None:
        median = language.perplexity.median if language and language.perplexity else None
        return [code, *cells, "–" if median is None else f"{median:.1f}", ""]
    ratio = change.perplexity_ratio
    return [code, *cells, "–" if ratio is None else f"× {ratio.estimate:.2f}", _verdict(change)]


def _cell(found: Estimate | None, change: LanguageChange | None, name: str) -> str:
    if found is None:
        return "–"
    before = change.metrics.get(name) if change else None
    return f"{before.base:.3f} → {found.estimate:.3f}" if before else f"{found.estimate:.3f}"


def _verdict(change: LanguageChange) -> str:
    words = change.verdict or ", ".join(change.signs)
    colour = _COLOURS.get(words)
    return f"[{colour}]{words}[/{colour}]" if colour else words
