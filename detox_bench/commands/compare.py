"""``detox-bench compare``: a model before and after, language by language."""

from pathlib import Path
from typing import Annotated

import typer

from detox_bench.commands.comparison_table import print_comparison
from detox_bench.run_comparison import Asked, compare_stores, comparison_json
from detox_bench.runs import check_files, write_json

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench compare out/run/base out/run/dpo --perplexity-model ./base`\n\n"
    "`detox-bench compare out/run/base dpo-0/run/m dpo-1/run/m dpo-2/run/m --json changes.json`"
)


@app.command(epilog=_EXAMPLES)
def main(
    base: Annotated[Path, typer.Argument(help="The run before: a run folder or samples files.")],
    runs: Annotated[
        list[Path], typer.Argument(help="The run after; several are seeds of one setting.")
    ],
    perplexity_model: Annotated[
        str | None,
        typer.Option(
            help="Adds the perplexity ratio: a causal language model, mostly the base, or "
            "`legacy-mt5:NAME` for the formula of the paper's code."
        ),
    ] = None,
    scorer: Annotated[str, typer.Option(help="See `detox-bench scorers`.")] = "ngram",
    threshold: Annotated[
        float | None, typer.Option(help="Toxic from here on; the scorer's own if not given.")
    ] = None,
    separately: Annotated[
        bool, typer.Option("--separately", help="A table for each RUN instead of one for all.")
    ] = False,
    common: Annotated[
        bool, typer.Option("--common", help="Compare the prompts that all runs have, only those.")
    ] = False,
    prompts: Annotated[
        Path | None,
        typer.Option(help="JSON lines of `id` and `text`, for prompts of no known data set."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse languages the scorer is not validated in.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file as well.")
    ] = None,
) -> None:
    """Compare a model with its base on the same prompts, language by language."""
    asked = Asked(perplexity_model, scorer, threshold, common, prompts, strict)
    check_files(json_file)
    groups = [[run] for run in runs] if separately else [runs]
    comparisons = compare_stores(base, groups, asked)
    for each in comparisons.found:
        print_comparison(str(base), each, comparisons.caption)
    if json_file is not None:
        found = [comparison_json(each) for each in comparisons.found]
        write_json(json_file, dict(comparisons.settings) | {"comparisons": found})
