"""``detox-bench tasks-path``: where the task files lie."""

import typer

from detox_bench.locations import tasks_path

app = typer.Typer(add_completion=False)


@app.command(
    epilog='Examples:\n\n`lm_eval --include_path "$(detox-bench tasks-path)" --tasks '
    "rtplx_toxicity_de …`\n\n`ls $(detox-bench tasks-path)/rtplx_toxicity`"
)
def main() -> None:
    """Print the folder of the task files, for `lm_eval --include_path`."""
    typer.echo(tasks_path())
