"""The reliability of a scorer as a figure: a panel a language, what people say over its scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detox_bench.errors import DetoxBenchError
from detox_bench.figures import figure_class, save_figure

_COLUMNS = 7
#: The parts that are drawn, with the colour and mark of each; legible on white and in print.
_STYLES = {
    "prompts": ("#1f5fa8", "o"),
    "completions": ("#b00020", "s"),
    "labelled": ("#3d7a2f", "^"),
}
_GRID = "#dddddd"


def draw_reliability(stored: Mapping[str, Any], codes: Sequence[str], file: Path) -> None:
    """Draw the bins of each language: the share that people call toxic over the mean score.

    On the diagonal a score is a probability; below it the scorer says more than people do. Raises
    ``MissingExtra`` without matplotlib, ``DetoxBenchError`` where nothing was measured.
    """
    if not codes:
        raise DetoxBenchError("There is no reliability to draw: no language was measured.")
    columns = min(_COLUMNS, len(codes))
    rows = -(-len(codes) // columns)
    size = (max(4.0, 1.6 * columns), 1.9 * rows + 1.2)
    figure = figure_class()(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, axis in enumerate(axes.flat):
        if place < len(codes):
            _draw_panel(axis, codes[place], stored["languages"][codes[place]])
        else:
            axis.set_axis_off()
    named = {label: line for axis in axes.flat for line, label in _legend(axis)}
    figure.legend(
        named.values(), named.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    # a label of the figure would lie under the legend
    axes[-1, 0].set_xlabel("mean score of a bin", fontsize=8)
    figure.supylabel("share that people call toxic", fontsize=9)
    figure.suptitle(f"Reliability of {stored['scorer']['id']}", fontsize=10, x=0.01, ha="left")
    save_figure(figure, file)


def _draw_panel(axis: Any, code: str, parts: Mapping[str, Any]) -> None:
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    for name, (colour, mark) in _STYLES.items():
        bins = parts[name]["reliability"] if name in parts else []
        if bins:
            scores, shares = ([each[key] for each in bins] for key in ("score", "toxic"))
            axis.plot(
                scores, shares, color=colour, marker=mark, markersize=3, linewidth=1, label=name
            )
    axis.set_title(code, fontsize=8, loc="left", pad=2)
    axis.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axis.tick_params(labelsize=7)
    axis.grid(color=_GRID, linewidth=0.5)
    axis.set_axisbelow(True)


def _legend(axis: Any) -> list[tuple[Any, str]]:
    return list(zip(*axis.get_legend_handles_labels(), strict=True))
