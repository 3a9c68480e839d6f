"""A forecast as a figure: a point a language, the line through them, where one more would lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detox_bench.figures import figure_class, save_figure
from detox_bench.forecast import Tried
from detox_bench.forecast_runs import Drop

# Strokes legible on white; what is fitted stays apart from what was measured in print as well.
_POINT, _LINE, _BAND, _GRID = "#1f5fa8", "#b00020", "#b00020", "#dddddd"


def draw_forecast(
    tried: Tried,
    drops: Mapping[str, Drop],
    labels: tuple[str, str],
    file: Path,
    chance: float | None = None,
) -> None:
    """Draw the drop in each language over one predictor; ``labels`` are what was measured, and how.

    Bars are the paired 95 % intervals over prompts, the band is the 95 % prediction interval of one
    more language; ``chance`` is a level of the predictor that is marked. Raises ``MissingExtra``
    without matplotlib.
    """
    figure = figure_class()(figsize=(7.5, 5), layout="constrained")
    axis = figure.subplots()
    for code, value in tried.values.items():
        _draw_point(axis, code, value, drops[code])
    _draw_line(axis, tried)
    if chance is not None:
        axis.axvline(chance, color="black", linewidth=0.8, linestyle=":", label="chance")
    axis.figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.grid(color=_GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel(labels[0])
    axis.set_ylabel(labels[1])
    axis.set_title(_title(tried), fontsize=10, loc="left")
    save_figure(figure, file)


def _draw_point(axis: Any, code: str, value: float, drop: Drop) -> None:
    percent = drop.percent
    axis.plot([value] * 2, [percent.low, percent.high], color=_POINT, linewidth=1, alpha=0.4)
    axis.plot(value, percent.estimate, "o", color=_POINT, markersize=5)
    axis.annotate(code, (value, percent.estimate), (5, 4), textcoords="offset points", fontsize=8)


def _draw_line(axis: Any, tried: Tried) -> None:
    line = tried.line
    places = np.linspace(line.low, line.high, 50)
    forecasts = [line.predict(float(x)) for x in places]
    low, high = ([getattr(each, side) for each in forecasts] for side in ("low", "high"))
    style = "-" if line.better else "--"
    name = "line" if line.better else "mean of the languages: the line is no better"
    axis.plot(places, [each.estimate for each in forecasts], style, color=_LINE, label=name)
    label = "95 % prediction interval of one more language"
    axis.fill_between(places, low, high, color=_BAND, alpha=0.08, linewidth=0, label=label)


def _title(tried: Tried) -> str:
    r, low, high = tried.pearson.coefficient
    return (
        f"r = {r:.2f} (95 % interval over languages {low:.2f} to {high:.2f}), "
        f"p = {tried.pearson.p:.3g}, n = {tried.pearson.n}\n"
        f"left-out error {tried.line.error:.1f} points; of the mean {tried.line.error_of_mean:.1f}"
    )
