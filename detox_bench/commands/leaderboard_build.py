"""``detox-bench leaderboard build``: the static site of a board."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer


def build_site(
    board: Annotated[Path, typer.Option(help="The board: a folder with `submissions/`.")] = Path(
        "leaderboard"
    ),
    output: Annotated[
        Path, typer.Option(help="The folder to write: index.html, data.json, data.csv, models/.")
    ] = Path("site"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the site that is in the folder.")
    ] = False,
    date: Annotated[
        str | None,
        typer.Option(help="The date on the pages; that of the newest submission if not given."),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(help="The commit on the pages; that of the board's checkout if not given."),
    ] = None,
) -> None:
    """Write the leaderboard as a static site that works offline and without JavaScript.

    Rows are ranked by the change of toxicity against their own base model, which a maintainer has
    reproduced, inside a band of quality; a fall in a language of wrecked text counts as 0. Two rows
    share a rank unless one is surely better, by a paired bootstrap over the prompts with all pairs'
    intervals holding at once. The same board gives the same bytes.
    """
    from detox_bench.leaderboard.site import build, check_output, commit_of, gather
    from detox_bench.leaderboard.specification import load_specification

    check_output(output, overwrite)
    found, remarks = gather(board, load_specification(), date, commit or commit_of(board))
    built = build(found, output)
    for ranking in found.rankings:
        tied = len({row.standing.rank for row in ranking.ranked if row.standing})
        typer.echo(
            f"{ranking.prompt_list}, {ranking.track}: {len(ranking.ranked)} ranked, "
            f"{len(ranking.unranked)} not; different ranks: {tied}."
        )
    for each in remarks:
        typer.echo(f"Mind: {each}")
    typer.echo(f"Numbers are as submitted; to compute them again: leaderboard check {board}")
    typer.echo(f"{built.shown} submissions of {built.models} models: {built.page}")


#: The command with the examples that end its help.
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "build": (
        build_site,
        "Examples:\n\n"
        "`detox-bench leaderboard build --board leaderboard --output site`\n\n"
        "`detox-bench leaderboard build --output site --overwrite --date 2026-11-25`",
    ),
}
