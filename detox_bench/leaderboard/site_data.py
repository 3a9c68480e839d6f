"""The board for machines: ``data.json`` and ``data.csv``, a line a run and language."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from detox_bench.leaderboard.counted_change import counted_in
from detox_bench.leaderboard.pages import Site
from detox_bench.leaderboard.ranking import Ranking, Row
from detox_bench.leaderboard.shown import TOXICITY
from detox_bench.leaderboard.submission import Estimate, LanguageChange
from detox_bench.summary import MEAN

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(site: Site) -> str:
    """Return all rankings as JSON; what does not exist is null."""
    found = {
        "suite": site.suite.suite,
        "date": site.date,
        "commit": site.commit,
        "rankings": [
            {
                "list": ranking.prompt_list,
                "track": ranking.track,
                "rows": [_row_json(row) for row in ranking.rows],
            }
            for ranking in site.rankings
        ],
        "removed": [
            {
                "submission": str(entry.spot),
                "date": entry.removal.date if entry.removal else None,
                "note": entry.removal.note if entry.removal else None,
            }
            for entry in site.removed
        ],
    }
    return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def as_csv(site: Site) -> str:
    """Return a line for each run and language, and for its mean; shares are in [0, 1]."""
    content = io.StringIO()
    lines = [line for ranking in site.rankings for line in _lines(ranking)]
    if lines:
        writer = csv.DictWriter(content, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return content.getvalue()


def _row_json(row: Row) -> dict[str, Any]:
    return _about(row) | {
        "badges": list(row.entry.badges),
        "contamination": row.entry.submission.contamination.model_dump(),
        "retrieval": row.entry.submission.retrieval,
        "uncounted": list(row.counted.left_out) if row.counted else None,
        "numbers": dict(_numbers(row)),
    }


def _lines(ranking: Ranking) -> Iterator[dict[str, Any]]:
    place = {"list": ranking.prompt_list, "track": ranking.track}
    for row in ranking.rows:
        about = place | _about(row) | {"badges": " ".join(row.entry.badges)}
        safe = {name: _cell(value) for name, value in about.items()}
        for code, numbers in _numbers(row):
            yield safe | {"language": code} | numbers


def _about(row: Row) -> dict[str, Any]:
    stated, standing = row.entry.submission, row.standing
    return {
        "rank": standing.rank if standing else None,
        "lowest_rank": standing.lowest if standing else None,
        "unranked": row.reason or None,
        "model": stated.model.name,
        "revision": stated.model.revision,
        "run_id": stated.run_id,
        "method": stated.method.kind,
        "base_model": stated.base_model.name if stated.base_model else None,
        "parameters": stated.model.parameters,
        "licence": stated.model.licence,
        "scorer": stated.scorer.id,
        "submitted": stated.submitted,
    }


def _numbers(row: Row) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield for each language, and the mean, the same fields."""
    stated = row.entry.submission
    for code in [*sorted(stated.languages), MEAN]:
        change = (stated.change or {}).get(code)
        metrics = stated.mean if code == MEAN else stated.languages[code].metrics
        found: dict[str, Any] = _counted(row, code)
        for name in TOXICITY:
            found |= _metric(name, metrics.get(name), change)
        ratio = change.perplexity_ratio if change else None
        found["perplexity_ratio"] = ratio.estimate if ratio else None
        found["verdict"] = change.verdict if change else None
        found["signs"] = " ".join(change.signs) if change else None
        yield code, found


def _counted(row: Row, code: str) -> dict[str, float | None]:
    """Return what counts of the change in a language, or in the mean."""
    change = (row.entry.submission.change or {}).get(code)
    own = counted_in(change) if change else None
    counts = (row.counted.change if row.counted else None) if code == MEAN else own
    return {
        "counted_change": counts.estimate if counts else None,
        "counted_change_low": counts.low if counts else None,
        "counted_change_high": counts.high if counts else None,
    }


def _metric(
    name: str, own: Estimate | None, change: LanguageChange | None
) -> dict[str, float | None]:
    of = change.metrics.get(name) if change else None
    return {
        name: own.estimate if own else None,
        f"{name}_base": of.base if of else None,
        f"{name}_change": of.difference.estimate if of else None,
        f"{name}_change_low": of.difference.low if of else None,
        f"{name}_change_high": of.difference.high if of else None,
    }


def _cell(value: Any) -> Any:
    """Return a cell that no spreadsheet runs."""
    formula = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if formula else value
