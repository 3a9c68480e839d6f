"""What the report says of the text beside toxicity: signs of wrecked text, diversity, verdicts.

To show another metric, add its line to ``SHOWN``.
"""

from collections.abc import Sequence
from typing import NamedTuple

from detox_bench.comparison import MEAN_ROWS, ComparisonRow
from detox_bench.reports.cells import (
    NOTHING,
    Cell,
    Column,
    Row,
    Table,
    finite,
    language_row,
    levels_cell,
    number,
    number_cell,
    span,
)
from detox_bench.reports.content import Compared, PerplexityChange
from detox_bench.reports.toxicity_tables import ICONS, SIGN_WORDS, TONES, verdict_cell
from detox_bench.summary import MEAN
from detox_bench.verdicts import MOST_PERPLEXITY, PERPLEXITY, PERPLEXITY_WORDS, SIGNS, VERDICTS

_SIGNS, _TEXT = "signs", "text"
_RIGHT_LANGUAGE = (
    "In the right language only, EMT and ToxProb fall for one more reason where fewer samples are "
    "left: they are about the worst of them. AvgTox does not."
)


class Shown(NamedTuple):
    """A metric, the table it stands in, its group there, and its heading."""

    metric: str
    table: str
    group: str
    heading: str


SHOWN: Sequence[Shown] = (
    Shown("empty_rate", _SIGNS, "degeneration", "empty"),
    Shown("short_rate", _SIGNS, "degeneration", "< 3 words"),
    Shown("repetition", _SIGNS, "degeneration", "repeated 3-grams"),
    Shown("prompt_copy", _SIGNS, "degeneration", "copied from prompt"),
    Shown("duplicate_rate", _SIGNS, "degeneration", "same text again"),
    Shown("common_rate", _SIGNS, "degeneration", "same for other prompts"),
    Shown("language_share", _SIGNS, "language", "in the prompt's"),
    Shown("undetermined_share", _SIGNS, "language", "undetermined"),
    Shown("distinct_1", _TEXT, "diversity", "Dist-1"),
    Shown("distinct_2", _TEXT, "diversity", "Dist-2"),
    Shown("distinct_3", _TEXT, "diversity", "Dist-3"),
    Shown("self_bleu", _TEXT, "diversity", "self-BLEU"),
    Shown("distinct_1_legacy", _TEXT, "diversity as the paper counts", "Dist-1"),
    Shown("distinct_2_legacy", _TEXT, "diversity as the paper counts", "Dist-2"),
    Shown("distinct_3_legacy", _TEXT, "diversity as the paper counts", "Dist-3"),
    Shown("script_share", _TEXT, "script", "in the language's"),
    Shown("mixed_script_words", _TEXT, "script", "mixed words"),
    Shown("right_language_emt", _TEXT, "toxicity, right language only", "EMT"),
    Shown("right_language_toxicity_probability", _TEXT, "toxicity, right language only", "ToxProb"),
    Shown("right_language_toxicity", _TEXT, "toxicity, right language only", "AvgTox"),
    Shown("unscored_rate", _TEXT, "scorer", "unscored"),
)


def signs_table(compared: Compared, judge: str | None) -> Table:
    """Return a row a language: every metric that a verdict looks at, signs marked and in words."""
    shown = _present(compared, _SIGNS)
    columns = [Column("language", numeric=False), Column("verdict", numeric=False)]
    if compared.perplexity:
        columns += [Column(part, "perplexity") for part in ("median", "ratio", "without")]
    columns += [Column(each.heading, each.group) for each in shown]
    rows = [_signs_row(row, compared, shown) for row in compared.rows]
    notes = [
        "Shares, base → after. ✗ is a sign of wrecked text, by the limits given with verdicts."
    ]
    notes += _perplexity_notes(compared, judge)
    caption = "Signs of wrecked text, by language"
    return _table(caption, columns, rows, compared, notes)


def text_table(compared: Compared, scorer_id: str) -> Table:
    """Return a row a language: diversity, script, and toxicity in the right language only."""
    shown = _present(compared, _TEXT)
    columns = [Column("language", numeric=False)]
    columns += [Column(each.heading, each.group) for each in shown]
    rows = [
        language_row(row.language, [_levels(row, each.metric) for each in shown])
        for row in compared.rows
    ]
    notes = [f"Base → after. Toxicity is scored by {scorer_id}. {_RIGHT_LANGUAGE}"]
    return _table("Diversity and language, by language", columns, rows, compared, notes)


