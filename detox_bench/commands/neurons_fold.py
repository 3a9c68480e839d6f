"""``detox-bench neurons export`` and ``verify``: an edit in plain weights, and its proof."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.errors import DetoxBenchError
from detox_bench.runs import write_json

if TYPE_CHECKING:
    from detox_bench.neurons.fold.verification import Agreement

_WIDTH = 130

_Model = Annotated[str, typer.Option(help="A model's folder, or its name on the Hub.")]
_Prompts = Annotated[
    str,
    typer.Option(
        help="What to compare on: `sample`, `rtplx` (prepared by `detox-bench data`), or a file "
        "with a prompt a line (`.jsonl`: a `text` a line)."
    ),
]
_Limit = Annotated[
    int,
    typer.Option(
        min=1,
        help="How many prompts, spread over languages. Their logits are kept in memory: up to 90 "
        "MB a prompt for a vocabulary of 152,000.",
    ),
]
_Tolerance = Annotated[
    float | None,
    typer.Option(
        min=0, help="How far logits may be apart; by the type of the weights if not given."
    ),
]
_Device = Annotated[str | None, typer.Option(help="`cpu` or `cuda`; a GPU where there is one.")]
_Force = Annotated[
    bool, typer.Option("--force", help="Use an intervention that was made for other weights.")
]
_Json = Annotated[Path | None, typer.Option("--json", help="Write the comparison to this file.")]


def export_intervention(
    model: _Model,
    intervention: Annotated[Path, typer.Option(help="The file that `neurons make` writes.")],
    output: Annotated[Path, typer.Option(help="The folder to be; nothing is overwritten.")],
    to: Annotated[
        str, typer.Option(help="`hf`, `ia3`, `lora-bias`, `steered` or `control-vector`.")
    ] = "hf",
    dtype: Annotated[
        str | None,
        typer.Option(
            help="`float32` stores a coarser checkpoint in it; its own type if not given."
        ),
    ] = None,
    prompts: _Prompts = "sample",
    limit: _Limit = 8,
    tolerance: _Tolerance = None,
    device: _Device = None,
    force: _Force = False,
    json_file: _Json = None,
) -> None:
    """Put an intervention into weights, an adapter or vectors, and verify it before it is there.

    `hf` is an ordinary checkpoint: what multiplies goes into the columns of down projections, what
    is added into their biases, which are switched on where the architecture has a setting for it.
    Where it has none the refusal names what is exact instead. Every export is loaded again and
    compared with the edited model; one that differs is removed.
    """
    from detox_bench.neurons.fold.exporting import ExportSettings, export
    from detox_bench.neurons.fold.exports import usage
    from detox_bench.neurons.fold.proof_prompts import proof_texts

    texts = proof_texts(prompts, limit)
    asked = ExportSettings(model, intervention, to, output, texts, dtype, force, device, tolerance)
    done = export(asked)
    _print(done.agreement, f"{model} edited → {output}")
    if json_file is not None:
        write_json(json_file, done.agreement.as_json())
    console = _console()
    for note in done.notes:
        console.print(f"[yellow]Note:[/yellow] {escape(note)}")
    use = usage(to, output, model)
    console.print(f"{output} is written. Use: {use}", highlight=False, markup=False, soft_wrap=True)


def verify_models(
    first: Annotated[str, typer.Argument(metavar="A", help="A model's folder or Hub name.")],
    second: Annotated[
        str, typer.Argument(metavar="B", help="Another, or the folder of any export.")
    ],
    intervention: Annotated[
        Path | None, typer.Option(help="Run A with this intervention; B is its export.")
    ] = None,
    prompts: _Prompts = "sample",
    limit: _Limit = 8,
    tolerance: _Tolerance = None,
    device: _Device = None,
    force: _Force = False,
    json_file: _Json = None,
) -> None:
    """Compare two models: all logits of prompts and their greedy continuations, and the texts.

    With `--intervention` it is also proven that the edit acts on every decoded token of A: each
    down projection is watched at each step. The exit code is 1 where the two are not the same.
    """
    from detox_bench.neurons.edit.interventions import read_intervention
    from detox_bench.neurons.fold.proof_prompts import proof_texts
    from detox_bench.neurons.fold.verification import VerificationSettings, verify

    made = None if intervention is None else read_intervention(intervention)
    texts = proof_texts(prompts, limit)
    asked = VerificationSettings(first, second, texts, made, force, device, tolerance)
    found = verify(asked)
    _print(found, f"{first}{' edited' if made else ''} ↔ {second}")
    if json_file is not None:
        write_json(json_file, found.as_json())
    failure = found.failure()
    if failure:
        raise DetoxBenchError(f"The two models are not the same: {failure}.")


def _print(found: "Agreement", title: str) -> None:
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
    for name, value in _rows(found).items():
        table.add_row(name, escape(value))
    _console().print(table)


def _rows(found: "Agreement") -> dict[str, str]:
    rows = {
        "compared": f"{found.prompts} prompts with their greedy continuations, {found.positions} "
        "positions",
        "largest difference of logits": f"{found.difference:.3g} (the largest logit is "
        f"{found.largest_logit:.3g})",
        "allowed": f"{found.tolerance.value:.3g}: {found.tolerance.reason}",
        "same greedy text": f"{found.same_texts} of {found.prompts}" + _ties(found.ties),
    }
    if found.proof is not None:
        proof = found.proof
        rows["edit seen"] = (
            f"{proof.seen} of {proof.steps * proof.layers}: at {proof.steps} decoding steps in "
            f"{proof.layers} edited layers"
        )
        rows["logits moved by the edit"] = (
            f"at {proof.moved} of {proof.steps} steps, by up to {proof.effect:.3g}"
        )
    if found.blind:
        rows["doubtful"] = "the edit moves logits by no more than is allowed: nothing is proven"
    rows["verdict"] = "the same" if found.failure() is None else "NOT the same"
    return rows


def _ties(ties: int) -> str:
    return f", {ties} part at a tie within the tolerance" if ties else ""


def _console() -> Console:
    return Console(width=None if Console().is_terminal else _WIDTH)


#: The commands, each with the examples that end its help.
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "export": (
        export_intervention,
        "Examples:\n\n"
        "`detox-bench neurons export --model ./base --intervention edit.json --output ./edited`\n\n"
        "`detox-bench neurons export --model Qwen/Qwen3-0.6B --intervention add.json "
        "--to lora-bias --output ./adapter`",
    ),
    "verify": (
        verify_models,
        "Examples:\n\n"
        "`detox-bench neurons verify ./base ./edited --intervention edit.json`\n\n"
        "`detox-bench neurons verify ./one ./other --prompts rtplx --limit 34 --json same.json`",
    ),
}
