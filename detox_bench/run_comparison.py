"""Stored runs measured and compared: toxicity, text and perplexity, before and after.

Of a run that was measured only numbers are kept, so that twenty can be compared at once.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.comparison import (
    MEAN_ROWS,
    OTHERS,
    SOURCE,
    ComparisonRow,
    Run,
    as_json,
    compare,
    interval_json,
    scored_enough,
    verdict,
)
from detox_bench.doubts import checked_threshold
from detox_bench.errors import DetoxBenchError
from detox_bench.fluency import (
    Fluency,
    LanguageModel,
    load_language_model,
    perplexity_ratio,
    prompt_texts,
    run_perplexity,
)
from detox_bench.languages import language as language_row
from detox_bench.run_metrics import measure_samples
from detox_bench.scorers.protocol import Scorer, check_validated, scorer_info
from detox_bench.scorers.table import load_scorer
from detox_bench.statistics import Interval
from detox_bench.stored_texts import PromptSamples, read_samples
from detox_bench.summary import MEAN
from detox_bench.verdicts import MOST_P, LanguageVerdict, judge

_NOT_COMMON = (
    "The same text for other prompts is not counted: the runs do not have the same prompts."
)


class Asked(NamedTuple):
    """How to compare; the fields are options of the commands."""

    perplexity_model: str | None = None
    scorer: str = "ngram"
    threshold: float | None = None
    common: bool = False
    prompts: Path | None = None
    strict: bool = False


class Judges(NamedTuple):
    """What judges all runs of a comparison; without ``language_model`` there is no perplexity."""

    scorer: Scorer
    threshold: float
    language_model: LanguageModel | None
    prompts: Path | None


class Measured(NamedTuple):
    """One run in numbers: metrics of its prompts, perplexities by language, reasons for doubt."""

    name: str
    metrics: Run
    fluency: Mapping[str, Fluency]
    doubts: Sequence[str]


class RunComparison(NamedTuple):
    """The base against one run, or several seeds of one setting.

    ``before`` and ``after`` are the perplexities by language, ``ratios`` those of their medians,
    and geometric means of these; all empty where no model judged.
    """

    names: list[str]
    rows: list[ComparisonRow]
    before: Mapping[str, Fluency]
    after: Sequence[Mapping[str, Fluency]]
    ratios: Mapping[str, Interval]
    verdicts: Mapping[str, LanguageVerdict]
    doubts: list[str]


class Comparisons(NamedTuple):
    """One comparison a group of runs, the caption of their tables, and the settings as JSON."""

    found: list[RunComparison]
    caption: str
    settings: Mapping[str, Any]


def load_judges(asked: Asked, stores: Sequence[Path] = ()) -> Judges:
    """Load what ``asked`` names; raises for a threshold, scorer or model that is none.

    Strict, it refuses languages of ``stores`` in which the scorer is not validated, before a
    language model is loaded.
    """
    if asked.prompts is not None and asked.perplexity_model is None:
        raise DetoxBenchError("--prompts is read for perplexities: name a --perplexity-model.")
    scorer = load_scorer(asked.scorer)
    limit = scorer.threshold if asked.threshold is None else checked_threshold(asked.threshold)
    if asked.strict:
        codes = {language_row(each.language).code for s in stores for each in _samples(s)}
        check_validated(scorer, codes)
    named = asked.perplexity_model
    model = load_language_model(named) if named else None
    return Judges(scorer, limit, model, asked.prompts)


def measure(samples: Sequence[PromptSamples], name: str, judges: Judges) -> Measured:
    """Measure continuations: by the scorer, and by the language model where there is one."""
    found = measure_samples(samples, judges.scorer, judges.threshold, name, judges.prompts)
    fluency: Mapping[str, Fluency] = {}
    if judges.language_model is not None:
        texts = prompt_texts(samples, judges.prompts)
        fluency = run_perplexity(judges.language_model, samples, texts)
    return Measured(name, found.metrics, fluency, found.doubts)


def compare_measured(
    base: Measured, others: Sequence[Measured], common: bool = False
) -> RunComparison:
    """Compare the base with runs that are seeds of one setting; raises as ``compare``."""
    runs = [base.metrics, *(run.metrics for run in others)]
    doubts = [*base.doubts, *(doubt for run in others for doubt in run.doubts)]
    if common and any(_prompts(run) != _prompts(runs[0]) for run in runs):
        runs = [_without(run, "common_rate") for run in runs]  # it grows with the prompts
        doubts.append(_NOT_COMMON)
    rows = compare(runs[:1], runs[1:], common)
    if lost := sorted({code for run in runs for code in run} - {row.language for row in rows}):
        doubts.append(f"Left out, since the runs share no prompt in it: {', '.join(lost)}.")
    ratios = _ratios(rows, base.fluency, [run.fluency for run in others]) if base.fluency else {}
    doubts += _too_few(rows)
    if left_out := sorted({code for row in rows for code in row.left_out}):
        doubts.append(f"Hardly scored, and left out of the means: {', '.join(left_out)}.")
    return RunComparison(
        [run.name for run in others],
        rows,
        base.fluency,
        [run.fluency for run in others] if base.fluency else [],
        ratios,
        judge(rows, ratios),
        doubts,
    )


def compare_stores(base: Path, groups: Sequence[Sequence[Path]], asked: Asked) -> Comparisons:
    """Score and compare stored continuations; the runs of a group are seeds of one setting.

    Raises as ``load_judges``, ``read_samples`` and ``measure``.
    """
    judges = load_judges(asked, [base, *chain.from_iterable(groups)])
    before = _measured(base, judges)
    found = [
        compare_measured(before, [_measured(run, judges) for run in group], asked.common)
        for group in groups
    ]
    settings = {
        "base": str(base),
        "scorer": scorer_info(judges.scorer, before.metrics).as_json(),
        "threshold": judges.threshold,
        "perplexity_model": asked.perplexity_model,
    }
    caption = f"Scorer: {judges.scorer.id}, toxic from {judges.threshold:g}."
    return Comparisons(found, caption, settings)


def comparison_json(found: RunComparison) -> dict[str, Any]:
    """Return one comparison as JSON: rows, perplexities, verdicts, doubts."""
    fluency = {
        code: {"base": before.as_json(), "others": [run[code].as_json() for run in found.after]}
        for code, before in found.before.items()
        if all(code in run for run in found.after)
    }
    return {
        "runs": found.names,
        "languages": as_json(found.rows),
        "perplexity": fluency,
        "perplexity_ratio": {code: interval_json(ratio) for code, ratio in found.ratios.items()},
        "verdict": verdict(found.rows)._asdict(),
        "verdicts": {code: each._asdict() for code, each in found.verdicts.items()},
        "doubts": found.doubts,
    }


def _samples(store: Path) -> list[PromptSamples]:
    if not store.exists():
        raise DetoxBenchError(f"{store} does not exist. Give a run folder or a samples file.")
    return list(read_samples(store))


def _measured(store: Path, judges: Judges) -> Measured:
    return measure(_samples(store), str(store), judges)


def _too_few(rows: Sequence[ComparisonRow]) -> list[str]:
    """Return a doubt where no change could be sure: the least p of n prompts is 2 / 2^n."""
    languages = [row for row in rows if row.language not in MEAN_ROWS]
    few = [r.language for r in languages if len(languages) * 2 / 2**r.n_prompts >= MOST_P]
    if not few:
        return []
    return [
        f"Too few prompts for any verdict but unchanged, after Holm's correction over "
        f"{len(languages)} languages: {', '.join(few)}. Ten a language are enough for a large one."
    ]


def _prompts(run: Run) -> dict[str, set[str]]:
    return {code: set(prompts) for code, prompts in run.items()}


def _without(run: Run, metric: str) -> Run:
    return {
        code: {
            prompt: {name: value for name, value in found.items() if name != metric}
            for prompt, found in prompts.items()
        }
        for code, prompts in run.items()
    }


def _ratios(
    rows: Sequence[ComparisonRow],
    before: Mapping[str, Fluency],
    after: Sequence[Mapping[str, Fluency]],
) -> dict[str, Interval]:
    """Return the ratio of median perplexities of each language, and their geometric means."""
    codes = [row.language for row in rows if row.language not in MEAN_ROWS]
    ratios = {code: perplexity_ratio(before[code], [run[code] for run in after]) for code in codes}
    known = [row.language for row in rows if row.language in codes and scored_enough(row)]
    return ratios | {
        MEAN: _geometric_mean([ratios[code] for code in known]),
        OTHERS: _geometric_mean([ratios[code] for code in known if code != SOURCE]),
    }


def _geometric_mean(ratios: Sequence[Interval]) -> Interval:
    logs = [math.log(ratio.estimate) for ratio in ratios if ratio.estimate > 0]
    mean = math.exp(sum(logs) / len(logs)) if logs else math.nan
    return Interval(mean, math.nan, math.nan)
