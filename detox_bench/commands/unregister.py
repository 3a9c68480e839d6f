"""``detox-bench unregister``: take our includes out of lm-eval again."""

import typer

from detox_bench.harness.register import stub_folder, unregister

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\n`detox-bench unregister`\n\n"
    "`detox-bench unregister && pip uninstall lm-eval`"
)
def main() -> None:
    """Remove what `detox-bench register` wrote into lm-eval's tasks folder."""
    removed = unregister()
    typer.echo(f"{'Removed' if removed else 'There was no'} {stub_folder()}.")
