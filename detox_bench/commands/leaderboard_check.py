"""``detox-bench leaderboard check``: submissions checked, all problems at once."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from detox_bench.errors import DetoxBenchError
from detox_bench.runs import check_files, write_json

if TYPE_CHECKING:
    from detox_bench.leaderboard.checking import Checking

_WIDTH = 130
_BADGE = "samples-checked"


def check_submissions(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Submissions, folders of them, files in them, or a board."),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            help="What the board was before: a revision of git (`origin/main`) or a folder. What "
            "was there may not have changed; of a board, only what is new or changed is checked."
        ),
    ] = None,
    badges: Annotated[
        bool,
        typer.Option("--badges", help="For maintainers: with --against, badges may have changed."),
    ] = False,
    suite: Annotated[
        Path | None, typer.Option(help="Another specification than the packaged benchmark.yaml.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was found to this file.")
    ] = None,
    markdown_file: Annotated[
        Path | None,
        typer.Option("--markdown", help="Write a summary with the neighbours on the board."),
    ] = None,
    write_badge: Annotated[
        bool,
        typer.Option(
            "--write-badge",
            help="For maintainers: give what is fine the badge `samples-checked`, which says that "
            "its numbers were computed again.",
        ),
    ] = False,
) -> None:
    """Check submissions: every number is computed again from the samples.

    Nothing in a submission is executed, unpickled, fetched or trusted; no model is loaded. All
    problems are told at once, one sentence each. The exit code is 0 where nothing is wrong, 1
    where something is, 2 where a submission could not be read.
    """
    from detox_bench.leaderboard.check_summary import markdown
    from detox_bench.leaderboard.checking import check
    from detox_bench.leaderboard.specification import load_specification

    check_files(json_file, markdown_file)
    found = check(paths, against, load_specification(suite), badges)
    _print(found)
    if json_file is not None:
        write_json(json_file, found.as_json())
    if markdown_file is not None:
        markdown_file.write_text(markdown(found), "utf-8")
    if write_badge:
        _write_badges(found)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _write_badges(found: "Checking") -> None:
    """Badge what is fine and has no such badge; nothing where the board itself was changed."""
    from detox_bench import __version__
    from detox_bench.leaderboard.entries import add_badge, has_badge

    if found.board_problems:
        raise DetoxBenchError("What is on the board was changed: no badge was written.")
    fine = [each.folder for each in found.checked if not each.problems]
    new = [folder for folder in fine if not has_badge(folder, _BADGE)]
    for folder in new:
        add_badge(folder, _BADGE, f"All numbers computed again by detox-bench {__version__}")
    typer.echo(f"Badge {_BADGE}: {len(new)} written, {len(fine) - len(new)} were there.")


def _print(found: "Checking") -> None:
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False)
    for problem in found.board_problems:
        console.print(f"[red]Changed:[/red] {escape(problem)}", soft_wrap=True)
    for each in found.checked:
        name = escape("/".join(map(repr, each.folder.parts[-3:])).replace("'", ""))
        console.print(f"{'[red]refused[/red]' if each.problems else '[green]fine[/green]'} {name}")
        for problem in each.problems:
            console.print(f"  - {escape(problem)}", soft_wrap=True)
    wrong = sum(bool(each.problems) for each in found.checked)
    console.print(f"{len(found.checked)} submissions checked, {wrong} refused.")
    if found.board_problems:
        console.print(
            f"[red]{len(found.board_problems)} changes that are refused[/red], see above."
        )


#: The commands, each with the examples that end its help.
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "check": (
        check_submissions,
        "Examples:\n\n"
        "`detox-bench leaderboard check leaderboard/submissions/you__model`\n\n"
        "`detox-bench leaderboard check leaderboard --against origin/main --markdown check.md`\n\n"
        "`detox-bench leaderboard check leaderboard --write-badge`",
    ),
}
