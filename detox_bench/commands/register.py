"""``detox-bench register``: make the tasks known to the stock lm_eval command."""

import typer

from detox_bench.harness.register import register, stub_folder

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\n`detox-bench register`\n\n"
    "`lm_eval --tasks 'rtplx_toxicity_*' --model hf --model_args pretrained=…` (afterwards)"
)
def main() -> None:
    """Write one-line includes of our task files into lm-eval's own tasks folder.

    Undo it with `detox-bench unregister`, also before lm-eval is uninstalled. Run it again when
    detox-bench was updated or moved.
    """
    typer.echo(f"{register()} task files are known to lm_eval now, through {stub_folder()}.")
