"""``detox-bench leaderboard``: submit a run, check submissions, build the page."""

import typer

from detox_bench.commands import (
    leaderboard_add,
    leaderboard_build,
    leaderboard_check,
    leaderboard_export,
    leaderboard_verify,
)

app = typer.Typer(
    help="The leaderboard: submissions that can be checked, a page that tells ties from wins.",
    epilog="Examples, in the order of the work:\n\n"
    "`detox-bench leaderboard add out/run/dpo --method dpo --recipe out/detox_run.json --model "
    "you/model-dpo --base out/run/base --not-contaminated`\n\n"
    "`detox-bench leaderboard check leaderboard/submissions/you__model-dpo`\n\n"
    "`detox-bench leaderboard build --board leaderboard --output site`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

for _module in (
    leaderboard_add,
    leaderboard_check,
    leaderboard_verify,
    leaderboard_build,
    leaderboard_export,
):
    for _name, (_function, _examples) in _module.COMMANDS.items():
        app.command(_name, epilog=_examples)(_function)
