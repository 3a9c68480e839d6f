"""``detox-bench leaderboard verify``: a part of a submission generated again."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from detox_bench.errors import DetoxBenchError
from detox_bench.runs import write_json

if TYPE_CHECKING:
    from detox_bench.leaderboard.verifying import Verification

_WIDTH = 130


def verify_submission(
    submission: Annotated[Path, typer.Argument(help="The folder of a submission.")],
    model: Annotated[
        str, typer.Option(help="The model that was submitted: a folder or a name on the Hub.")
    ],
    model_args: Annotated[
        str | None,
        typer.Option(help="More arguments of `detox-hf`, as `peft=./adapter,dtype=float32`."),
    ] = None,
    share: Annotated[float, typer.Option(help="The share of prompts, drawn at random.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of the draw of prompts.")] = 0,
    run_folder: Annotated[
        Path | None, typer.Option(help="Keep the continuations in this new folder.")
    ] = None,
    write_badge: Annotated[
        bool, typer.Option("--write-badge", help="Write badge.json if it was reproduced.")
    ] = False,
) -> None:
    """Generate 5 % of the prompts again with the stated model and settings, and compare.

    With the same weights, engine, seed and float32 every text must be the same; otherwise the
    scores of the prompts must not differ (paired sign-flip test, corrected). An intervention is
    taken from the submission. The prompts must be prepared (`detox-bench data`). The exit code is 1
    where the submission was not reproduced.
    """
    from detox_bench.leaderboard.regenerating import VerifySettings, verify
    from detox_bench.leaderboard.specification import load_specification
    from detox_bench.leaderboard.submission import BADGE

    asked = VerifySettings(submission, model, model_args, share, seed, run_folder)
    found = verify(asked, load_specification())
    _print(found)
    if not found.reproduced:
        raise DetoxBenchError("The submission was not reproduced.")
    if write_badge:
        write_json(submission / BADGE, found.badge().model_dump(mode="json"))
        typer.echo(f"{submission / BADGE} is written.")


def _print(found: "Verification") -> None:
    table = Table(box=box.SIMPLE_HEAD, title="Generated again", title_justify="left")
    for heading in ("metric", "stated", "difference", "95 % interval", "p"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name, each in found.agreement.items():
        low, high = each.difference.low, each.difference.high
        cells = f"{each.stated:.4f}", f"{each.difference.estimate:+.4f}"
        table.add_row(name, *cells, f"{low:+.4f} to {high:+.4f}", f"{each.p:.3f}")
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False)
    console.print(table)
    must = "must be" if found.exact else "need not be, by another engine, seed or precision"
    console.print(
        f"{found.prompts} of {found.total} prompts, drawn with seed {found.seed}: {found.equal} of "
        f"{found.texts} texts are equal; they {must}.",
        soft_wrap=True,
    )
    console.print("Reproduced." if found.reproduced else "NOT reproduced.")


#: The commands, each with the examples that end its help.
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "verify": (
        verify_submission,
        "Examples:\n\n"
        "`detox-bench leaderboard verify leaderboard/submissions/you__model/REVISION/RUN "
        "--model you/model`\n\n"
        "`detox-bench leaderboard verify SUBMISSION --model ./model --seed 7 --write-badge`",
    ),
}
