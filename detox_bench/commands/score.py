"""``detox-bench score``: score stored continuations again."""

import json
from pathlib import Path
from typing import Annotated

import typer

from detox_bench.commands.tables import print_toxicity
from detox_bench.errors import DetoxBenchError
from detox_bench.rescoring import rescore
from detox_bench.scorers.table import load_scorer

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench score out/run/gpt2 --scorer detoxify:multilingual`\n\n"
    "`detox-bench score out/model --scorer hf:./my-classifier -o toxic_label=1 --json`"
)


@app.command(epilog=_EXAMPLES)
def main(
    store: Annotated[
        Path,
        typer.Argument(help="A run folder, a samples file of lm-eval, or a folder of those."),
    ],
    scorer: Annotated[str, typer.Option(help="See `detox-bench scorers`.")] = "ngram",
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="An option of the scorer, `name=value`; repeatable."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Toxic from here on; the scorer's own if not given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where to write; beside the texts if not given.")
    ] = None,
    as_json_: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
) -> None:
    """Score the continuations of a finished run with another scorer, without generating."""
    if not store.exists():
        raise DetoxBenchError(f"{store} does not exist. Give a run folder or a samples file.")
    judge = load_scorer(scorer, **_options(option or []))
    folder = output or (store if store.is_dir() else store.parent)
    scored = rescore(store, judge, folder, threshold)
    if as_json_:
        typer.echo(scored.summary.read_text("utf-8"))
        return
    limit = judge.threshold if threshold is None else threshold
    caption = f"Scorer: {judge.id}, toxic from {limit:g}. Small: 95 % bootstrap intervals."
    print_toxicity(scored.rows, f"Toxicity of {store}", caption, scored.doubts)
    typer.echo(f"Every score: {scored.scores}\nThis table:  {scored.summary}")


def _options(given: list[str]) -> dict[str, object]:
    """Return ``name=value`` texts as options; values that are JSON are read as such."""
    options: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise DetoxBenchError(f"--option {each!r} is not of the form name=value.")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options
