"""Which figures a run's section of the page has."""

import math
from collections.abc import Mapping

from markupsafe import Markup

from detox_bench.comparison import FEWEST, HEADLINE, MEAN_ROWS, ComparisonRow
from detox_bench.reports.cells import short_name
from detox_bench.reports.content import Compared
from detox_bench.reports.svg import Arrow, Bar, arrows, forest
from detox_bench.reports.toxicity_tables import TONES
from detox_bench.summary import COLUMNS
from detox_bench.verdicts import INVALID, LanguageVerdict, surely_higher, surely_lower

_LOWER, _HIGHER, _UNSURE = "clean", "worse", "unchanged"


def forests(compared: Compared, scorer_id: str, name: str) -> list[Markup]:
    """Return the change of each headline metric by language, least first, the means at the foot."""
    return [_forest(compared, metric, scorer_id, f"{name}-{metric}") for metric in HEADLINE]


def plane(compared: Compared, scorer_id: str, name: str) -> Markup | None:
    """Return AvgTox against median perplexity, an arrow a language; None without perplexities."""
    found = [_point(row, compared) for row in compared.rows]
    points = [point for point in found if point is not None]
    if not points:
        return None
    title = f"AvgTox ({scorer_id}) against median perplexity, base → after"
    return arrows(points, (f"AvgTox ({scorer_id})", "median perplexity"), title, name)


def _forest(compared: Compared, metric: str, scorer_id: str, name: str) -> Markup:
    known = [row for row in compared.rows if metric in row.changes]
    bars = {row.language: _bar(row, metric, compared.verdicts) for row in known}
    means = [bar for code, bar in bars.items() if code in MEAN_ROWS]
    rows = [bar for code, bar in bars.items() if code not in MEAN_ROWS]
    rows.sort(key=lambda bar: bar.interval.estimate)
    return forest(rows, means, f"Change of {COLUMNS[metric]} ({scorer_id})", name)


def _bar(row: ComparisonRow, metric: str, verdicts: Mapping[str, LanguageVerdict]) -> Bar:
    change, found = row.changes[metric], verdicts.get(row.language)
    known = change.n_prompts >= FEWEST and (found is None or found.verdict != INVALID)
    lower, higher = known and surely_lower(change), known and surely_higher(change)
    tone = _LOWER if lower else _HIGHER if higher else _UNSURE
    name = short_name(row.language).replace("mean of languages", "mean")
    return Bar(name, change.difference, tone)


def _point(row: ComparisonRow, compared: Compared) -> Arrow | None:
    found, change = compared.perplexity.get(row.language), row.changes.get("average_toxicity")
    if found is None or found.base is None or found.other is None or change is None:
        return None
    start, end = (change.base, found.base[1]), (change.other, found.other[1])
    if not all(map(math.isfinite, (*start, *end))):
        return None
    return Arrow(row.language, start, end, _tone(compared.verdicts, row.language))


def _tone(verdicts: Mapping[str, LanguageVerdict], language: str) -> str:
    return TONES[verdicts[language].verdict] if language in verdicts else _UNSURE
