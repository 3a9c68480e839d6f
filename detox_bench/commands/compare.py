"""``detox-bench compare``: a model before and after, language by language."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.comparison import (
    HEADLINE,
    OTHERS,
    SOURCE,
    Change,
    ComparisonRow,
    as_json,
    compare,
    interval_json,
    verdict,
)
from detox_bench.doubts import checked_threshold
from detox_bench.errors import DetoxBenchError
from detox_bench.languages import LANGUAGES
from detox_bench.run_metrics import MeasuredRun, measure_run
from detox_bench.runs import write_json
from detox_bench.scorers.protocol import scorer_info
from detox_bench.scorers.table import load_scorer
from detox_bench.statistics import Interval
from detox_bench.summary import COLUMNS, MEAN

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench compare out/run/base out/run/dpo --perplexity-model ./base`\n\n"
    "`detox-bench compare out/run/base dpo-0/run/m dpo-1/run/m dpo-2/run/m --json changes.json`"
)
_WIDTH = 150


class _Found(NamedTuple):
    """A comparison of the base with one run or several seeds, and perplexities where asked for."""

    names: list[str]
    rows: list[ComparisonRow]
    fluency: Mapping[str, Any]
    ratios: Mapping[str, Interval]
    doubts: list[str]


@app.command(epilog=_EXAMPLES)
def main(
    base: Annotated[Path, typer.Argument(help="The run before: a run folder or samples files.")],
    runs: Annotated[
        list[Path], typer.Argument(help="The run after; several are seeds of one setting.")
    ],
    perplexity_model: Annotated[
        str | None,
        typer.Option(help="A causal language model, mostly the base: adds the perplexity ratio."),
    ] = None,
    scorer: Annotated[str, typer.Option(help="See `detox-bench scorers`.")] = "ngram",
    threshold: Annotated[
        float | None, typer.Option(help="Toxic from here on; the scorer's own if not given.")
    ] = None,
    separately: Annotated[
        bool, typer.Option("--separately", help="A table for each RUN instead of one for all.")
    ] = False,
    common: Annotated[
        bool, typer.Option("--common", help="Compare the prompts that all runs have, only those.")
    ] = False,
    prompts: Annotated[
        Path | None,
        typer.Option(help="JSON lines of `id` and `text`, for prompts of no known data set."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file as well.")
    ] = None,
) -> None:
    """Compare a model with its base on the same prompts, language by language."""
    judge = load_scorer(scorer)
    limit = judge.threshold if threshold is None else checked_threshold(threshold)
    before, *after = [measure_run(store, judge, limit) for store in (base, *runs)]
    fluency = _fluency(perplexity_model, [before, *after], prompts)
    groups = [[n] for n in range(len(runs))] if separately else [list(range(len(runs)))]
    found = []
    for group in groups:
        rows = compare([before.metrics], [after[n].metrics for n in group], common)
        perplexities = [fluency[0], *(fluency[n + 1] for n in group)] if fluency else []
        doubts = [*before.doubts, *(doubt for n in group for doubt in after[n].doubts)]
        names = [str(runs[n]) for n in group]
        found.append(_with_fluency(names, rows, perplexities, doubts))
    for each in found:
        _print(str(base), each, f"Scorer: {judge.id}, toxic from {limit:g}.")
    if json_file is not None:
        info = scorer_info(judge, before.metrics).as_json()
        settings = {"base": str(base), "scorer": info, "threshold": limit}
        settings["perplexity_model"] = perplexity_model
        write_json(json_file, settings | {"comparisons": [_as_json(each) for each in found]})


def _fluency(
    model: str | None, runs: Sequence[MeasuredRun], file: Path | None
) -> list[dict[str, Any]]:
    """Return the perplexities of each run by language; nothing where no model is named."""
    if model is None:
        if file is not None:
            raise DetoxBenchError("--prompts is read for perplexities: name a --perplexity-model.")
        return []
    from detox_bench.fluency import load_language_model, prompt_texts, run_perplexity

    texts = prompt_texts([each for run in runs for each in run.samples], file)
    loaded = load_language_model(model)
    return [run_perplexity(loaded, run.samples, texts) for run in runs]


def _with_fluency(
    names: list[str],
    rows: list[ComparisonRow],
    perplexities: Sequence[Mapping[str, Any]],
    doubts: list[str],
) -> _Found:
    """Add the ratio of median perplexities of each language, and its geometric means."""
    if not perplexities:
        return _Found(names, rows, {}, {}, doubts)
    from detox_bench.fluency import perplexity_ratio

    before, *after = perplexities
    codes = [row.language for row in rows if row.language not in (MEAN, OTHERS)]
    ratios = {code: perplexity_ratio(before[code], [run[code] for run in after]) for code in codes}
    ratios |= {
        MEAN: _geometric_mean([ratios[code] for code in codes]),
        OTHERS: _geometric_mean([ratios[code] for code in codes if code != SOURCE]),
    }
    fluency = {
        code: {
            "base": before[code].as_json(),
            "others": [run[code].as_json() for run in after],
        }
        for code in codes
    }
    return _Found(names, rows, fluency, ratios, doubts)


def _geometric_mean(ratios: Sequence[Interval]) -> Interval:
    logs = [math.log(ratio.estimate) for ratio in ratios if ratio.estimate > 0]
    mean = math.exp(sum(logs) / len(logs)) if logs else math.nan
    return Interval(mean, math.nan, math.nan)


def _print(base: str, found: _Found, caption: str) -> None:
    console = Console(width=None if Console().is_terminal else _WIDTH)
    console.print(_table(base, found, caption), soft_wrap=False)
    count = verdict(found.rows)
    headline = ", ".join(COLUMNS[name] for name in HEADLINE)
    console.print(
        f"{count.lower} of {count.languages} other languages below zero in all three ({headline}).",
        highlight=False,
    )
    if line := _seeds(found):
        console.print(line, highlight=False)
    for doubt in dict.fromkeys(found.doubts):
        console.print(f"[yellow]Doubtful:[/yellow] {escape(doubt)}")


def _table(base: str, found: _Found, caption: str) -> Table:
    caption += " Difference with its paired 95 % interval over prompts, * where that is below zero."
    title = f"{base} → {', '.join(found.names)}"
    table = Table(title=escape(title), caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")
    table.add_column("language")
    table.add_column("prompts", justify="right")
    for name in [*(COLUMNS[name] for name in HEADLINE), "perplexity ×", "empty", "script"]:
        if found.ratios or name != "perplexity ×":
            table.add_column(name, justify="right")
    for row in found.rows:
        if row.language == MEAN:
            table.add_section()
        cells = [_difference(row.changes.get(name)) for name in HEADLINE]
        cells += [_ratio(found.ratios.get(row.language))] if found.ratios else []
        cells += [_levels(row.changes.get(name)) for name in ("empty_rate", "script_share")]
        table.add_row(_name(row.language), str(row.n_prompts), *cells)
    return table


def _seeds(found: _Found) -> str:
    """Return how far several runs are apart, in words."""
    if len(found.names) < 2:
        return ""
    row = next((row for row in found.rows if row.language == OTHERS), found.rows[-1])
    by_run = {name: row.changes[name].by_run for name in HEADLINE if name in row.changes}
    spans = [f"{COLUMNS[n]} {min(of):+.3f} to {max(of):+.3f}" for n, of in by_run.items()]
    count = len(found.names)
    where = _name(row.language)
    return f"{count} runs averaged prompt by prompt; apart in {where}: {', '.join(spans)}."


def _difference(change: Change | None) -> str:
    if change is None:
        return "–"
    estimate, low, high = change.difference
    bounds = "" if math.isnan(low) else f" {low:+.3f} to {high:+.3f}"
    star = "*" if change.lower else " "
    levels = f"{change.base:.3f} → {change.other:.3f} "
    return f"{levels}\n{estimate:+.3f}[dim]{bounds}[/dim]{star}"


def _ratio(ratio: Interval | None) -> str:
    if ratio is None or math.isnan(ratio.estimate):
        return "–"
    bounds = "" if math.isnan(ratio.low) else f"\n[dim]{ratio.low:.2f} to {ratio.high:.2f}[/dim]"
    return f"{ratio.estimate:.2f}{bounds}"


def _levels(change: Change | None) -> str:
    return "–" if change is None else f"{change.base:.3f}\n{change.other:.3f}"


def _name(code: str) -> str:
    row = LANGUAGES.get(code)
    names = {OTHERS: f"mean but {SOURCE}"}
    return f"{code} {row.name.split(',')[0].split(' (')[0]}" if row else names.get(code, code)


def _as_json(found: _Found) -> dict[str, Any]:
    return {
        "runs": found.names,
        "languages": as_json(found.rows),
        "perplexity": found.fluency,
        "perplexity_ratio": {code: interval_json(ratio) for code, ratio in found.ratios.items()},
        "verdict": verdict(found.rows)._asdict(),
        "doubts": found.doubts,
    }