def verdicts_table() -> Table:
    """Return what each verdict means."""
    columns = [Column("verdict", numeric=False), Column("given where", numeric=False)]
    rows = [
        Row([Cell(f"{ICONS[verdict]} {verdict}", tone=TONES[verdict]), Cell(meaning)])
        for verdict, meaning in VERDICTS.items()
    ]
    return Table("Verdicts, best first", columns, rows, sortable=False)


def thresholds_table() -> Table:
    """Return by what a text counts as wrecked."""
    columns = [Column("sign", numeric=False), Column("metric", numeric=False)]
    columns += [Column("limit after"), Column("and changed by at least")]
    rows = [
        Row(
            [
                Cell(sign.words),
                Cell(sign.metric),
                Cell(f"{'below' if sign.falls else 'above'} {sign.limit:.0%}"),
                Cell(f"{'−' if sign.falls else '+'}{sign.change:.0%}"),
            ]
        )
        for sign in SIGNS
    ]
    ratio = [
        Cell(PERPLEXITY_WORDS),
        Cell(PERPLEXITY),
        Cell(f"above {MOST_PERPLEXITY:g} ×"),
        Cell("–"),
    ]
    return Table("Signs of wrecked text", columns, [*rows, Row(ratio)], sortable=False)


def _table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    compared: Compared,
    notes: Sequence[str],
) -> Table:
    split = sum(row.language not in MEAN_ROWS for row in compared.rows)
    return Table(caption, columns, rows[:split], rows[split:], notes)


def _present(compared: Compared, table: str) -> list[Shown]:
    """Return the metrics of a table that some language has."""
    names = {name for row in compared.rows for name in row.changes}
    return [each for each in SHOWN if each.table == table and each.metric in names]


def _signs_row(row: ComparisonRow, compared: Compared, shown: Sequence[Shown]) -> Row:
    found = compared.verdicts.get(row.language)
    signs = found.signs if found else ()
    cells = [verdict_cell(found)._replace(detail="")]
    if compared.perplexity:
        ratio = compared.mean_perplexity_ratio if row.language == MEAN else None
        cells += _perplexity_cells(compared.perplexity.get(row.language), signs, ratio)
    cells += [_marked(_levels(row, each.metric), each.metric, signs) for each in shown]
    return language_row(row.language, cells)


def _levels(row: ComparisonRow, metric: str) -> Cell:
    change = row.changes.get(metric)
    return levels_cell(change.base, change.other) if change else Cell(NOTHING)


def _marked(cell: Cell, metric: str, signs: Sequence[str]) -> Cell:
    """Return the cell, as a sign of wrecked text if it is one."""
    if metric not in signs:
        return cell
    return cell._replace(text=f"✗ {cell.text}", detail=SIGN_WORDS[metric], tone="sign")


def _perplexity_cells(
    found: PerplexityChange | None, signs: Sequence[str], mean: float | None
) -> list[Cell]:
    if found is None:
        return [Cell(NOTHING), number_cell(mean, 2), Cell(NOTHING)]
    before, after = (each[1] if each else None for each in (found.base, found.other))
    quartiles = [span(each[0], each[2], 1) or NOTHING for each in (found.base, found.other) if each]
    levels = levels_cell(before, after, digits=1)._replace(detail=" → ".join(quartiles))
    ratio = Cell(
        number(found.ratio.estimate, 2),
        span(found.ratio.low, found.ratio.high, 2),
        finite(found.ratio.estimate),
    )
    without = [
        f"{empty} + {cut}" for empty, cut in zip(found.n_empty, found.n_dropped, strict=True)
    ]
    missing = Cell(" → ".join(without), sort=float(found.n_empty[1] + found.n_dropped[1]))
    return [levels, _marked(ratio, PERPLEXITY, signs), missing]


def _perplexity_notes(compared: Compared, judge: str | None) -> list[str]:
    if not compared.perplexity:
        return ["Perplexity was not measured: name a judging model with --perplexity-model."]
    return [
        f"Perplexity of the continuation given its prompt, by {judge or 'the base model'}: median "
        "and quartiles; ratio of the medians with its 95 % interval; without a perplexity: empty + "
        "dropped continuations."
    ]
