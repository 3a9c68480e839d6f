"""A fitted forecast as JSON: all that was tried, and the lines that forecast another model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detox_bench.correlation import Correlation, orders_tried
from detox_bench.errors import BadData, unknown_name
from detox_bench.forecast import Line, Tried, line_from_json, line_json
from detox_bench.forecast_runs import Drops

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Fit:
    """The lines of a forecast by predictor, which one to use, and what they were fitted on.

    ``about`` names the model, the runs, the metric and the settings of the retrieval.
    """

    predictor: str
    lines: Mapping[str, Line]
    about: Mapping[str, Any]

    def line(self, predictor: str | None = None) -> Line:
        """Return the line of a predictor, that of the fit if None. Raises ``UnknownName``."""
        name = predictor or self.predictor
        if name not in self.lines:
            raise unknown_name("predictor of this fit", name, self.lines)
        return self.lines[name]


def fit_json(
    tried: Sequence[Tried], predictor: str, drops: Drops, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything of a fit as JSON; numbers that do not exist are null."""
    languages = {
        code: drop._asdict() | {"percent": _plain(drop.percent)}
        for code, drop in drops.by_language.items()
    }
    found = {
        "schema": _SCHEMA,
        "predictor": predictor,
        "about": dict(about) | {"scorer": dict(drops.scorer)},
        "languages": languages,
        "predictors": {each.name: _tried_json(each) for each in tried},
        "doubts": list(drops.doubts),
    }
    plain: dict[str, Any] = _without_nan(found)
    return plain


def read_fit(file: Path) -> Fit:
    """Return a saved fit. Raises ``BadData`` for a file that is none."""
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["schema"] != _SCHEMA:
            raise BadData(f"{file} has schema {content['schema']!r}, this version reads {_SCHEMA}.")
        lines = {name: line_from_json(each["line"]) for name, each in content["predictors"].items()}
        fit = Fit(str(content["predictor"]), lines, dict(content["about"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(
            f"{file} is no fit. Give what `detox-bench forecast fit … --save FILE` wrote."
        ) from error
    fit.line()
    return fit


def _tried_json(tried: Tried) -> dict[str, Any]:
    return {
        "values": dict(tried.values),
        "pearson": _correlation_json(tried.pearson, tried.pearson_p_holm),
        "spearman": _correlation_json(tried.spearman, tried.spearman_p_holm),
        "line": line_json(tried.line),
        "better_than_the_mean": tried.line.better,
        "surely_better_than_the_mean": tried.line.surely_better,
    }


def _correlation_json(found: Correlation, p_holm: float) -> dict[str, Any]:
    numbers = found._asdict() | {"coefficient": _plain(found.coefficient), "p_holm": p_holm}
    return numbers | {"permutations": orders_tried(found.n)}


def _plain(value: Any) -> dict[str, float]:
    return dict(value._asdict())


def _without_nan(value: Any) -> Any:
    """Return JSON with null in place of what is not a number."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
