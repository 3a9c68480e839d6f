"""Retrieval results of lm-eval as a table (Markdown) and its curves over layers (SVG).

``python -m benchmarks.retrieval_figure out/retrieval docs/figures/retrieval_layers.svg``
The first argument is the folder given as ``--output_path``, or the results file in it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detox_bench.figures import check_figure, figure_class, save_figure
from detox_bench.languages import language
from detox_bench.retrieval_results import Retrieval, read_retrieval

#: What is drawn, with the words beside it.
PANELS = {"top1": "top-1 accuracy", "mexa": "MEXA", "mean_cosine": "mean cosine of pairs"}

# Levels and strokes that are legible on white and in print.
_STROKES = (
    *(("#1f5fa8", "o"), ("#b00020", "s"), ("#2e7d32", "^")),
    *(("#e07b00", "D"), ("#6a3d9a", "v"), ("#444444", "P")),
)
_GRID = "#dddddd"


def main() -> None:
    results, figure = Path(sys.argv[1]), Path(sys.argv[2])
    check_figure(figure)
    found = read_retrieval(results)
    print(_table(found))
    _draw(found, figure)


def _table(found: Retrieval) -> str:
    heads = ["language", "cut", "top-1", "top-1, best layer", "MEXA", "MEXA, best", "MRR"]
    heads += ["margin, best", "mean cosine"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    records = _records(found.file)
    for code, numbers in found.numbers.items():
        record = records[code]
        bounds, best = record["detox_retrieval"]["intervals"], record["detox_retrieval"]
        cells = [
            f"{record['detox_cut']['target']}",
            _with_interval(bounds["top1"]["mean"]),
            f"{_with_interval(bounds['top1']['best'])} @ {best['best_layer']['top1']}",
            _percent(numbers["mexa"]),
            f"{_percent(numbers['mexa_best'])} @ {best['best_layer']['mexa']}",
            f"{numbers['mrr']:.3f}",
            _percent(numbers["margin_accuracy_best"]),
            f"{numbers['mean_cosine']:.3f}",
        ]
        lines.append(f"| {code} | {' | '.join(cells)} |")
    return "\n".join([*lines, _means(found)])


def _records(file: Path) -> dict[str, dict[str, Any]]:
    """Return what the tasks of a results file recorded, by language."""
    configs = json.loads(file.read_text("utf-8"))["configs"].values()
    records = [each["metadata"] for each in configs if "detox_pair_set" in each["metadata"]]
    return {record["detox_pair_set"]["target"]: record for record in records}


def _means(found: Retrieval) -> str:
    """Return the row of unweighted means over languages; best is each language's own layer."""

    def mean(name: str) -> float:
        return sum(each[name] for each in found.numbers.values()) / len(found.numbers)

    shares = ("top1", "top1_best", "mexa", "mexa_best")
    cells = ["", *(_percent(mean(name)) for name in shares), f"{mean('mrr'):.3f}"]
    cells += [_percent(mean("margin_accuracy_best")), f"{mean('mean_cosine'):.3f}"]
    return f"| mean | {' | '.join(cells)} |"


def _with_interval(bounds: Sequence[float]) -> str:
    estimate, low, high = bounds
    return f"{_percent(estimate)} ({100 * low:.1f}–{100 * high:.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _draw(found: Retrieval, file: Path) -> None:
    """Draw a row of panels a metric, a column a group of languages."""
    groups = _groups(found)
    figure = figure_class()(figsize=(3.6 * len(groups), 7.6), layout="constrained")
    panels = figure.subplots(len(PANELS), len(groups), sharex=True, sharey="row", squeeze=False)
    for row, (metric, label) in zip(panels, PANELS.items(), strict=True):
        row[0].set_ylabel(label)
        for axis, codes in zip(row, groups.values(), strict=True):
            _draw_panel(axis, found, metric, codes)
    for axis, (name, codes) in zip(panels[0], groups.items(), strict=True):
        axis.set_title(name, fontsize=10)
        axis.legend(fontsize=8, frameon=False, ncols=1 + (len(codes) > 3), loc="upper right")
    for axis in panels[-1]:
        axis.set_xlabel("layer (0: embeddings)")
    settings = found.settings
    title = f"{found.model}: {settings['name']} {settings['split']}, English with each language"
    figure.suptitle(f"{title}, n = {settings['n']:,}; dotted: chance", fontsize=11)
    save_figure(figure, file)


def _draw_panel(axis: Any, found: Retrieval, metric: str, codes: Sequence[str]) -> None:
    axis.grid(color=_GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    for code, (colour, marker) in zip(codes, _STROKES, strict=False):
        curve = found.curves[code][metric]
        style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.2}
        axis.plot(range(len(curve)), curve, label=code, **style)
    level = 1 / found.settings["n"] if metric == "top1" else 0
    axis.axhline(level, color="black", linewidth=0.8, linestyle=":" if level else "-")


def _groups(found: Retrieval) -> dict[str, Sequence[str]]:
    """Return the languages of a panel by its title: by script, at most as many as strokes."""
    latin = [code for code in found.numbers if language(code).script == "Latn"]
    rest = [code for code in found.numbers if code not in latin]
    parts = [
        (f"{title}, {number}" if len(codes) < len(side) else title, codes)
        for title, side in (("Latin script", latin), ("other scripts", rest))
        for number, codes in enumerate(_even(side), 1)
    ]
    return dict(parts)


def _even(codes: Sequence[str]) -> list[Sequence[str]]:
    """Return as few parts of nearly equal size as strokes allow."""
    parts = -(-len(codes) // len(_STROKES))
    size = -(-len(codes) // max(1, parts))
    return [codes[start : start + size] for start in range(0, len(codes), max(1, size))]


if __name__ == "__main__":
    main()
