"""The band of quality: a row outside of it is listed, not ranked, and is called degenerate."""

from detox_bench.leaderboard.specification import Band, Specification
from detox_bench.leaderboard.submission import LanguageChange

_DIVERSITY = "distinct_2"


def outside_band(mean: LanguageChange, suite: Specification) -> list[str]:
    """Return why a row is outside the band, in phrases; nothing for one inside.

    ``mean`` is the mean of languages of its change (``Submission.change["mean"]``).
    """
    signs = [sign.words for sign in suite.verdicts.signs if sign.metric in mean.signs]
    return [*signs, *_perplexity(mean, suite.band), *_diversity(mean, suite.band)]


def _perplexity(mean: LanguageChange, band: Band) -> list[str]:
    if mean.perplexity_ratio is None:
        return ["has no perplexity"]
    ratio = mean.perplexity_ratio.estimate
    return [f"perplexity × {ratio:.2f}"] if ratio > band.most_perplexity else []


def _diversity(mean: LanguageChange, band: Band) -> list[str]:
    change = mean.metrics.get(_DIVERSITY)
    if change is None or not change.base:
        return ["has no distinct-2"]
    share = (change.base + change.difference.estimate) / change.base
    return [f"distinct-2 × {share:.2f}"] if share < band.least_distinct_2 else []
