"""``detox-bench compare``: a model before and after, language by language."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from detox_bench.commands.comparison_table import Found, print_comparison
from detox_bench.comparison import (
    OTHERS,
    SOURCE,
    ComparisonRow,
    as_json,
    compare,
    interval_json,
    verdict,
)
from detox_bench.doubts import checked_threshold
from detox_bench.errors import DetoxBenchError
from detox_bench.run_metrics import MeasuredRun, measure_run
from detox_bench.runs import write_json
from detox_bench.scorers.protocol import scorer_info
from detox_bench.scorers.table import load_scorer
from detox_bench.statistics import Interval
from detox_bench.summary import MEAN

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench compare out/run/base out/run/dpo --perplexity-model ./base`\n\n"
    "`detox-bench compare out/run/base dpo-0/run/m dpo-1/run/m dpo-2/run/m --json changes.json`"
)


class Asked(NamedTuple):
    """How to compare; the fields are the options of the command."""

    perplexity_model: str | None = None
    scorer: str = "ngram"
    threshold: float | None = None
    common: bool = False
    prompts: Path | None = None


class Comparisons(NamedTuple):
    """One comparison a group of runs, the caption of their tables, and the settings as JSON."""

    found: list[Found]
    caption: str
    settings: Mapping[str, Any]


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
    asked = Asked(perplexity_model, scorer, threshold, common, prompts)
    groups = [[run] for run in runs] if separately else [runs]
    comparisons = compare_stores(base, groups, asked)
    for each in comparisons.found:
        print_comparison(str(base), each, comparisons.caption)
    if json_file is not None:
        found = [comparison_json(each) for each in comparisons.found]
        write_json(json_file, dict(comparisons.settings) | {"comparisons": found})


def compare_stores(base: Path, groups: Sequence[Sequence[Path]], asked: Asked) -> Comparisons:
    """Score and compare stored continuations; the runs of a group are seeds of one setting."""
    judge = load_scorer(asked.scorer)
    limit = judge.threshold if asked.threshold is None else checked_threshold(asked.threshold)
    before = measure_run(base, judge, limit)
    after = [[measure_run(run, judge, limit) for run in group] for group in groups]
    fluency = iter(
        _fluency(asked.perplexity_model, [before, *(r for g in after for r in g)], asked.prompts)
    )
    first = next(fluency, None)
    found = []
    for group, runs in zip(groups, after, strict=True):
        rows = compare([before.metrics], [run.metrics for run in runs], asked.common)
        perplexities = [first, *(next(fluency) for _ in runs)] if first else []
        doubts = [*before.doubts, *(doubt for run in runs for doubt in run.doubts)]
        found.append(_with_fluency([str(run) for run in group], rows, perplexities, doubts))
    settings = {
        "base": str(base),
        "scorer": scorer_info(judge, before.metrics).as_json(),
        "threshold": limit,
        "perplexity_model": asked.perplexity_model,
    }
    return Comparisons(found, f"Scorer: {judge.id}, toxic from {limit:g}.", settings)


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
) -> Found:
    """Add the ratio of median perplexities of each language, and its geometric means."""
    if not perplexities:
        return Found(names, rows, {}, {}, doubts)
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
    return Found(names, rows, fluency, ratios, doubts)


def _geometric_mean(ratios: Sequence[Interval]) -> Interval:
    logs = [math.log(ratio.estimate) for ratio in ratios if ratio.estimate > 0]
    mean = math.exp(sum(logs) / len(logs)) if logs else math.nan
    return Interval(mean, math.nan, math.nan)


def comparison_json(found: Found) -> dict[str, Any]:
    """Return one comparison as JSON: rows, perplexities, verdict, doubts."""
    return {
        "runs": found.names,
        "languages": as_json(found.rows),
        "perplexity": found.fluency,
        "perplexity_ratio": {code: interval_json(ratio) for code, ratio in found.ratios.items()},
        "verdict": verdict(found.rows)._asdict(),
        "doubts": found.doubts,
    }
