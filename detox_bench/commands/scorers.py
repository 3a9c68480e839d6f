"""``detox-bench scorers``: what can score which language."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.scorers.huggingface import is_hub_name
from detox_bench.scorers.protocol import scorer_info
from detox_bench.scorers.table import SCORERS, ScorerRow, load_scorer, scorer_row

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_GRID_COLUMNS = 4


@app.command(epilog="Examples:\n\n`detox-bench scorers`\n\n`detox-bench scorers ngram --json`")
def main(
    name: Annotated[
        str | None,
        typer.Argument(help="One scorer, to see its languages: `ngram`, or `hf:<your folder>`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List what can score which language, or show one scorer and its languages."""
    found = [_facts(name)] if name else [_facts(row) for row in SCORERS]
    if as_json:
        typer.echo(json.dumps(found[0] if name else found, indent=2))
        return
    console = Console(width=None if Console().is_terminal else 130)
    if not name:
        console.print(_overview(found))
        return
    for key in ("kind", "needs", "licence", "id", "threshold", "settings", "weights_sha256"):
        if found[0].get(key):
            console.print(f"[bold]{key}[/bold]  {escape(str(found[0][key]))}", highlight=False)
    console.print(_grid(found[0]))


def _facts(name: str) -> dict[str, Any]:
    """Return a JSON object on one scorer; one that lies on this machine is loaded for its id."""
    row = scorer_row(name)
    facts = {
        "name": name,
        "kind": row.kind,
        "languages": sorted(row.languages),
        "needs": row.needs,
        "licence": row.licence,
        "id": None,
    }
    if _on_this_machine(row, name):
        facts |= scorer_info(load_scorer(name)).as_json()
    return facts | {"auc": _validated() if name == "ngram" else {}}


def _on_this_machine(row: ScorerRow, name: str) -> bool:
    """Return whether a scorer can be loaded without fetching anything.

    A name of the Hub cannot, nor a Detoxify checkpoint file, whose tokenizer the Hub may have.
    """
    if not row.family or name == row.name:
        return row.needs == "nothing"
    given = name.partition(":")[2]
    fetched = {"hf": is_hub_name(given), "detoxify": Path(given).expanduser().is_file()}
    return not fetched[row.prefix]


def _validated() -> dict[str, Any]:
    """Return the AUCs of the embedded scorer by language, as its fitting script wrote them."""
    card = files("detox_bench.scorers").joinpath("ngram.json")
    if not card.is_file():
        return {}
    languages = json.loads(card.read_text("utf-8")).get("languages", {})
    return {
        code: {key: value for key, value in figures.items() if "auc" in key}
        for code, figures in languages.items()
        if isinstance(figures, dict)
    }


def _overview(found: list[dict[str, Any]]) -> Table:
    """Return a table with a scorer a row; its languages and its id stand below its name."""
    table = Table(box=box.SIMPLE_HEAD, caption_justify="left")
    table.caption = "Declared languages; how well they are scored: detox-bench scorers NAME."
    table.add_column("scorer", no_wrap=True)
    table.add_column("of 17", justify="right")
    table.add_column("of 28", justify="right")
    table.add_column("needs")
    table.add_column("licence")
    for facts in found:
        declared = [code for code in LANGUAGES if code in facts["languages"]]
        below = [_short(declared), *([facts["id"]] if facts["id"] else [])]
        table.add_row(
            "".join([escape(facts["name"]), *(f"\n  [dim]{line}[/dim]" for line in below)]),
            str(sum(code in declared for code in PAPER_LANGUAGES)) if declared else "?",
            str(len(declared)) if declared else "?",
            facts["needs"],
            facts["licence"],
        )
    return table


def _short(declared: list[str]) -> str:
    """Return the codes, or words where they are all or none."""
    if not declared:
        return "yours to say: languages=…"
    return "all 28" if len(declared) == len(LANGUAGES) else " ".join(declared)


def _grid(facts: dict[str, Any]) -> Table:
    """Return the 28 languages with a mark for each declared one, and its AUCs if there are any."""
    keys = sorted({key for figures in facts["auc"].values() for key in figures})
    title = "Languages: ✓ declared, – not" if facts["languages"] else "No language is declared"
    title += f"; {', '.join(keys)}" if keys else ""
    table = Table(title=title, box=box.SIMPLE, show_header=False, title_justify="left")
    cells = [_cell(code, facts, keys) for code in LANGUAGES]
    for start in range(0, len(cells), _GRID_COLUMNS):
        table.add_row(*cells[start : start + _GRID_COLUMNS])
    return table


def _cell(code: str, facts: dict[str, Any], keys: list[str]) -> str:
    """Return the mark, code and AUCs of one language."""
    mark = "✓" if code in facts["languages"] else "–" if facts["languages"] else "?"
    figures = facts["auc"].get(code, {})
    numbers = " ".join(f"{figures[key]:.3f}" for key in keys if figures.get(key) is not None)
    return f"{mark} {code} {numbers}".rstrip()
