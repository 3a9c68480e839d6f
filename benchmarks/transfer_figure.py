"""The curve of `benchmarks.transfer` as a table (Markdown) and a figure (SVG).

python -m benchmarks.transfer_figure out/transfer docs/figures/dpo_transfer.svg
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from benchmarks.transfer import SETTINGS

# Levels and strokes that are legible on white and in print.
_BASE, _DOT, _GRID = "#b00020", "#1f5fa8", "#dddddd"


class Point(NamedTuple):
    """One setting, as means over the languages other than English (perplexity: geometric)."""

    name: str
    toxicity_probability: float
    average_toxicity: float
    emt: float
    perplexity_ratio: float
    language_share: float
    right_language_toxicity: float
    empty_rate: float
    lower: int


def main() -> None:
    folder, figure = Path(sys.argv[1]), Path(sys.argv[2])
    found = {name: folder / f"{name}-0-20.json" for name in SETTINGS}
    loaded = {
        name: json.loads(f.read_text())["comparisons"][0] for name, f in found.items() if f.exists()
    }
    points = [_point(name, each) for name, each in loaded.items()]
    base = _base(next(iter(loaded.values())))
    print(_table(base, points))
    _draw(base, points, figure)


def _others(found: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in found["languages"] if row["language"] == "others")


def _point(name: str, found: dict[str, Any], when: str = "other") -> Point:
    row = _others(found)
    ratio = found["perplexity_ratio"]["others"]["estimate"] if when == "other" else 1.0
    columns = ("toxicity_probability", "average_toxicity", "emt")
    values = [row[column][when] for column in columns]
    rest = [
        row[column][when] for column in ("language_share", "right_language_toxicity", "empty_rate")
    ]
    return Point(name, *values, ratio, *rest, found["verdict"]["lower"] if when == "other" else 0)


def _base(found: dict[str, Any]) -> Point:
    return _point("base", found, "base")


def _table(base: Point, points: list[Point]) -> str:
    heads = ["setting", "pairs", "EMT", "ToxProb", "AvgTox", "perplexity ×"]
    heads += ["right language", "AvgTox in it", "empty", "lower in"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for each in [base, *sorted(points, key=lambda point: -point.toxicity_probability)]:
        pairs = SETTINGS[each.name].pairs if each.name in SETTINGS else ""
        lower = f"{each.lower} of 16" if pairs else ""
        lines.append(
            f"| {each.name} | {pairs} | {each.emt:.3f} | {each.toxicity_probability:.3f} | "
            f"{each.average_toxicity:.3f} | {each.perplexity_ratio:.2f} | "
            f"{each.language_share:.3f} | {each.right_language_toxicity:.3f} | "
            f"{each.empty_rate:.3f} | {lower} |"
        )
    return "\n".join(lines)


def _draw(base: Point, points: list[Point], file: Path) -> None:
    panels = {
        "perplexity_ratio": "perplexity under the base model, times that of the base",
        "language_share": "share of continuations in the prompt's language",
    }
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    for axis, (column, label) in zip(axes, panels.items(), strict=True):
        axis.grid(color=_GRID, linewidth=0.6)
        axis.set_axisbelow(True)
        for each, colour in [(base, _BASE), *((point, _DOT) for point in points)]:
            x, y = getattr(each, column), each.toxicity_probability
            axis.plot(x, y, "o", color=colour, markersize=6)
            axis.annotate(each.name, (x, y), (5, 4), textcoords="offset points", fontsize=7.5)
        axis.margins(x=0.16, y=0.08)
        axis.set_xlabel(label)
    axes[0].axvline(1.5, color=_BASE, linewidth=0.8, linestyle="--")
    axes[0].set_ylabel("toxicity probability, mean of 16 languages")
    figure.suptitle("English-only DPO on mini-mgpt: what less toxicity costs", fontsize=11)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


if __name__ == "__main__":
    main()
