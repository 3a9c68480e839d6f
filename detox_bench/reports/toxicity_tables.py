"""What the report says of toxicity: the headline, the runs side by side, languages, the paper."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from detox_bench.comparison import HEADLINE, MEAN_ROWS, ComparisonRow
from detox_bench.reports.cells import (
    Cell,
    Column,
    Row,
    Table,
    change_cells,
    count_cell,
    difference_cell,
    finite,
    language_row,
    number,
    number_cell,
    short_name,
)
from detox_bench.reports.content import Compared, PaperLine, Report, ScorerCard, ScorerRow
from detox_bench.statistics import Interval
from detox_bench.summary import COLUMNS, MEAN
from detox_bench.verdicts import (
    CLEAN,
    DEGENERATE,
    INVALID,
    PERPLEXITY,
    PERPLEXITY_WORDS,
    SIGNS,
    UNCHANGED,
    VERDICTS,
    WORSE,
    LanguageVerdict,
)

#: The sign that stands before each verdict, so that colour is never alone.
ICONS: Mapping[str, str] = {CLEAN: "✓", UNCHANGED: "=", DEGENERATE: "⚠", WORSE: "▲", INVALID: "∅"}
#: The name of each verdict's colour.
TONES: Mapping[str, str] = {
    CLEAN: "clean",
    UNCHANGED: "unchanged",
    DEGENERATE: "degenerate",
    WORSE: "worse",
    INVALID: "invalid",
}
#: What each sign says.
SIGN_WORDS: Mapping[str, str] = {
    **{sign.metric: sign.words for sign in SIGNS},
    PERPLEXITY: PERPLEXITY_WORDS,
}
#: The spaces of headings do not break.
_PARTS = ("base\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}after", "change", "p")
#: The paper's columns, with the digits they are shown with.
_PAPER = {
    "emt": 3,
    "toxicity_probability": 3,
    "average_toxicity": 3,
    "perplexity": 1,
    "distinct_1": 3,
    "distinct_2": 3,
    "distinct_3": 3,
}
INTERVALS = (
    "Intervals are paired 95 % bootstrap intervals over prompts (of means: over the items that "
    "languages share); p is of the paired sign-flip test, of a language Holm-corrected over "
    "the languages."
)
_MARK = " †"


class VerdictCount(NamedTuple):
    """In how many languages a verdict was given."""

    verdict: str
    languages: int

    @property
    def icon(self) -> str:
        """The sign before it."""
        return ICONS[self.verdict]

    @property
    def tone(self) -> str:
        """The name of its colour."""
        return TONES[self.verdict]


def verdict_counts(compared: Compared) -> list[VerdictCount]:
    """Return the verdicts that were given, best first."""
    counts = Counter(each.verdict for each in compared.verdicts.values())
    return [VerdictCount(verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]]


def verdict_cell(found: LanguageVerdict | None) -> Cell:
    """Return a verdict in words, with the signs of wrecked text below."""
    if found is None:
        return Cell("", sort=None)
    signs = ", ".join(SIGN_WORDS[name] for name in found.signs)
    place = float(list(VERDICTS).index(found.verdict))
    text = f"{ICONS[found.verdict]} {found.verdict}"
    return Cell(text, signs, place, TONES[found.verdict])


def means_of(compared: Compared) -> list[ComparisonRow]:
    """Return the rows of means, or the only language; of several without a mean, an empty row."""
    means = [row for row in compared.rows if row.language in MEAN_ROWS]
    nothing = [ComparisonRow(MEAN, 0, {})]
    return means or (list(compared.rows) if len(compared.rows) == 1 else nothing)


def headline(compared: Compared, scorer: ScorerCard) -> Table:
    """Return the three headline metrics, a row each, for each of the means."""
    means = means_of(compared)
    columns = [Column("metric", numeric=False)]
    columns += [Column(part, short_name(row.language)) for row in means for part in _PARTS]
    rows = [
        Row(
            [
                Cell(COLUMNS[name]),
                *(c for row in means for c in change_cells(row.changes.get(name))),
            ]
        )
        for name in HEADLINE
    ]
    return Table(f"Toxicity by {scorer.id}", columns, rows, notes=(INTERVALS,))


def runs_table(report: Report) -> Table:
    """Return a row a run: the headline of the mean of languages, and the count of each verdict."""
    columns = [Column("run", numeric=False)]
    columns += [
        Column(f"{ICONS[verdict]}\N{NO-BREAK SPACE}{verdict}", "languages") for verdict in VERDICTS
    ]
    judged = any(each.perplexity for each in report.compared)
    columns += [Column("ratio", "perplexity")] if judged else []
    columns += [Column(part, COLUMNS[name]) for name in HEADLINE for part in _PARTS]
    rows = [_run_row(each, place, judged) for place, each in enumerate(report.compared, 1)]
    caption = f"Mean of languages, toxicity by {report.scorer.id}"
    return Table(caption, columns, rows, notes=(INTERVALS,))


def toxicity_table(compared: Compared, scorer: ScorerCard) -> Table:
    """Return a row a language: verdict, and the three metrics with difference and p."""
    columns = [Column("language", numeric=False), Column("prompts"), Column("verdict", "", False)]
    columns += [
        Column(part, COLUMNS[name])
        for name in HEADLINE
        for part in (*_PARTS[:2], "p\N{NO-BREAK SPACE}(Holm)")
    ]
    longest = {name: _longest(compared.rows, name) for name in HEADLINE}
    bad = {row.language: row for row in scorer.rows if not row.valid}
    rows = [_language(row, compared, longest, bad) for row in compared.rows]
    split = sum(row.language not in MEAN_ROWS for row in compared.rows)
    notes = (
        INTERVALS,
        "Bars: base above, after below, as long as the largest value of the column allows.",
        *_unsound([bad[row.language] for row in compared.rows if row.language in bad], scorer),
    )
    return Table(
        f"Toxicity by language, scored by {scorer.id}", columns, rows[:split], rows[split:], notes
    )


def paper_table(paper: PaperLine) -> Table:
    """Return the line of the paper's Table 2 for this base model, and the change."""
    names = [name for name in _PAPER if name in paper.before or name in paper.after]
    columns = [Column("", numeric=False), *(Column(_paper_heading(name)) for name in names)]
    rows = [
        Row([Cell(label), *(number_cell(values.get(name), _PAPER[name]) for name in names)])
        for label, values in (("before", paper.before), (f"after {paper.tuning}", paper.after))
    ]
    changes = [_paper_change(paper, name) for name in names]
    rows.append(Row([Cell("change"), *changes]))
    caption = f"{paper.model} in Table 2 of arXiv 2406.16235, toxicity by Perspective API"
    note = (
        "The scorers differ (Perspective API there): levels are not comparable with those of this "
        "report, only the direction of the change is."
    )
    return Table(caption, columns, rows, notes=(note,), sortable=False)


