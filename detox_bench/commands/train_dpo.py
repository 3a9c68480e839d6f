"""``detox-bench train-dpo``: English preference pairs in, less toxicity in every language out."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.locations import package_folder

if TYPE_CHECKING:
    from detox_bench.trainers.preparation import PreparedPairs

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", add_help_option=False)

_ABOUT = (
    "Train a causal language model by DPO (TRL) on preference pairs: a run that was stopped goes "
    "on when the same command is given again, reference log-probabilities are kept between runs, "
    "and toxicity in other languages can be watched while it trains."
)
_EXAMPLES = (
    "detox-bench train-dpo --model gpt2 --pairs pairs.jsonl --output_dir out/dpo --merge",
    "detox-bench train-dpo --model M --pairs lee/ --recipe paper-full --output_dir out/paper \\\n"
    "    --watch_every 50 --learning_rate 5e-6",
    "accelerate launch --config_file $(detox-bench train-dpo --launcher fsdp) -m detox_bench \\\n"
    "    train-dpo --model M --pairs pairs.jsonl --output_dir out/dpo",
)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def main(
    context: typer.Context,
    wants_help: Annotated[bool, typer.Option("--help", "-h")] = False,
    wants_all: Annotated[bool, typer.Option("--help-all")] = False,
    launcher: Annotated[str, typer.Option("--launcher")] = "",
) -> None:
    """Train as the arguments say."""
    if wants_help or not (context.args or wants_all or launcher):
        _print_help(Console())
    elif wants_all:
        from detox_bench.trainers.parsing import full_help

        typer.echo(full_help())
    elif launcher:
        typer.echo(_launcher_file(launcher))
    else:
        run_training(context.args)


def run_training(arguments: Sequence[str]) -> Path:
    """Train, telling how it goes on stdout; return the folder of a whole model, or the adapter."""
    from detox_bench.trainers.dpo import Report, train
    from detox_bench.trainers.launching import is_main_process, warn_if_alone

    console = Console(quiet=not is_main_process())
    _quiet()
    warn_if_alone()

    def say(notes: Sequence[str]) -> None:
        for note in notes:
            console.print(f"[yellow]Note:[/yellow] {escape(note)}", soft_wrap=True)

    done = train(arguments, Report(say, lambda pairs: console.print(_pairs_table(pairs))))
    console.print(_summary(done.record))
    console.print(
        f"Written to {done.folder}" + (f", whole in {done.merged}" if done.merged else "")
    )
    return done.merged or done.folder


def _quiet() -> None:
    """Leave out bars of a moment, and what libraries tell their own developers."""
    from datasets import disable_progress_bars
    from transformers.utils import logging

    disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # tied weights are told as missing
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|trl|peft")


def _pairs_table(pairs: "PreparedPairs") -> Table:
    """Return the table of what became of the pairs."""
    cutting = pairs.cutting
    table = Table(
        title="Preference pairs", box=box.SIMPLE_HEAD, caption_justify="left", min_width=72
    )
    table.caption = (
        f"Prompts up to {cutting.prompt} tokens (the {cutting.prompt_keep} is kept), sequences up "
        f"to {cutting.sequence}; end-of-text: {cutting.append_eos}."
    )
    table.add_column("")
    table.add_column("pairs", justify="right")
    for name, count in pairs.counts.items():
        if count or name in ("train", "validation"):
            table.add_row(name, f"{count:,}")
    table.add_section()
    for language, count in pairs.languages.items():
        table.add_row(f"in {language}", f"{count:,}")
    return table


def _summary(record: Any) -> Table:
    """Return the table of how the run went."""
    table = Table(title="The run", box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in _summary_rows(record).items():
        if value is not None:
            table.add_row(name, escape(str(value)))
    return table


def _summary_rows(record: Any) -> dict[str, Any]:
    first = record.get("first_step")
    curves = record.get("curves", [])
    losses = [each["eval_loss"] for each in curves if "eval_loss" in each]
    ends = [losses[0], losses[-1]] if len(losses) > 1 else losses
    margins = [each["rewards/margins"] for each in curves if "rewards/margins" in each]
    return {
        "steps": record.get("steps"),
        "first loss, all terms": first and f"{first['loss']:.4f}",
        "first margin (0 is right)": first and f"{first['margin']:.1e}",
        "validation loss, all terms": " to ".join(f"{loss:.4f}" for loss in ends) or None,
        "reward margin at the end": f"{margins[-1]:.3f}" if margins else None,
        "best checkpoint": record.get("best_checkpoint"),
        "stopped because": record.get("stopped_because"),
    }


def _launcher_file(name: str) -> str:
    from detox_bench.errors import unknown_name

    folder = package_folder("detox_bench.trainers") / "accelerate"
    known = {file.stem: file for file in folder.glob("*.yaml")}
    if name not in known:
        raise unknown_name("launcher", name, known)
    return str(known[name])


def _print_help(console: Console) -> None:
    from detox_bench.trainers.arguments import ours, recipes

    console.print("\n Usage: detox-bench train-dpo --model M --pairs FILE --output_dir DIR [...]\n")
    console.print(f" {_ABOUT}\n")
    recipes_table = Table(title="Recipes", title_justify="left", box=box.SIMPLE_HEAD)
    recipes_table.add_column("--recipe", style="cyan", no_wrap=True)
    recipes_table.add_column("")
    for name, line in recipes().items():
        recipes_table.add_row(name, escape(line))
    console.print(recipes_table)
    table = Table(title="Arguments", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", style="cyan", no_wrap=True)
    table.add_column("")
    table.add_column("default", style="dim")
    for name, text, default in ours():
        table.add_row(f"--{name}", escape(text), escape(_shown(default)))
    console.print(table)
    console.print(
        " Every argument of TRL's DPOConfig and ModelConfig is one too (--beta, --learning_rate, "
        "--use_peft, --report_to ...): --help-all lists them. A YAML file of arguments: --config "
        "FILE. --launcher NAME prints the path of a configuration of accelerate.\n",
    )
    console.print(" Examples:\n")
    for example in _EXAMPLES:
        console.print(f"   {example}\n", style="green", highlight=False, soft_wrap=True)


def _shown(default: Any) -> str:
    return "" if default is None or default == [] else str(default)
