"""``detox-bench report``: was it really detoxified, as a page, as Markdown and as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from detox_bench.reports.content import Report

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_WIDTH = 140  # of what is no terminal

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench report out/run/base dpo=out/run/dpo neurons=out/run/edited --output report`\n\n"
    "`detox-bench report out/run/base dpo=seed-0/run/m dpo=seed-1/run/m --with-samples "
    "--evidence suppression.json --evidence capability.json`"
)


@app.command(epilog=_EXAMPLES)
def main(
    base: Annotated[
        str, typer.Argument(help="The run before: a run folder or samples files, or NAME=RUN.")
    ],
    runs: Annotated[
        list[str],
        typer.Argument(help="Runs after, as RUN or NAME=RUN; of equal names: seeds of a setting."),
    ],
    output: Annotated[
        Path, typer.Option(help="The folder to write: report.html, .md, .json, figures.")
    ] = Path("report"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over the report that is in the folder.")
    ] = False,
    title: Annotated[str | None, typer.Option(help="The heading of the page.")] = None,
    perplexity_model: Annotated[
        str | None,
        typer.Option(
            help="Judges fluency: a folder, a Hub name, `legacy-mt5:NAME`, or `none`; the base "
            "model of the run if not given."
        ),
    ] = None,
    scorer: Annotated[str, typer.Option(help="See `detox-bench scorers`.")] = "ngram",
    threshold: Annotated[
        float | None, typer.Option(help="Toxic from here on; the scorer's own if not given.")
    ] = None,
    evidence: Annotated[
        list[Path] | None,
        typer.Option(help="JSON of `detox-bench suppression` or `capability`; several times."),
    ] = None,
    references: Annotated[
        bool,
        typer.Option(
            "--references",
            help="Add four cheats made from the base's prompts (says nothing, one sentence, "
            "always English, repeats the prompt), to show that low toxicity alone proves nothing.",
        ),
    ] = False,
    with_samples: Annotated[
        bool,
        typer.Option(
            "--with-samples",
            help="Put the worst continuations of a few prompts into the report, hidden until "
            "clicked. Without it no text of a model is in it.",
        ),
    ] = False,
    prompts: Annotated[
        Path | None,
        typer.Option(help="JSON lines of `id` and `text`, for prompts of no known data set."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Compare runs whose signatures do not agree: the prompts they share, and as many "
            "samples as all have. The report names what differs.",
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse languages in which the scorer has not been validated."
        ),
    ] = False,
    figures: Annotated[
        bool, typer.Option(help="Draw the figures as SVG and PNG too (needs matplotlib).")
    ] = True,
) -> None:
    """Compare models with their base in one report: toxicity beside quality, with verdicts.

    A model that says nothing, repeats itself or answers in English scores as clean. The report sets
    the change of toxicity, paired prompt by prompt with intervals and tests, beside perplexity,
    diversity, language, repetition and copying, and gives each language a verdict by thresholds
    that it prints. It is one HTML file that needs nothing else, and the same as Markdown and JSON.
    """
    from detox_bench.readable_texts import readable
    from detox_bench.reports.gather import Wish, gather
    from detox_bench.reports.stores import named_runs
    from detox_bench.reports.writing import check_output, write_report
    from detox_bench.run_comparison import Asked
    from detox_bench.typed_commands import typed_command, without_secrets

    check_output(output, overwrite)
    judging = Asked(perplexity_model, scorer, threshold, False, prompts, strict)
    command = without_secrets(typed_command())
    found = gather(
        *named_runs(base, runs),
        Wish(judging, force, references, with_samples, evidence or (), title, command),
    )
    written = write_report(found, output, figures)
    console = Console(width=None if Console().is_terminal else _WIDTH)
    print_report(found, console, [*found.remarks, *written.remarks])
    typer.echo(readable(f"Report: {written.page}"))


def print_report(report: "Report", console: Console, remarks: list[str]) -> None:
    """Print a line a run: how many languages got which verdict; then what was left out."""
    from detox_bench.commands.report_table import left_out, verdict_table
    from detox_bench.readable_texts import readable

    with console.capture() as shown:
        console.print(verdict_table(report))
        for each in report.disagreements:
            console.print(f"[yellow]Compared all the same:[/yellow] {escape(each)}", soft_wrap=True)
        models = [each for each in report.compared if not each.is_reference]
        for each in dict.fromkeys(doubt for model in models for doubt in model.doubts):
            console.print(f"[yellow]Doubtful:[/yellow] {escape(each)}", soft_wrap=True)
        for each in [*left_out(report), *remarks]:
            console.print(f"[yellow]Mind:[/yellow] {escape(each)}", soft_wrap=True, highlight=False)
    typer.echo(readable(shown.get()), nl=False)
