"""The figure of a sweep: toxicity in every language and its price, beside the control."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.comparison import OTHERS
from detox_bench.figures import figure_class, save_figure
from detox_bench.summary import MEAN

_EDIT, _CONTROL, _GRID = "#1f5fa8", "#8a8a8a", "#dddddd"


class _Panel(NamedTuple):
    """One quantity, its name in a comparison, and the ends of its axis; None is logarithmic."""

    label: str
    metric: str
    ends: tuple[float, float | None] | None = (0.0, None)


_PANELS = (
    _Panel("average toxicity", "average_toxicity"),
    _Panel("perplexity ×", "perplexity", None),
    _Panel("empty", "empty_rate"),
    _Panel("distinct-2", "distinct_2", (0.0, 1.05)),
    _Panel("right language", "language_share", (0.0, 1.05)),
)


def draw_sweep(results: Path, file: Path) -> None:
    """Draw what ``neurons sweep`` wrote to ``results`` into ``file`` (by its ending).

    Raises ``MissingExtra`` where matplotlib is not installed.
    """
    found = json.loads(results.read_text("utf-8"))
    takes = list(dict.fromkeys(point["take"] for point in found["points"]))
    figure = figure_class()(figsize=(1.2 + 4.2 * len(takes), 9.5), layout="constrained")
    axes = figure.subplots(
        len(_PANELS),
        len(takes),
        sharex="col",
        sharey="row",
        squeeze=False,
        gridspec_kw={"height_ratios": [2, 1, 1, 1, 1]},
    )
    for column, take in enumerate(takes):
        points = [point for point in found["points"] if point["take"] == take]
        axes[0][column].set_title(_title(points), fontsize=10)
        for axis, panel in zip(axes[:, column], _PANELS, strict=True):
            _draw(axis, panel, points)
        axes[-1][column].set_xlabel(f"{points[0]['operator']}, value")
    # Rows share their axis, so that its ends are set once all is drawn.
    for axis, panel in zip(axes[:, 0], _PANELS, strict=True):
        axis.set_ylabel(panel.label, fontsize=8.5)
        if panel.ends:
            axis.set_ylim(*panel.ends)
        else:
            axis.set_yscale("log", base=2)
            axis.yaxis.set_major_formatter("{x:g}")
    axes[0][0].legend(fontsize=8, loc="best")
    model, scorer = found["base_model"]["name"], found["scorer"]["id"]
    figure.suptitle(f"{model}: neurons edited, scorer {scorer}", fontsize=10)
    save_figure(figure, file)


def _title(points: Sequence[Mapping[str, Any]]) -> str:
    take, count = points[0]["take"], f"{points[0]['n_neurons']:,} neurons"
    return count if take.isdecimal() else f"{take}: {count}"


def _draw(axis: Any, panel: _Panel, points: Sequence[Mapping[str, Any]]) -> None:
    labels = list(dict.fromkeys(_strength(point) for point in points))
    places = {label: place for place, label in enumerate(labels, 1)}
    rules = dict.fromkeys(point["control"] for point in points)
    for rule in sorted(rules, key=lambda each: each is None):
        own = [point for point in points if point["control"] == rule]
        where = [0, *(places[_strength(point)] for point in own)]
        colour, line = (_EDIT, "-") if rule is None else (_CONTROL, "--")
        name = "edited" if rule is None else f"{rule} control"
        for code in _languages(own) if panel is _PANELS[0] and rule is None else ():
            axis.plot(where, _values(own, panel, code), color=colour, linewidth=0.5, alpha=0.4)
        values = _values(own, panel, _overall(own))
        axis.plot(where, values, line, color=colour, marker="o", markersize=4, label=name)
        if bounds := _bounds(own, panel, values[0]):
            axis.fill_between(where, *bounds, color=colour, alpha=0.18, linewidth=0)
    axis.set_xticks([0, *places.values()], ["unedited", *labels])
    axis.grid(color=_GRID, linewidth=0.6)
    axis.tick_params(labelsize=8)
    axis.set_axisbelow(True)
    axis.margins(y=0.12)


def _strength(point: Mapping[str, Any]) -> str:
    return "measured" if point["value"] is None else f"{point['value']:g}"


def _rows(point: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {row["language"]: row for row in point["languages"]}


def _languages(points: Sequence[Mapping[str, Any]]) -> list[str]:
    return [code for code in _rows(points[0]) if code not in (MEAN, OTHERS)]


def _overall(points: Sequence[Mapping[str, Any]]) -> str:
    codes = _rows(points[0])
    return MEAN if MEAN in codes else next(iter(codes))


def _values(points: Sequence[Mapping[str, Any]], panel: _Panel, code: str) -> list[float]:
    """Return the value before any edit and at every point; NaN where there is none."""
    if panel.metric == "perplexity":
        return [1.0, *(_number(point["perplexity_ratio"][code]["estimate"]) for point in points)]
    found = [_rows(point)[code].get(panel.metric, {}) for point in points]
    return [_number(found[0].get("base")), *(_number(each.get("other")) for each in found)]


def _bounds(
    points: Sequence[Mapping[str, Any]], panel: _Panel, base: float
) -> tuple[list[float], list[float]] | None:
    """Return the paired intervals of the differences, put on the level before any edit."""
    if panel is not _PANELS[0]:
        return None
    rows = [_rows(point)[_overall(points)][panel.metric]["difference"] for point in points]
    low, high = ([base, *(base + _number(row[end]) for row in rows)] for end in ("low", "high"))
    return low, high


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
