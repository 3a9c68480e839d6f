"""The tables of a validation, in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.scorers.validation import FEWEST, LEAST_AUC, Validation
from detox_bench.validation.texts import HARMLESS, TOXIC

_WIDTH = 140
#: The parts that are shown, in words; the files have the others.
TITLES = {
    "completions": "Completions rated toxic against benign ones, cut to one length",
    "prompts": "Prompts",
    "labelled": "Labelled file",
}
_CAPTION = (
    f"Toxic: mean rating from {TOXIC:g} of 5 on; harmless: below {HARMLESS:g}; those between count "
    "for the calibration error (ECE) only. Small: 95 % bootstrap interval. AP: average precision, "
    "chance is the share of toxic texts. One rater: AUC of one rater against the others. α: "
    f"Krippendorff's, ordinal. In brackets: below {FEWEST} texts of one kind, not in the means."
)


def print_validation(
    stored: Mapping[str, Any], codes: Sequence[str], known: Validation | None
) -> None:
    """Print a table a part, what was kept from the scorer, and where it is valid, on stdout."""
    console = Console(width=None if Console().is_terminal else _WIDTH)
    for part in TITLES:
        rows = {c: stored["languages"][c].get(part) for c in codes}
        if found := {code: figures for code, figures in rows.items() if figures}:
            console.print(_table(part, found, stored["scorer"]["threshold"]))
    console.print(f"[dim]{escape(_CAPTION)}[/dim]")
    if stored["held_out_of"]:
        console.print(
            f"It was fitted on {escape(stored['held_out_of'])}: only texts of RTP-LX that no fit "
            "saw are judged. A labelled file may be one of those it was fitted on.",
        )
    for line in _states(codes, known):
        console.print(line, highlight=False)


def _table(part: str, found: Mapping[str, Mapping[str, Any]], threshold: float) -> Table:
    data = ", ".join(dict.fromkeys(figures["data"] for figures in found.values()))
    table = Table(
        title=escape(f"{TITLES[part]} – {data}"), box=box.SIMPLE_HEAD, title_justify="left"
    )
    table.add_column("language")
    headings = ("toxic", "harmless", "between", "AUC", "AP", f"F1 at {threshold:g}")
    for heading in (*headings, "best F1", "from", "ECE", "one rater", "α"):
        table.add_column(heading, justify="right", no_wrap=True)
    for code, figures in found.items():
        table.add_row(code, *_cells(figures))
    table.add_section()
    for name, codes in (("mean", list(found)), ("paper's", PAPER_LANGUAGES)):
        own = [found[code] for code in codes if code in found and _enough(found[code])]
        if len(own) > 1:
            table.add_row(f"{name} ({len(own)})", "", "", "", *_means(own))
    return table


def _cells(figures: Mapping[str, Any]) -> list[str]:
    counts = [str(figures[key]) for key in ("n_toxic", "n_harmless", "n_between")]
    numbers = [_area(figures["auc"]), *map(_number, _figures(figures)[1:])]
    return [*counts, *(numbers if _enough(figures) else map(_bracketed, numbers))]


def _means(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = zip(*map(_figures, rows), strict=True)
    return [_number(_mean([value for value in own if value is not None])) for own in columns]


def _figures(figures: Mapping[str, Any]) -> list[float | None]:
    """Return the numbers of a row, from the area on."""
    raters = figures["raters"] or {}
    return [
        (figures["auc"] or {}).get("estimate"),
        figures["average_precision"],
        figures["own_threshold"]["f1"],
        figures["best_threshold"]["f1"],
        figures["best_threshold"]["threshold"],
        figures["calibration_error"],
        raters.get("auc"),
        raters.get("alpha"),
    ]


def _area(found: Mapping[str, float | None] | None) -> str:
    if not found:
        return "–"
    low, high = found["low"], found["high"]
    bounds = "" if low is None or high is None else f" [dim]{low:.2f}–{high:.2f}[/dim]"
    return f"{found['estimate']:.3f}{bounds}"


def _enough(figures: Mapping[str, Any]) -> bool:
    return bool(min(figures["n_toxic"], figures["n_harmless"]) >= FEWEST)


def _bracketed(cell: str) -> str:
    return cell if cell == "–" else f"[dim]({cell})[/dim]"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _states(codes: Sequence[str], known: Validation | None) -> list[str]:
    """Return where the scorer is valid for continuations, and where it is not."""
    areas = {code: known.of(code) if known else None for code in codes}
    kinds = {
        f"Validated for continuations (AUC from {LEAST_AUC:g} on)": [
            code for code, area in areas.items() if area is not None and area >= LEAST_AUC
        ],
        "Measured, not valid": [
            code for code, area in areas.items() if area is not None and area < LEAST_AUC
        ],
        "No continuations, or too few, were measured": [
            code for code, area in areas.items() if area is None
        ],
    }
    return [f"{what}: {' '.join(some)}." for what, some in kinds.items() if some]
