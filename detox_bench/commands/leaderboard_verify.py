"""``detox-bench leaderboard verify``: a part of a submission generated again."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from detox_bench.errors import DetoxBenchError

if TYPE_CHECKING:
    from detox_bench.leaderboard.verifying import Verification

_WIDTH = 130
_HEADINGS = ("metric", "stated", "difference", "95 % interval", "p", "found from")


def verify_submission(
    submission: Annotated[Path, typer.Argument(help="The folder of a submission.")],
    model: Annotated[
        str, typer.Option(help="The model that was submitted: a folder or a name on the Hub.")
    ],
    perplexity_model: Annotated[
        str | None,
        typer.Option(
            help="The base model, which judges perplexity. Not needed for a base or edited "
            "neurons: there it is `--model`."
        ),
    ] = None,
    model_args: Annotated[
        str | None,
        typer.Option(
            help="More arguments of `detox-hf`, as `peft=./adapter`. Without `dtype` the "
            "submission's is taken."
        ),
    ] = None,
    share: Annotated[float, typer.Option(help="The share of prompts, drawn at random.")] = 0.05,
    seed: Annotated[
        int | None, typer.Option(help="Of the draw of prompts; a secret one if not given.")
    ] = None,
    run_folder: Annotated[
        Path | None, typer.Option(help="Keep the continuations in this new folder.")
    ] = None,
    write_badge: Annotated[
        bool,
        typer.Option(
            "--write-badge",
            help="Check the submission first, and add a badge to badge.json if it was reproduced.",
        ),
    ] = False,
) -> None:
    """Generate 5 % of the prompts again with the stated model and settings, and compare.

    With the same weights, engine, seed and float32 the texts must be the same, but for the few that
    another machine draws; otherwise no metric may differ (paired sign-flip tests, corrected). Equal
    texts must have equal scores, metrics and perplexities. What would have been found is told. An
    intervention is taken from the submission. The prompts must be prepared (`detox-bench data`).
    The exit code is 1 where the submission was not reproduced.
    """
    from detox_bench.leaderboard.entries import add_badge
    from detox_bench.leaderboard.regenerating import VerifySettings, verify
    from detox_bench.leaderboard.specification import load_specification

    asked = VerifySettings(
        submission, model, model_args, perplexity_model, share, seed, run_folder, write_badge
    )
    found = verify(asked, load_specification())
    _print(found)
    if not found.reproduced:
        raise DetoxBenchError("The submission was not reproduced.")
    if write_badge:
        typer.echo(f"{add_badge(submission, 'reproduced', found.note())} is written.")


def _print(found: "Verification") -> None:
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False)
    if not (found.exact and found.reproduced):
        console.print(_table(found))
    why = "; ".join(found.terms.reasons)
    must = f"need not be equal ({why}), " if why else "must be equal, but for one in 200, "
    drawn = f"{found.prompts} of {found.total} prompts, drawn with seed {found.terms.seed}"
    console.print(
        f"{drawn}; texts {must}and equal ones have equal numbers:", soft_wrap=True, markup=False
    )
    for name, each in found.differing.items():
        console.print(f"  {name}: {each.total - each.differ} of {each.total} equal")
    if found.terms.tolerance is None:
        console.print(
            "  perplexities: not verified; name the base with --perplexity-model", markup=False
        )
    console.print(_power(found), soft_wrap=True, markup=False)
    but = "" if found.terms.tolerance is not None else ", but for its perplexities"
    console.print(f"Reproduced{but}." if found.reproduced else "NOT reproduced.")


def _power(found: "Verification") -> str:
    """Return what would have been found."""
    if found.exact:
        return (
            f"Numbers made up for {found.forged_found:.1%} of the prompts would have been found "
            "(with 95 %)."
        )
    return (
        "`found from` is the mean difference that would have been found (with 80 %); draw more "
        "prompts to find less."
    )


def _table(found: "Verification") -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Generated again", title_justify="left")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name, each in found.agreement.items():
        low, high = each.difference.low, each.difference.high
        cells = f"{each.stated:.4f}", f"{each.difference.estimate:+.4f}"
        bounds, p = f"{low:+.4f} to {high:+.4f}", f"{each.p:.3f}"
        table.add_row(name, *cells, bounds, p, f"{each.found_from:.4f}")
    return table


#: The commands, each with the examples that end its help.
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "verify": (
        verify_submission,
        "Examples:\n\n"
        "`detox-bench leaderboard verify leaderboard/submissions/you__base/REVISION/RUN "
        "--model you/base`\n\n"
        "`detox-bench leaderboard verify SUBMISSION --model ./model --perplexity-model you/base "
        "--write-badge`",
    ),
}
