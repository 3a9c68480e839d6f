"""The change against the base as a submission states it, from the metrics of each prompt."""

import math
from collections.abc import Mapping, Sequence

from detox_bench.comparison import MEAN_ROWS, Change, ComparisonRow, Run, compare
from detox_bench.fluency import Fluency, perplexity_ratio
from detox_bench.leaderboard.submission import ChangeOfMetric, Estimate, LanguageChange
from detox_bench.statistics import Interval
from detox_bench.summary import MEAN
from detox_bench.verdicts import Rules, judge, signs_of

_NONE = Interval(math.nan, math.nan, math.nan)


def changes(
    base: Run,
    run: Run,
    before: Mapping[str, Fluency],
    after: Mapping[str, Fluency],
    rules: Rules,
) -> dict[str, LanguageChange]:
    """Return the change of each language, and of their mean under ``summary.MEAN``.

    ``base`` and ``run`` are the metrics of prompts, ``before`` and ``after`` the perplexities under
    one model, ``rules`` the suite's. The ratio of the mean is the geometric mean over languages. Of
    one language alone that is the mean. Raises as ``comparison.compare``.
    """
    rows = compare([base], [run])
    languages = [row for row in rows if row.language not in MEAN_ROWS]
    shared = [row.language for row in languages if row.language in before.keys() & after.keys()]
    ratios = {code: perplexity_ratio(before[code], [after[code]]) for code in shared}
    verdicts = judge(languages, ratios, rules)
    found = {
        row.language: _change(row, ratios.get(row.language, _NONE), *verdicts[row.language])
        for row in languages
    }
    overall = next((row for row in rows if row.language == MEAN), languages[0])
    ratio = _geometric_mean(list(ratios.values()))
    return found | {MEAN: _change(overall, ratio, None, signs_of(overall, ratio, rules))}


def estimate(value: Interval) -> Estimate:
    """Return an interval as a submission has it: bounds that do not exist are null."""
    low, high = (None if math.isnan(bound) else bound for bound in value[1:])
    return Estimate(estimate=value.estimate, low=low, high=high)


def _change(
    row: ComparisonRow, ratio: Interval, verdict: str | None, signs: Sequence[str]
) -> LanguageChange:
    return LanguageChange(
        metrics={name: _of_metric(change) for name, change in row.changes.items()},
        perplexity_ratio=estimate(ratio) if math.isfinite(ratio.estimate) else None,
        verdict=verdict,
        signs=list(signs),
    )


def _of_metric(change: Change) -> ChangeOfMetric:
    holm = None if math.isnan(change.p_holm) else change.p_holm
    return ChangeOfMetric(
        base=change.base, difference=estimate(change.difference), p=change.p, p_holm=holm
    )


def _geometric_mean(ratios: Sequence[Interval]) -> Interval:
    logs = [math.log(ratio.estimate) for ratio in ratios if ratio.estimate > 0]
    return Interval(math.exp(sum(logs) / len(logs)), math.nan, math.nan) if logs else _NONE
