"""Make a small multilingual language model: ``python -m detox_bench.demo.build``.

Without ``--text`` it makes the demo model of the package from the microcosm; with it, a model of
any size from a folder of text files, one file or more a language.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detox_bench.demo import model_path
from detox_bench.demo.card import model_card
from detox_bench.demo.corpus import microcosm, training_sentences
from detox_bench.demo.documents import read_folder, split
from detox_bench.errors import BadData, DetoxBenchError

if TYPE_CHECKING:
    from detox_bench.demo.train import Plan, Sizes

SENTENCES = 5000  # of the microcosm, for each language
TOKENIZER_DOCUMENTS = 50_000  # for each file, at most
LOSS_FILE = "training.json"

_log = logging.getLogger(__name__)
app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@dataclass(frozen=True, slots=True)
class Built:
    """What came out: parameters, seconds, training loss, held-out loss by file (nats a token)."""

    parameters: int
    seconds: float
    cpu_seconds: float
    training_loss: float
    held_out_loss: dict[str, float]


def build_demo(sizes: "Sizes", plan: "Plan", output: Path) -> Built:
    """Train on the microcosm and write the model with its card. Raises as ``build`` does."""
    documents = {code: list(training_sentences(code, SENTENCES, plan.seed)) for code in microcosm()}
    built = build(documents, sizes, plan, output)
    card = model_card(built.parameters, built.cpu_seconds, built.held_out_loss)
    (output / "README.md").write_text(card, encoding="utf-8")
    return built


def build(documents: dict[str, list[str]], sizes: "Sizes", plan: "Plan", output: Path) -> Built:
    """Train tokenizer and model on ``documents`` (by file), save both, and return the figures.

    ``sizes.vocabulary`` is an upper bound. The figures also go to ``training.json`` in ``output``.

    Raises:
        BadData: if ``output`` cannot be written or the device cannot be used.
    """
    from detox_bench.demo import train as training
    from detox_bench.demo.tokenizer import train_tokenizer

    _check_device(plan.device)
    _make_folder(output)
    begin, cpu_begin = time.monotonic(), time.process_time()
    seen, held_out = split(documents)
    for_tokenizer = (text for texts in seen.values() for text in texts[:TOKENIZER_DOCUMENTS])
    tokenizer = train_tokenizer(for_tokenizer, sizes.vocabulary, sizes.context)
    encode = _encoder(tokenizer, sizes.context)
    model = training.new_model(sizes, len(tokenizer), plan.seed)
    streams = {name: encode(texts) for name, texts in seen.items()}
    with progress_bar() as progress:
        loss = training.train(model, streams, plan, progress)
    losses = {
        name: round(training.held_out_loss(model, encode(texts), plan.device), 4)
        for name, texts in held_out.items()
    }
    built = Built(
        parameters=model.num_parameters(),
        seconds=round(time.monotonic() - begin, 1),
        cpu_seconds=round(time.process_time() - cpu_begin, 1),
        training_loss=round(loss, 4),
        held_out_loss=losses,
    )
    _save(model, tokenizer, asdict(built) | {"sizes": asdict(sizes), "plan": asdict(plan)}, output)
    return built


@contextmanager
def progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Show a bar with the time left on stderr; yield what to call with (share done, remark)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:.0f} % · {task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("begin", total=1.0)
        yield lambda done, remark: bar.update(task, completed=done, description=remark)


def _encoder(tokenizer: Any, context: int) -> Callable[[list[str]], Any]:
    from detox_bench.demo.train import stream

    return lambda texts: stream(tokenizer(texts, verbose=False)["input_ids"], context)


def _check_device(device: str) -> None:
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BadData(f"Device {device!r} was asked for, but torch sees no GPU: use --device cpu.")


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / LOSS_FILE).touch()
    except OSError as error:
        raise BadData(f"{output} cannot be written ({error.strerror}): choose another.") from error


def _save(model: Any, tokenizer: Any, figures: dict[str, Any], output: Path) -> None:
    model.to("cpu").float().save_pretrained(output)
    tokenizer.save_pretrained(output)
    (output / "model.safetensors").chmod(0o644)  # safetensors leaves it readable to its owner only
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    (output / LOSS_FILE).write_text(text, encoding="utf-8")
    _log.info("wrote %s", output)


@app.command()
def main(
    text: Annotated[Path | None, typer.Option(help="Folder of text.")] = None,
    output: Annotated[Path | None, typer.Option(help="Where to write the model.")] = None,
    layers: Annotated[int, typer.Option(min=1)] = 3,
    width: Annotated[int, typer.Option(min=8, help="Hidden size.")] = 128,
    vocabulary: Annotated[int, typer.Option(min=300, help="Tokens, at most.")] = 6000,
    context: Annotated[int, typer.Option(min=8, help="Longest input in tokens.")] = 128,
    steps: Annotated[int, typer.Option(min=1)] = 2200,
    minutes: Annotated[float | None, typer.Option(help="Instead of --steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Windows a step; 8, or 128 on a GPU.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate; 0.5 / width.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda computes in bf16.")] = "cpu",
) -> None:
    """Train a small GPT-2 and its tokenizer: the demo model, or another one from --text.

    Example 1, the demo model of the package: python -m detox_bench.demo.build

    Example 2, a larger one: python -m detox_bench.demo.build --text DIR --layers 12 --width 512
    --vocabulary 32000 --minutes 9 --device cuda --output DIR
    """
    from detox_bench.demo.train import Plan, Sizes

    folder = output or (model_path() if text is None else None)
    if folder is None:
        raise typer.BadParameter("--text needs --output: the packaged model is kept.")
    sizes = Sizes(layers, width, vocabulary, context)
    windows = batch or (128 if device.startswith("cuda") else 8)
    plan = Plan(steps, minutes, windows, rate or 0.5 / width, seed, device)
    try:
        if text is None:
            built = build_demo(sizes, plan, folder)
        else:
            built = build(read_folder(text), sizes, plan, folder)
    except DetoxBenchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps(asdict(built), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    app()
