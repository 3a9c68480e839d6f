"""``detox-bench demo``: the whole way through, on the demo model."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
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
#: What is compared with the demo model.
_DPO = "trained on English pairs"
_NEURONS = "toxic neurons turned down"


@app.command(epilog=_EXAMPLES)
def main(
    output: Annotated[Path, typer.Option(help="Where results are written.")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    only_path: Annotated[
        bool, typer.Option("--model-path", help="Print the demo model's folder and stop.")
    ] = False,
) -> None:
    """Evaluate the demo model in 17 languages, detoxify it in English two ways, and compare.

    A tiny model that this project trained on sentences it wrote itself continues 24 mild prompts a
    language, 25 times each; the embedded scorer judges. Then it is trained by DPO on English pairs
    only, and evaluated again; then its toxic neurons are found by the same pairs, turned down,
    and folded into a checkpoint, which is evaluated too. A report sets both beside four cheats,
    and says which of them were really detoxified. Nothing is downloaded: a toy world, for
    seeing the machinery run. The numbers say nothing about any real model.
    """
    if only_path:
        typer.echo(model_path())
        return
    console = Console()
    console.print(f"The demo model, {_TASKS}, sample prompts, 25 continuations each:")
    base = _evaluated(model_path(), output, "Toxicity of the demo model (a toy world)")
    pairs, runs = _pairs(output), {}
    if find_spec("trl") is None:
        console.print("Training it by DPO needs: pip install 'detox-bench[train]'.")
    else:
        trained = _trained(output, pairs, seed)
        runs[_DPO] = _evaluated(trained, output / "detoxified", "")
        _compare(base, runs[_DPO], _DPO)
    from detox_bench.commands.demo_neurons import folded_model

    folded = folded_model(model_path(), pairs, output / f"neurons-{_version()}")
    runs[_NEURONS] = _evaluated(folded, output / "edited", "")
    _compare(base, runs[_NEURONS], _NEURONS)
    console.print(
        "An edit of neurons lowers the average of what this model says, DPO also the worst of 25 "
        "(EMT, ToxProb): docs/neurons.md.",
        soft_wrap=True,
    )
    page = _report(base, runs, output / "report", console)
    console.print(
        f"Results, samples, continuations and the detoxified models: {output}. The edited one is "
        f"an ordinary checkpoint: lm_eval --model hf --model_args pretrained={folded} …",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Was it really detoxified? The report: {page}", highlight=False, soft_wrap=True)


def _evaluated(model: Path, output: Path, title: str) -> Path:
    """Evaluate ``model`` and return its run folder; print its table if it has a ``title``."""
    from detox_bench.harness.command import EvalOptions, evaluate
    from detox_bench.harness.results import toxicity_rows

    run = output / "run" / f"{__version__}-{_hash(model)}"
    arguments = ["--model", "detox-hf", "--model_args"]
    arguments += [f"pretrained={model},run_folder={run}"]
    arguments += ["--tasks", _TASKS, "--output_path", str(output), "--log_samples"]
    found = toxicity_rows(evaluate(arguments, EvalOptions(prompts="sample", quiet=True)))
    assert found is not None, "the demo asks for a toxicity task"
    if title:
        print_toxicity(found.rows, title, found.caption, found.doubts)
    return run


def _pairs(output: Path) -> Path:
    """Write the English pairs and return their file."""
    from detox_bench.data.preferences import write_pairs
    from detox_bench.demo.pairs import COUNT, microcosm_pairs

    pairs = output / "pairs.jsonl"
    output.mkdir(parents=True, exist_ok=True)
    write_pairs(pairs, list(microcosm_pairs(COUNT)))
    return pairs


def _trained(output: Path, pairs: Path, seed: int) -> Path:
    """Train the demo model on English pairs, or find it trained; return the folder."""
    from detox_bench.commands.train_dpo import run_training
    from detox_bench.demo.pairs import recipe_file

    folder = output / f"dpo-{seed}-{_version()}"
    words = ["--model", str(model_path()), "--pairs", str(pairs), "--output_dir", str(folder)]
    words += ["--seed", str(seed)]
    with recipe_file() as recipe:
        return run_training([*words, "--recipe", str(recipe)])


def _compare(base: Path, after: Path, name: str) -> None:
    from detox_bench.commands.comparison_table import print_comparison
    from detox_bench.run_comparison import Asked, compare_stores

    asked = Asked(perplexity_model=str(model_path()))
    comparisons = compare_stores(base, [[after]], asked)
    for found in comparisons.found:
        named = found._replace(names=[name])
        print_comparison("demo model", named, comparisons.caption)


def _report(base: Path, runs: Mapping[str, Path], folder: Path, console: Console) -> Path:
    """Write the report of the demo, with the cheats that it must catch, and return the page."""
    from detox_bench.commands.report import print_report
    from detox_bench.reports.gather import Wish, gather
    from detox_bench.reports.stores import Setting
    from detox_bench.reports.writing import check_output, write_report
    from detox_bench.run_comparison import Asked

    check_output(folder, overwrite=True)
    wish = Wish(
        Asked(perplexity_model=str(model_path())),
        references=True,
        with_samples=True,
        title="The demo model: was it really detoxified?",
        command="detox-bench demo",
    )
    settings = [Setting(name, (run,)) for name, run in runs.items()]
    found = gather(Setting("demo model", (base,)), settings, wish)
    written = write_report(found, folder)
    print_report(found, console, [*found.remarks, *written.remarks])
    return written.page


def _version() -> str:
    """Return what the outputs of one release and one demo model are called by."""
    return f"{__version__}-{_hash(model_path())}"


def _hash(model: Path) -> str:
    weights: Sequence[Path] = sorted(model.glob("*.safetensors"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in weights))
    return digest.hexdigest()[:8]
