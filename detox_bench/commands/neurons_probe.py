"""``detox-bench neurons probe``: fit a linear probe for toxicity to a model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.runs import check_writable

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench neurons probe --model gpt2 --data train.csv --output probe`\n\n"
    "`detox-bench neurons probe --model ai-forever/mGPT --data train.csv --preset paper "
    "--device cuda --output probe-mgpt`"
)


def probe(
    model: Annotated[str, typer.Option(help="A model's folder or Hub name.")],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Texts labelled toxic or not: .jsonl, .csv or .tsv, also .gz; may be given again. "
            "Jigsaw's train.csv is read as it is."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The folder to write; the same one goes on.")],
    text_column: Annotated[
        str | None, typer.Option(help="`text`, `comment_text` or `prompt` if not given.")
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="`label`, `toxic`, `is_toxic` or `toxicity` if not given: true or false, a number "
            "(toxic from 0.5), or a word such as non-toxic."
        ),
    ] = None,
    before_norm: Annotated[
        bool,
        typer.Option(
            "--before-norm", help="Fit to states before the final norm, where value vectors are."
        ),
    ] = False,
    preset: Annotated[
        str,
        typer.Option(
            help="`tuned` takes the learning rate with the lowest validation loss; `paper` is "
            "1e-4 (table 7), `code` 1e-6 (the released script)."
        ),
    ] = "tuned",
    learning_rate: Annotated[
        float | None, typer.Option(help="Adam's, instead of the preset's.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Texts a training step; 10 if not given.", min=1)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training part; 20 if not given.", min=1)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides the order of texts; 99 if not given.", min=0)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Take so many texts, those whose ids hash lowest.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, …")] = "auto",
    batch_size: Annotated[
        int, typer.Option(help="Texts run through the model at once.", min=1)
    ] = 32,
) -> None:
    """Fit a linear probe: a direction of the last layer that tells toxic from other texts.

    Texts are split by the hash of their ids, 80 % to fit, 10 % to choose the epoch, 10 % to report.
    The hidden states are kept in OUTPUT, so a command that was stopped goes on. Another probe that
    is there is replaced, with a warning.
    """
    from detox_bench.data.labelled import read_labelled_files
    from detox_bench.modeling.hidden_states import StateSettings
    from detox_bench.modeling.loading import load_causal_model
    from detox_bench.neurons.find.probe import ProbeSettings, make_probe
    from detox_bench.neurons.find.probe_training import fit_settings

    rates = None if learning_rate is None else (learning_rate,)
    settings = ProbeSettings(
        StateSettings(not before_norm, batch_size),
        fit_settings(preset, rates=rates, batch=batch, epochs=epochs, seed=seed),
    )
    check_writable(output)
    texts = read_labelled_files(data, text_column, label_column, limit)
    loaded = load_causal_model(model, device)
    made = make_probe(loaded, texts, settings, output, [file.name for file in data])
    _print(model, made.about, before_norm)
    typer.echo(f"Wrote the probe to {output}.")


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {"probe": (probe, _EXAMPLES)}


def _print(model: str, about: Mapping[str, Any], before_norm: bool) -> None:
    """Print the table of parts, what was chosen, and the doubts, on stdout."""
    console = Console(width=None if Console().is_terminal else 110)
    fit, where = about["fit"], "before" if before_norm else "behind"
    caption = f"States {where} the final norm. Learning rate {fit['learning_rate']:g}, epoch "
    caption += f"{fit['epoch']} of {len(fit['curve'])}, by validation loss. Majority: the accuracy "
    caption += "of always saying the larger class. AUC of the test part with its 95 % interval."
    table = Table(title=escape(f"Probe of {model}"), caption=caption, box=box.SIMPLE_HEAD)
    table.caption_justify = "left"
    table.add_column("part")
    for name in ("texts", "toxic", "accuracy", "majority", "AUC"):
        table.add_column(name, justify="right")
    for part, found in about["parts"].items():
        cells = [_number(found[name]) for name in ("accuracy", "majority")]
        table.add_row(part, f"{found['n']:,}", f"{found['toxic']:,}", *cells, _auc(found))
    console.print(table)
    for doubt in about["doubts"]:
        console.print(f"[yellow]Doubtful:[/yellow] {escape(doubt)}", highlight=False)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _auc(found: Mapping[str, Any]) -> str:
    if found["auc_low"] is None:
        return _number(found["auc"])
    return f"{found['auc']:.3f} [dim]{found['auc_low']:.3f}–{found['auc_high']:.3f}[/dim]"
