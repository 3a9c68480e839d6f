"""``detox-bench suppression``: does a detoxified model still find harmless text likely?"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.commands.tables import language_codes
from detox_bench.comparison import FEWEST, Change, ComparisonRow, interval_json
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.run_records import versions
from detox_bench.runs import check_files, write_json
from detox_bench.summary import MEAN
from detox_bench.suppression import MEASURE, TOKENS, Asked, Suppression, measure
from detox_bench.suppression_texts import KINDS, TextSet, find_texts, load_texts

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_SCHEMA = 1
_WIDTH = 110
_UNIT = "Natural logarithm of the probability, mean of a text's tokens."
_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench suppression ./base ./dpo --json suppression.json`\n\n"
    "`detox-bench suppression ./base --intervention edit.json --texts identity --texts benign "
    "--languages de,fr --limit 100`"
)


@app.command(epilog=_EXAMPLES)
def main(
    base: Annotated[str, typer.Argument(help="The model before: a folder or Hub name.")],
    model: Annotated[
        str | None,
        typer.Argument(help="The model after; BASE itself if not given."),
    ] = None,
    peft: Annotated[
        str | None, typer.Option(help="Put this adapter on MODEL: a folder or Hub name.")
    ] = None,
    intervention: Annotated[
        Path | None, typer.Option(help="Edit MODEL by this file of `detox-bench neurons make`.")
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            help="What to ask, may be given again; all that is there if not given. "
            + "; ".join(f"`{name}`: {kind.about}" for name, kind in KINDS.items())
            + "."
        ),
    ] = None,
    languages: Annotated[
        str, typer.Option(help="Codes, separated by commas.", show_default="the paper's 17")
    ] = ",".join(PAPER_LANGUAGES),
    limit: Annotated[
        int | None, typer.Option(help="The first so many items a language and kind.", min=1)
    ] = None,
    tokens: Annotated[
        int, typer.Option(help="So many tokens of a completion count; sentences whole.", min=1)
    ] = TOKENS,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, …")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="`auto` is the type that the weights are stored in.")
    ] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file as well.")
    ] = None,
) -> None:
    """Ask how much less likely the detoxified model finds harmless text than its base.

    Both models read the same texts. Per language and kind: the mean log-probability of a token,
    the difference with its paired 95 % interval, and a paired test. Harmless text should stay as
    likely as it was; toxic completions are the contrast.
    """
    if model is None and peft is None and intervention is None:
        raise DetoxBenchError(
            "Nothing to compare BASE with. Name a MODEL, or an adapter (--peft) or an edit "
            "(--intervention) for BASE."
        )
    check_files(json_file)
    sets, absent = _load(texts, language_codes(languages), limit)
    asked = Asked(base, model or base, peft, intervention, tokens, device, dtype)
    found = measure(asked, sets)
    _print(found, sets, absent)
    if json_file is not None:
        settings = {"tokens": tokens, "limit": limit, "dtype": dtype, "not_there": absent}
        about = {"settings": settings, "versions": versions()}
        write_json(json_file, suppression_json(found, sets) | about)


def suppression_json(found: Suppression, sets: Sequence[TextSet]) -> dict[str, Any]:
    """Return the result as JSON; numbers that do not exist are null."""
    return {
        "kind": "suppression",
        "schema": _SCHEMA,
        "base": dict(found.base),
        "model": dict(found.model),
        "texts": {each.kind: _kind_json(found, each) for each in sets},
        "selectivity": {
            "languages": [_row_json(row, ("benign", "toxic")) for row in found.selectivity]
        },
    }


def _load(
    kinds: Sequence[str] | None, codes: Sequence[str], limit: int | None
) -> tuple[list[TextSet], dict[str, str]]:
    """Return the texts, and why kinds that nobody asked for by name are not among them."""
    if kinds:
        return [load_texts(kind, codes, limit) for kind in dict.fromkeys(kinds)], {}
    found = {kind: find_texts(kind, codes, limit) for kind in KINDS}
    absent = {kind: KINDS[kind].remedy for kind, texts in found.items() if texts is None}
    sets = [texts for texts in found.values() if texts is not None]
    if not sets:
        raise BadData(f"There is no text in {', '.join(codes)}. {' '.join(set(absent.values()))}")
    return sets, absent


def _kind_json(found: Suppression, texts: TextSet) -> dict[str, Any]:
    result = found.kinds[texts.kind]
    return {
        "data": KINDS[texts.kind].data,
        "release": texts.release,
        "sha256": texts.sha256,
        "harmless": KINDS[texts.kind].harmless,
        "languages": [_row_json(row, ("base", "model")) for row in result.rows],
        "missing": list(texts.missing),
        "n_left_out": result.n_left_out,
        "n_cut": result.n_cut,
    }


def _row_json(row: ComparisonRow, names: tuple[str, str]) -> dict[str, Any]:
    """Return one row, with what its two sides are called."""
    change = row.changes[MEASURE]
    return {
        "language": row.language,
        "n_texts": change.n_prompts,
        names[0]: _number(change.base),
        names[1]: _number(change.other),
        "difference": interval_json(change.difference),
        "p": _number(change.p),
        "p_holm": _number(change.p_holm),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print(found: Suppression, sets: Sequence[TextSet], absent: Mapping[str, str]) -> None:
    """Print a table a kind, that of selectivity, and what to mind, on stdout."""
    console = Console(width=None if Console().is_terminal else _WIDTH)
    names = (str(found.base["name"]), _name(found.model))
    for each in sets:
        console.print(_kind_table(found, each, names))
    if found.selectivity:
        console.print(_selectivity_table(found.selectivity))
    for each in sets:
        if KINDS[each.kind].harmless:
            console.print(_verdict(each.kind, found.kinds[each.kind].rows), highlight=False)
    for line in _to_mind(sets, found, absent):
        console.print(f"[yellow]Mind:[/yellow] {escape(line)}", highlight=False)


def _kind_table(found: Suppression, texts: TextSet, names: tuple[str, str]) -> Table:
    result, kind = found.kinds[texts.kind], KINDS[texts.kind]
    caption = f"{_UNIT} Difference with its paired 95 % interval over texts, * where it is below 0."
    counts = {"left out": result.n_left_out, "cut": result.n_cut}
    caption += "".join(f" {count:,} {what}." for what, count in counts.items() if count)
    return _table(f"{texts.kind}: {kind.about}", caption, names, result.rows)


def _selectivity_table(rows: Sequence[ComparisonRow]) -> Table:
    caption = "The change of the toxic completion less that of the harmless one, prompt by prompt: "
    caption += "below 0 is what detoxification should do. * where the interval is."
    return _table("selectivity", caption, ("benign", "toxic"), rows)


def _table(
    title: str, caption: str, names: tuple[str, str], rows: Sequence[ComparisonRow]
) -> Table:
    table = Table(title=escape(title), caption=caption, box=box.SIMPLE_HEAD)
    table.caption_justify = "left"
    table.add_column("language")
    for heading in ("texts", *map(escape, names), "difference", "p (Holm)"):
        table.add_column(heading, justify="right")
    for row in rows:
        if row.language == MEAN:
            table.add_section()
        change = row.changes[MEASURE]
        levels = (f"{level:+.3f}" for level in (change.base, change.other))
        cells = [str(change.n_prompts), *levels, _difference(change), _p(change)]
        table.add_row(_language(row.language), *cells)
    return table


def _difference(change: Change) -> str:
    estimate, low, high = change.difference
    bounds = "" if math.isnan(low) else f" [dim]{low:+.3f} to {high:+.3f}[/dim]"
    return f"{estimate:+.3f}{bounds}{'*' if change.lower else ' '}"


def _p(change: Change) -> str:
    """Return p corrected over the languages; that of a mean is of one test."""
    value = change.p if math.isnan(change.p_holm) else change.p_holm
    return f"{value:.4f}"


def _verdict(kind: str, rows: Sequence[ComparisonRow]) -> str:
    languages = [row for row in rows if row.language != MEAN]
    lower = [row.language for row in languages if row.changes[MEASURE].lower]
    named = f": {', '.join(lower)}" if lower else ""
    return f"{kind}: less likely than before in {len(lower)} of {len(languages)} languages{named}."


def _to_mind(sets: Sequence[TextSet], found: Suppression, absent: Mapping[str, str]) -> list[str]:
    lines = [f"{each.kind} has no {', '.join(each.missing)}." for each in sets if each.missing]
    lines += [f"{kind} is not there. {remedy}" for kind, remedy in absent.items()]
    rows = [row for result in found.kinds.values() for row in result.rows]
    if any(row.changes[MEASURE].n_prompts < FEWEST for row in rows):
        lines.append(f"Intervals over fewer than {FEWEST} texts say nothing.")
    return lines


def _name(identity: Mapping[str, Any]) -> str:
    edited = " (edited)" if "intervention" in identity else ""
    return f"{identity['name']}{edited}"


def _language(code: str) -> str:
    row = LANGUAGES.get(code)
    return f"{code} {row.name.split(',')[0].split(' (')[0]}" if row else code
