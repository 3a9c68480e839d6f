"""Perplexities as a report shows them: a line a language, from those of each run."""

import math
from collections.abc import Sequence

from detox_bench.fluency import Fluency
from detox_bench.reports.content import PerplexityChange
from detox_bench.run_comparison import RunComparison
from detox_bench.summary import MEAN


def perplexity_changes(
    found: RunComparison, languages: Sequence[str]
) -> dict[str, PerplexityChange]:
    """Return the change of each language; nothing where no model judged."""
    return {code: _change(found, code) for code in languages if code in found.before}


def mean_ratio(found: RunComparison) -> float | None:
    """Return the geometric mean over languages of the ratios of medians; None without any."""
    ratio = found.ratios.get(MEAN)
    if ratio is None:
        return next((each.estimate for each in found.ratios.values()), None)
    return None if math.isnan(ratio.estimate) else ratio.estimate


def _change(found: RunComparison, code: str) -> PerplexityChange:
    before, after = found.before[code], _pooled([run[code] for run in found.after])
    return PerplexityChange(
        before.quartiles,
        after.quartiles,
        found.ratios[code],
        (before.n_empty, after.n_empty),
        (before.n_dropped, after.n_dropped),
    )


def _pooled(runs: Sequence[Fluency]) -> Fluency:
    """Return several seeds as one: more continuations of the same prompts."""
    ids = dict.fromkeys(prompt for run in runs for prompt in run.values)
    values = {i: [v for run in runs for v in run.values.get(i, ())] for i in ids}
    return Fluency(values, sum(r.n_empty for r in runs), sum(r.n_dropped for r in runs))