def why_unsound(row: ScorerRow, least_auc: float) -> str:
    """Return why the scorer's numbers are not valid in a language."""
    if row.auc is None:
        return f"{row.coverage}, not validated"
    return f"{row.coverage}, AUC {number(row.auc, 2)}, valid from {number(least_auc, 2)}"


def _unsound(rows: Sequence[ScorerRow], scorer: ScorerCard) -> list[str]:
    if not rows:
        return []
    reasons = "; ".join(
        f"{short_name(row.language)} ({why_unsound(row, scorer.least_auc)})" for row in rows
    )
    return [f"† grey: the scorer is not valid there, so its numbers say little: {reasons}."]


def _language(
    row: ComparisonRow,
    compared: Compared,
    longest: Mapping[str, float],
    bad: Mapping[str, ScorerRow],
) -> Row:
    found = compared.verdicts.get(row.language)
    cells = [count_cell(row.n_prompts), verdict_cell(found)]
    for name in HEADLINE:
        cells += change_cells(row.changes.get(name), longest[name])
    unsound = row.language in bad
    muted = unsound or (found is not None and found.verdict == INVALID)
    return language_row(row.language, cells, muted, _MARK if unsound else "")


def _longest(rows: Sequence[ComparisonRow], name: str) -> float:
    found = [row.changes[name] for row in rows if name in row.changes]
    values = [finite(value) or 0.0 for each in found for value in (each.base, each.other)]
    return max(values, default=0.0)


def _run_row(compared: Compared, place: int, judged: bool) -> Row:
    row = means_of(compared)[0]
    about = compared.about
    detail = "made-up reference" if compared.is_reference else (about.model or "")
    cells = [Cell(about.name, detail, about.name.lower(), link=f"#run-{place}")]
    counts = Counter(each.verdict for each in compared.verdicts.values())
    cells += [_count_of(verdict, counts[verdict]) for verdict in VERDICTS]
    cells += [number_cell(compared.mean_perplexity_ratio, 2)] if judged else []
    for name in HEADLINE:
        cells += change_cells(row.changes.get(name))
    return Row(cells)


def _count_of(verdict: str, count: int) -> Cell:
    return count_cell(count)._replace(tone=TONES[verdict] if count else "")


def _paper_heading(name: str) -> str:
    return COLUMNS.get(name, name)


def _paper_change(paper: PaperLine, name: str) -> Cell:
    one, two = paper.before.get(name), paper.after.get(name)
    if one is None or two is None:
        return Cell("–")
    nan = float("nan")
    return difference_cell(Interval(two - one, nan, nan), _PAPER[name])
