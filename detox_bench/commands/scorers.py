"""``detox-bench scorers``: what can score which language."""

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.ensemble_members import split_members
from detox_bench.languages import LANGUAGES
from detox_bench.scorers.huggingface import is_hub_name
from detox_bench.scorers.protocol import claimed, scorer_info
from detox_bench.scorers.table import SCORERS, ScorerRow, load_scorer, scorer_row
from detox_bench.scorers.validation import LEAST_AUC, Validation, stored_ids, validation_of

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_GRID_COLUMNS = 4
#: How the states of ``COVERAGE_STATES`` are marked.
_MARKS = {"validated": "★", "declared": "✓", "transfer": "~", "unsupported": "–", "undeclared": "?"}
#: What tells how completions were measured otherwise; the JSON has it.
_NOT_SHOWN = frozenset({"auc_completions_whole", "auc_rated_completions"})
_COUNTED = ("validated", "declared", "transfer", "unsupported")


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
    """Return a JSON object on one scorer; one that lies on this machine is loaded for its id.

    Of another the id is known where it was validated here, under one id only.
    """
    row = scorer_row(name)
    facts: dict[str, Any] = {
        "name": name,
        "kind": row.kind,
        "languages": sorted(row.languages),
        "needs": row.needs,
        "licence": row.licence,
        "id": None,
    }
    if _on_this_machine(row, name):
        facts |= scorer_info(load_scorer(name)).as_json()
    elif len(ids := stored_ids(name)) == 1:
        facts["id"] = ids[0]
    known = validation_of(str(facts["id"]))
    states = {code: _state(code, row, facts["languages"], known) for code in LANGUAGES}
    return facts | {"auc": known.auc if known else {}, "coverage": states}


def _state(code: str, row: ScorerRow, languages: Collection[str], known: Validation | None) -> str:
    """Return the state of ``COVERAGE_STATES`` of a scorer that need not be loaded."""
    area = known.of(code) if known else None
    if area is not None and area >= LEAST_AUC:
        return "validated"
    return claimed(languages, row.transfer, code)


def _on_this_machine(row: ScorerRow, name: str) -> bool:
    """Return whether a scorer can be loaded without fetching anything.

    A name of the Hub cannot, nor a Detoxify checkpoint file, whose tokenizer the Hub may have.
    """
    if not row.family or name == row.name:
        return row.needs == "nothing"
    given = name.partition(":")[2]
    if row.prefix == "ensemble":
        members = split_members(given)
        return all(_on_this_machine(scorer_row(member), member) for member in members)
    fetched = {
        "hf": is_hub_name(given),
        "detoxify": Path(given).expanduser().is_file(),
        "guard": is_hub_name(given),
        "perspective": True,
    }
    return not fetched.get(row.prefix, False)


def _overview(found: list[dict[str, Any]]) -> Table:
    """Return a table with a scorer a row; its languages and its id stand below its name."""
    table = Table(box=box.SIMPLE_HEAD, caption_justify="left")
    table.caption = (
        "Below a name its declared languages; the state of each: detox-bench scorers NAME. "
        f"Validated: agrees with people (AUC from {LEAST_AUC:g} on); transfer: not declared, but "
        "its base model knows the language."
    )
    table.add_column("scorer", overflow="fold")
    for state in _COUNTED:
        table.add_column(state, justify="right", no_wrap=True, min_width=len(state))
    for facts in found:
        declared = [code for code in LANGUAGES if code in facts["languages"]]
        below = [_short(declared), f"needs {facts['needs']}; {facts['licence']}"]
        below += [facts["id"]] if facts["id"] else []
        states = Counter(facts["coverage"].values())
        table.add_row(
            "".join([escape(facts["name"]), *(f"\n  [dim]{escape(line)}[/dim]" for line in below)]),
            *("?" if states["undeclared"] and not states[s] else str(states[s]) for s in _COUNTED),
        )
    return table


def _short(declared: list[str]) -> str:
    """Return the codes, or words where they are all or none."""
    if not declared:
        return "yours to say: languages=…"
    return "all 28" if len(declared) == len(LANGUAGES) else " ".join(declared)


def _grid(facts: dict[str, Any]) -> Table:
    """Return the 28 languages, each with the mark of its state and its AUCs if there are any."""
    keys = sorted({key for figures in facts["auc"].values() for key in figures} - _NOT_SHOWN)
    there = set(facts["coverage"].values())
    title = ", ".join(f"{mark} {state}" for state, mark in _MARKS.items() if state in there)
    title = f"Languages: {title}{'; ' if keys else ''}{', '.join(keys)}"
    table = Table(title=title, box=box.SIMPLE, show_header=False, title_justify="left")
    cells = [_cell(code, facts, keys) for code in LANGUAGES]
    for start in range(0, len(cells), _GRID_COLUMNS):
        table.add_row(*cells[start : start + _GRID_COLUMNS])
    return table


def _cell(code: str, facts: dict[str, Any], keys: list[str]) -> str:
    """Return the mark, code and AUCs of one language."""
    figures = facts["auc"].get(code, {})
    numbers = " ".join(f"{figures[key]:.3f}" for key in keys if figures.get(key) is not None)
    return f"{_MARKS[facts['coverage'][code]]} {code} {numbers}".rstrip()
