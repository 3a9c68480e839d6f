"""The verdicts as a figure: a cell a language and run, coloured, with a letter or in words."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from detox_bench.figures import figure_class
from detox_bench.reports.content import Compared
from detox_bench.reports.figure_panels import Sheet, entitle, name_lines, run_heading
from detox_bench.verdicts import (
    CLEAN,
    DEGENERATE,
    INVALID,
    PERPLEXITY,
    PERPLEXITY_WORDS,
    SIGNS,
    UNCHANGED,
    VERDICTS,
    WORSE,
    LanguageVerdict,
)


class Colours(NamedTuple):
    """How a verdict looks: worse ones are darker, so that a grey print tells them apart too."""

    face: str
    ink: str = "black"
    hatch: str = ""


COLOURS: Mapping[str, Colours] = {
    CLEAN: Colours("#bfe3d6"),
    UNCHANGED: Colours("#ececec"),
    DEGENERATE: Colours("#e5825a"),
    WORSE: Colours("#8c2411", ink="white"),
    INVALID: Colours("white", hatch="/////"),
}
#: What each sign says, and its letter where there is no room for words.
_SIGN_WORDS = {sign.metric: sign.words for sign in SIGNS} | {PERPLEXITY: PERPLEXITY_WORDS}
_LETTERS = dict(zip(_SIGN_WORDS, "abcdefghijklmnopqrstuvwxyz", strict=False))
_FEW = 4  # runs whose verdicts are written out
_LINE = 0.27  # inches
_BACKING = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}


def draw_verdicts(sheet: Sheet, page: Sequence[Compared]) -> Any:
    """Return the matrix of languages and runs; ``page`` is all runs."""
    wide = {1: 4.2, 2: 2.4, 3: 1.7, 4: 1.4}.get(len(page), 0.36)
    height = 1.5 + (0.5 if len(page) > _FEW else 0) + _LINE * len(sheet.languages)
    figure = figure_class()(
        figsize=(max(4.5, 1.7 + wide * len(page)), height), layout="constrained"
    )
    axis = figure.subplots()
    for column, compared in enumerate(page):
        for line, code in enumerate(sheet.languages):
            _draw_cell(axis, (column, line), compared.verdicts.get(code), len(page))
    name_lines(axis, sheet)
    _name_runs(axis, sheet, page)
    entitle(figure, "Was it detoxified? A verdict a language", _key(page), sheet)
    return figure


def _draw_cell(axis: Any, at: tuple[int, int], found: LanguageVerdict | None, n_runs: int) -> None:
    from matplotlib.patches import Rectangle

    if found is None:
        axis.text(*at, "–", ha="center", va="center")
        return
    look = COLOURS[found.verdict]
    corner = (at[0] - 0.48, at[1] - 0.46)
    cell = Rectangle(corner, 0.96, 0.92, facecolor=look.face, edgecolor="#999999", linewidth=0.4)
    cell.set_hatch(look.hatch)
    axis.add_patch(cell)
    backing = _BACKING if look.hatch else None
    left = n_runs == 1
    place = (at[0] - 0.46 * left, at[1])
    text = {"ha": "left" if left else "center", "va": "center", "linespacing": 1.0, "fontsize": 6.2}
    axis.text(*place, _words(found, n_runs), color=look.ink, bbox=backing, **text)


def _words(found: LanguageVerdict, n_runs: int) -> str:
    """Return what stands in a cell: words, then letters as the number of runs grows."""
    if n_runs == 1:
        signs = ", ".join(_SIGN_WORDS[sign] for sign in found.signs)
        return textwrap.fill(f"{found.verdict}: {signs}" if signs else found.verdict, 76)
    letters = [_LETTERS[sign] for sign in found.signs]
    few = n_runs <= _FEW
    verdict = found.verdict if few else _letter(found.verdict)
    signs = f"{'sign' if len(letters) == 1 else 'signs'} {', '.join(letters)}"
    return f"{verdict}\n{signs if few else ''.join(letters)}" if letters else verdict


def _letter(verdict: str) -> str:
    """Return the first letter; ``cleaner but degenerate`` is D, since C is clean."""
    return "D" if verdict == DEGENERATE else verdict[0].upper()


def _name_runs(axis: Any, sheet: Sheet, page: Sequence[Compared]) -> None:
    """Write the runs over the columns, and below how many languages are clean."""
    headings = [run_heading(compared, sheet.fonts) for compared in page]
    axis.set_xlim(-0.5, len(page) - 0.5)
    axis.set_xticks(range(len(page)), [_count(each) for each in page], fontsize=6.5)
    axis.set_xlabel("languages that are clean", fontsize=6.5)
    above = axis.secondary_xaxis("top")
    slant = {"rotation": 55, "ha": "left", "rotation_mode": "anchor"} if len(page) > _FEW else {}
    above.set_xticks(range(len(page)), headings, fontfamily=sheet.fonts.families, **slant)
    axis.tick_params(axis="y", length=0)
    for each in (axis, above):
        each.tick_params(axis="x", length=0)
        each.spines[:].set_visible(False)


def _count(compared: Compared) -> str:
    verdicts = [found.verdict for found in compared.verdicts.values()]
    return f"{verdicts.count(CLEAN)}/{len(verdicts)}"


def _key(page: Sequence[Compared]) -> str:
    """Return what the letters of this figure mean."""
    found = [each for compared in page for each in compared.verdicts.values()]
    there = {sign for each in found for sign in each.signs}
    signs = [f"{_LETTERS[sign]} {_SIGN_WORDS[sign]}" for sign in _SIGN_WORDS if sign in there]
    verdicts = [f"{_letter(name)} {name}" for name in VERDICTS] if len(page) > _FEW else []
    parts = [f"{', '.join(verdicts)}."] if verdicts else []
    parts += [f"Signs of wrecked text: {', '.join(signs)}."] if signs and len(page) > 1 else []
    return " ".join([*parts, "Darker is worse; hatched: no number to judge."])
