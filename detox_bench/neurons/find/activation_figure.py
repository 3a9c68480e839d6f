"""The change of activation in each language as a figure: before and after, with the interval."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detox_bench.comparison import OTHERS, ComparisonRow
from detox_bench.figures import figure_class, save_figure
from detox_bench.languages import LANGUAGES
from detox_bench.neurons.find.activation_change import change_of
from detox_bench.summary import MEAN

# Colours that stay apart in print and for colour-blind eyes; strokes legible on white.
_BEFORE, _AFTER, _BETWEEN, _GRID = "#b00020", "#1f5fa8", "#999999", "#dddddd"


def draw_change(rows: Sequence[ComparisonRow], names: tuple[str, str], file: Path) -> None:
    """Draw a line a language from before to after, the highest before at the top.

    The bar over the dot after is the paired 95 % interval of the difference, put where the dot
    before is its zero. Means of languages stand below. Raises ``MissingExtra`` without matplotlib.
    """
    languages = [row for row in rows if row.language not in (MEAN, OTHERS)]
    ordered = sorted(languages, key=lambda row: -change_of(row).base)
    ordered += [row for row in rows if row.language == MEAN]
    figure = figure_class()(figsize=(7.5, 1.3 + 0.3 * len(ordered)), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(ordered):
        # A gap sets the mean apart.
        _draw_row(axis, -place - (0.6 if row.language == MEAN else 0), row)
    places = [-n - (0.6 if row.language == MEAN else 0) for n, row in enumerate(ordered)]
    axis.set_yticks(places, [_label(row.language) for row in ordered])
    axis.axvline(0, color="black", linewidth=0.8)
    axis.grid(axis="x", color=_GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("mean activation over prompts, tokens and neurons")
    _legend(axis, names)
    save_figure(figure, file)


def _draw_row(axis: Any, place: float, row: ComparisonRow) -> None:
    change = change_of(row)
    axis.plot([change.base, change.other], [place] * 2, color=_BETWEEN, linewidth=1.2, zorder=1)
    bounds = [change.base + change.difference.low, change.base + change.difference.high]
    axis.plot(bounds, [place] * 2, color=_AFTER, linewidth=4, alpha=0.35, zorder=2)
    axis.plot(change.base, place, "o", color=_BEFORE, markersize=6, zorder=3)
    axis.plot(change.other, place, "D", color=_AFTER, markersize=5, zorder=4)


def _legend(axis: Any, names: tuple[str, str]) -> None:
    shown = {
        names[0]: {"marker": "o", "color": _BEFORE, "linestyle": "", "markersize": 6},
        names[1]: {"marker": "D", "color": _AFTER, "linestyle": "", "markersize": 5},
        "95 % interval of the difference": {"color": _AFTER, "linewidth": 4, "alpha": 0.35},
    }
    handles = [axis.plot([], [], label=label, **style)[0] for label, style in shown.items()]
    axis.figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)


def _label(code: str) -> str:
    row = LANGUAGES.get(code)
    return f"{row.name.split(',')[0].split(' (')[0]} ({code})" if row else "mean of languages"
