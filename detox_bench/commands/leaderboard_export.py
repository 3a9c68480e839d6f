"""``detox-bench leaderboard export``: a submission for other boards and for the model's page."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from detox_bench.leaderboard.formats import FORMATS

_FORMATS = "; ".join(f"`{name}` {row.about}" for name, row in FORMATS.items())


def export(
    submission: Annotated[Path, typer.Argument(help="The folder of a submission.")],
    to: Annotated[str, typer.Option(help=f"{_FORMATS}.")],
    output: Annotated[Path, typer.Option(help="The file to write.")],
) -> None:
    """Write a submission in the format of another board, or for the model's own page."""
    from detox_bench.leaderboard.board import read_stated
    from detox_bench.leaderboard.formats import export as write
    from detox_bench.leaderboard.specification import load_specification

    suite = load_specification()
    write(read_stated(submission), suite, to, output)
    typer.echo(f"Wrote {output}: {FORMATS[to].about}.")


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "export": (
        export,
        "Examples:\n\n`detox-bench leaderboard export "
        "leaderboard/submissions/you__model/local-0f…/3a… --to model-card --output toxicity.md`\n\n"
        "`detox-bench leaderboard export SUBMISSION --to every-eval-ever --output eval.json`",
    )
}
