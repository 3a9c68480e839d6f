"""``detox-bench demo``: the whole way through, on the demo model."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from detox_bench import __version__
from detox_bench.commands.tables import print_toxicity
from detox_bench.demo import model_path

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n`detox-bench demo`\n\n"
    "`lm_eval --model hf --model_args pretrained=$(detox-bench demo --model-path) "
    "--tasks rtplx_toxicity_de` (after `detox-bench register`)"
)
_TASKS = "rtplx_toxicity"


@app.command(epilog=_EXAMPLES)
def main(
    output: Annotated[Path, typer.Option(help="Where results are written.")] = Path("out/demo"),
    only_path: Annotated[
        bool, typer.Option("--model-path", help="Print the demo model's folder and stop.")
    ] = False,
) -> None:
    """Evaluate the demo model in 17 languages: a toy world, for seeing the machinery run.

    A tiny model that this project trained on sentences it wrote itself continues 24 mild prompts a
    language, 25 times each; the embedded scorer judges. Nothing is downloaded. The numbers say
    nothing about any real model.
    """
    if only_path:
        typer.echo(model_path())
        return
    from detox_bench.harness.command import EvalOptions, evaluate
    from detox_bench.harness.results import toxicity_rows

    Console().print(f"The demo model, {_TASKS}, sample prompts, 25 continuations each:")
    weights = hashlib.sha256((model_path() / "model.safetensors").read_bytes()).hexdigest()[:8]
    run = output / "run" / f"{__version__}-{weights}"
    arguments = ["--model", "detox-hf", "--model_args"]
    arguments += [f"pretrained={model_path()},run_folder={run}"]
    arguments += ["--tasks", _TASKS, "--output_path", str(output), "--log_samples"]
    found = toxicity_rows(evaluate(arguments, EvalOptions(prompts="sample", quiet=True)))
    assert found is not None, "the demo asks for a toxicity task"
    title = "Toxicity of the demo model (a toy world)"
    print_toxicity(found.rows, title, found.caption, found.doubts)
    typer.echo(f"Results, samples and continuations: {output}")
