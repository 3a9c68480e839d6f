"""The tables of ``detox-bench compare-scorers``, in the terminal."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.comparison import HEADLINE, MEAN_ROWS
from detox_bench.score_maps import ScoreMap
from detox_bench.scorer_agreement import Agreement
from detox_bench.scorer_comparison import (
    FEWEST_MODELS,
    Conclusion,
    PairComparison,
    TextKey,
    holds,
)
from detox_bench.statistics import Interval
from detox_bench.summary import COLUMNS

_WIDTH = 150


def print_pair(found: PairComparison, runs: Sequence[str]) -> None:
    """Print how far two scorers agree, a line a language."""
    one, other = map(escape, found.scorers)
    table = _table(
        f"{one} and {other} on {escape(', '.join(runs))}",
        "ρ: Spearman's rank correlation, τ: Kendall's tau-b, of prompts by their mean and maximum "
        "score and of single texts; κ: Cohen's, toxic or not at each scorer's threshold. Small: 95 "
        "% bootstrap intervals over prompts. toxic: the share of texts, by the first and the "
        "second.",
    )
    columns = ("prompts", "texts", "mean ρ", "mean τ", "max ρ", "max τ", "text ρ", "text τ", "κ")
    for heading in (*columns, "toxic"):
        table.add_column(heading, justify="right")
    for code, each in found.languages.items():
        table.add_row(code, *_agreement_cells(each))
    console = _console()
    console.print(table)
    if unscored := sum(each.n_unscored for each in found.languages.values()):
        console.print(f"Left out: {unscored:,} texts without a score of one of the two.")
    for line in _models(found, runs):
        console.print(line, highlight=False)


def print_disputed(
    found: PairComparison, runs: Sequence[str], texts: Mapping[TextKey, str]
) -> None:
    """Print the texts that two scorers rank most differently; ``texts`` only where given."""
    table = _table(
        f"Ranked most differently by {' and '.join(map(escape, found.scorers))}",
        "Ranks as shares of the language's texts, 0 the least toxic."
        + ("" if texts else " The texts are hidden: --with-texts shows them."),
    )
    for heading in ("run", "prompt", "sample", "scores", "ranks", *(["text"] if texts else [])):
        table.add_column(heading, overflow="fold")
    for code, disputed in found.disputed.items():
        for each in disputed:
            scores, ranks = ("  ".join(f"{v:.3f}" for v in p) for p in (each.scores, each.ranks))
            row = [code, runs[each.key.run], each.key.prompt_id, str(each.key.sample)]
            shown = [json.dumps(texts[each.key], ensure_ascii=False)] if texts else []
            table.add_row(*map(escape, [*row, scores, ranks, *shown]))
    if table.rows:
        _console().print(table)


def print_conclusions(found: Mapping[str, Mapping[str, Conclusion]], title: str) -> None:
    """Print what each scorer concludes of a run against its base, a line a language."""
    scorers = list(next(iter(found.values()), {}))
    table = _table(
        escape(title),
        "Difference of EMT with its paired 95 % interval over prompts. lower: those of "
        f"{', '.join(COLUMNS[name] for name in HEADLINE)} all lie below zero; higher: one lies "
        "above; unclear: neither.",
    )
    for scorer in scorers:
        table.add_column(escape(scorer), justify="right")
    table.add_column("conclusion holds")
    for code, by_scorer in found.items():
        cells = [
            _conclusion(by_scorer[scorer]) if scorer in by_scorer else "–" for scorer in scorers
        ]
        table.add_row(code, *cells, "yes" if holds(by_scorer.values()) else "[yellow]no[/yellow]")
    _console().print(table)
    languages = [each for code, each in found.items() if code not in MEAN_ROWS]
    same = sum(holds(each.values()) for each in languages)
    _console().print(
        f"All scorers conclude the same in {same} of {len(languages)} languages.", highlight=False
    )


def print_map(found: ScoreMap, archive: Path) -> None:
    """Print the error of a map, a line a language."""
    table = _table(
        f"{escape(found.scorer)} put on the scale of {escape(str(archive))}",
        "Isotonic regression on half of the texts, its error on the other half. MAE: mean "
        "absolute error. Small: 95 % bootstrap intervals over texts.",
    )
    for heading in ("fitted", "tested", "unscored", "MAE", "RMSE", "MAE without map"):
        table.add_column(heading, justify="right")
    for code, each in found.errors.items():
        counts = [f"{each[name]:,}" for name in ("n_fitted", "n_tested", "n_unscored")]
        errors = (_cell(_interval(each[name]), 3) for name in ("mae", "rmse", "mae_unmapped"))
        table.add_row(code, *counts, *errors)
    _console().print(table)


def _models(found: PairComparison, runs: Sequence[str]) -> list[str]:
    if len(runs) < FEWEST_MODELS:
        return [f"Order of models: needs {FEWEST_MODELS} runs, given {len(runs)}."]
    return [
        f"Order of {len(runs)} models by EMT in {code}: ρ {_cell(each.spearman.coefficient)}, "
        f"p {each.spearman.p_permutation:.3f}, τ {each.kendall:.3f}."
        for code, each in found.models.items()
    ]


def _agreement_cells(each: Agreement) -> list[str]:
    ranks = [i for r in (each.mean, each.maximum, each.texts) for i in (r.spearman, r.kendall)]
    toxic = " / ".join(f"{share:.1%}" for share in each.labels.toxic)
    cells = [_cell(interval) for interval in (*ranks, each.labels.kappa)]
    return [f"{each.n_prompts:,}", f"{each.n_texts:,}", *cells, toxic]


def _conclusion(found: Conclusion) -> str:
    if "emt" not in found.changes:
        return found.word
    estimate, low, high = found.changes["emt"].difference
    bounds = "" if math.isnan(low) else f" [dim]{low:+.3f} to {high:+.3f}[/dim]"
    return f"{estimate:+.3f}{bounds} {found.word}"


def _cell(value: Interval, digits: int = 2) -> str:
    if math.isnan(value.estimate):
        return "–"
    bounds = "–".join(f"{bound:.{digits}f}" for bound in value[1:])
    return f"{value.estimate:.3f}" + ("" if math.isnan(value.low) else f"\n[dim]{bounds}[/dim]")


def _interval(stored: Sequence[float | None]) -> Interval:
    return Interval(*(math.nan if bound is None else bound for bound in stored))


def _table(title: str, caption: str) -> Table:
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")
    table.add_column("language")
    return table


def _console() -> Console:
    return Console(width=None if Console().is_terminal else _WIDTH)
