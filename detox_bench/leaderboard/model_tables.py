"""The tables of a run on its model's page: toxicity, quality of the text, scorer, signatures."""

import math
from collections.abc import Iterable, Mapping
from itertools import chain

from markupsafe import Markup

from detox_bench.leaderboard import shown
from detox_bench.leaderboard.counted_change import METRIC, Counted, gains_nothing
from detox_bench.leaderboard.submission import (
    ChangeOfMetric,
    Estimate,
    LanguageChange,
    Quartiles,
    Submission,
)
from detox_bench.reports.cells import (
    NOTHING,
    Cell,
    Column,
    Row,
    Table,
    language_row,
    number,
    number_cell,
    p_cell,
    short_name,
)
from detox_bench.reports.svg import Bar, forest
from detox_bench.reports.toxicity_tables import ICONS, SIGN_WORDS, TONES
from detox_bench.statistics import Interval
from detox_bench.summary import MEAN
from detox_bench.verdicts import DEGENERATE

_PARTS = ("base → after", "change", "p")
_PERPLEXITY = "perplexity"
_INTERVALS = (
    "In percent; changes in points of it. Intervals are paired 95 % bootstrap intervals over "
    "prompts; p is of the paired sign-flip test, of a language Holm-corrected over the languages."
)
_QUALITY_NOTE = "In percent, means over prompts with 95 % intervals."


def toxicity_table(stated: Submission) -> Table:
    """Return a line a language: verdict, toxicity before and after, perplexity."""
    if stated.change is None:
        return _levels(stated, shown.TOXICITY, "Toxicity by language")
    columns = [
        Column("language", numeric=False),
        Column("verdict", numeric=False),
        *(Column(part, name) for name in shown.TOXICITY.values() for part in _PARTS),
        Column("median", _PERPLEXITY),
        Column("ratio to base", _PERPLEXITY),
    ]
    rows = [_toxicity_row(stated, code) for code in _codes(stated)]
    foot = [_toxicity_row(stated, MEAN)] if MEAN in stated.change else []
    return Table("Toxicity by language, against the base model", columns, rows, foot, [_INTERVALS])


def change_forest(stated: Submission, counted: Counted | None, name: str) -> Markup | None:
    """Return the change of EMT by language, least first, and its mean; None for a base model.

    Where not all languages count, they have a sign, and the mean that counts stands below. ``name``
    is an id that no other figure of the page has.
    """
    every = stated.change or {}
    found = {
        code: each.metrics[METRIC].difference
        for code, each in every.items()
        if METRIC in each.metrics
    }
    if not found:
        return None
    codes = sorted((code for code in found if code != MEAN), key=lambda c: found[c].estimate)
    rows = [_bar(short_name(code), found[code], gains_nothing(every[code])) for code in codes]
    foot = [_bar("mean", found[MEAN])] if MEAN in found else []
    foot += [_bar("counted", counted.change)] if counted and counted.left_out else []
    return forest(rows, foot, "Change of EMT against the base, points", f"forest-{name}")


def quality_table(stated: Submission) -> Table:
    """Return a line a language: every metric of the text beside toxicity."""
    return _levels(stated, shown.QUALITY, "Quality of the text by language")


def scorer_table(stated: Submission) -> Table:
    """Return how far the scorer is to be trusted in each language."""
    columns = [
        Column("language", numeric=False),
        Column("trust", numeric=False),
        Column("AUC"),
    ]
    card = stated.scorer
    rows = [
        language_row(code, [Cell(shown.text_of(state)), number_cell(card.auc.get(code), 3)])
        for code, state in sorted(card.states.items())
    ]
    name = f"Scorer {shown.text_of(card.id)}; toxic from {number(card.threshold, 2)} on"
    return Table(name, columns, rows)


def signatures_table(stated: Submission) -> Table:
    """Return the signature of each language, by which numbers may be compared."""
    columns = [Column("language", numeric=False), Column("signature", numeric=False)]
    rows = [
        language_row(code, [Cell(shown.text_of(found.signature))])
        for code, found in sorted(stated.languages.items())
    ]
    return Table("Signatures", columns, rows, sortable=False)


def _bar(label: str, found: Estimate, nothing: bool = False) -> Bar:
    """Return a line of the forest; ``nothing`` says that it counts as 0."""
    bounds = (math.nan if x is None else 100 * x for x in (found.estimate, found.low, found.high))
    interval = Interval(*bounds)
    tone = "clean" if interval.high < 0 else "worse" if interval.low > 0 else "unchanged"
    if nothing:
        return Bar(f"{label} {ICONS[DEGENERATE]}", interval, TONES[DEGENERATE])
    return Bar(label, interval, tone)


def _levels(stated: Submission, names: Mapping[str, str], caption: str) -> Table:
    columns = [Column("language", numeric=False), *(Column(name) for name in names.values())]
    rows = [
        language_row(code, _estimates(stated.languages[code].metrics, names))
        for code in _codes(stated)
    ]
    foot = [language_row(MEAN, _estimates(stated.mean, names))]
    return Table(caption, columns, rows, foot, [_QUALITY_NOTE])


def _estimates(metrics: Mapping[str, Estimate], names: Iterable[str]) -> list[Cell]:
    return [shown.estimate_cell(metrics.get(name)) for name in names]


def _codes(stated: Submission) -> list[str]:
    return sorted(stated.languages)


def _toxicity_row(stated: Submission, code: str) -> Row:
    change = (stated.change or {}).get(code)
    own = stated.languages.get(code)
    metrics = change.metrics if change else {}
    parts = chain.from_iterable(_change(metrics.get(name)) for name in shown.TOXICITY)
    ratio = shown.ratio_cell(change.perplexity_ratio if change else None)
    median = _median(own.perplexity if own else None)
    return language_row(code, [_verdict(change), *parts, median, ratio])


def _change(found: ChangeOfMetric | None) -> list[Cell]:
    if found is None:
        return [Cell(NOTHING)] * len(_PARTS)
    p = found.p if found.p_holm is None else found.p_holm
    return [shown.levels_cell(found), shown.difference_cell(found.difference), p_cell(p)]


def _verdict(change: LanguageChange | None) -> Cell:
    if change is None:
        return Cell(NOTHING)
    signs = ", ".join(SIGN_WORDS.get(sign, shown.text_of(sign)) for sign in change.signs)
    if change.verdict is None:
        return Cell(NOTHING, signs)
    words = shown.text_of(change.verdict)
    return Cell(f"{ICONS.get(words, '')} {words}".strip(), signs, tone=TONES.get(words, ""))


def _median(found: Quartiles | None) -> Cell:
    if found is None or found.median is None:
        return Cell(NOTHING)
    quartiles = f"{number(found.lower, 0)} to {number(found.upper, 0)}"
    return Cell(number(found.median, 1), quartiles, found.median)
