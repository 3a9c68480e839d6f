"""``detox-bench neurons make``: which neurons are edited, and how, as a file."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from detox_bench.errors import DetoxBenchError
from detox_bench.neurons.edit.controls import CONTROLS
from detox_bench.neurons.edit.interventions import POSITIONS, BaseModel, Intervention, parse_neurons
from detox_bench.neurons.edit.making import Chosen, Edit, check_found_in, check_values, made
from detox_bench.neurons.edit.operators import OPERATORS
from detox_bench.neurons.edit.operators import operator as operator_row
from detox_bench.neurons.find.found import PACKAGED, FoundNeurons, read_found
from detox_bench.runs import check_files

_OPERATORS = "; ".join(f"`{name}` {row.about}" for name, row in OPERATORS.items())
_CONTROLS = ", ".join(f"`{name}`" for name in CONTROLS)
FROM_OPTION = typer.Option(
    "--from",
    help="A file of `neurons find`, or a list in the package: "
    + ", ".join(f"`{name}`" for name in PACKAGED),
)
OPERATOR_OPTION = typer.Option(help=f"{_OPERATORS}.")
POSITIONS_OPTION = typer.Option(
    help=f"Where it acts: {' or '.join(f'`{name}`' for name in POSITIONS)}; `generated` begins "
    "where the first new token is made."
)
FORCE_OPTION = typer.Option("--force", help="Take neurons that were found in another model.")


def make(
    output: Annotated[Path, typer.Option(help="The JSON file to write.")],
    operator: Annotated[str, OPERATOR_OPTION],
    model: Annotated[
        str | None,
        typer.Option(help="Folder or Hub name; its weights' fingerprint goes into the file."),
    ] = None,
    neurons: Annotated[
        str | None, typer.Option(help="By hand, layer:neuron from 0: `0:3,1:7`.")
    ] = None,
    found: Annotated[str | None, FROM_OPTION] = None,
    take: Annotated[
        str, typer.Option(help="Of --from: `sources`, `all`, or the first so many.")
    ] = "sources",
    value: Annotated[
        float | None, typer.Option(help="For every neuron; aura takes each one's own AUROC.")
    ] = None,
    positions: Annotated[str, POSITIONS_OPTION] = "all",
    control: Annotated[
        str | None,
        typer.Option(help=f"As many other neurons of the same layers instead: {_CONTROLS}."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the control.")] = 0,
    force: Annotated[bool, FORCE_OPTION] = False,
) -> None:
    """Write an intervention: which neurons are edited, and how.

    It is for `--model detox-hf --model_args pretrained=M,intervention=FILE`, and for `neurons
    export`, which folds it into the weights.
    """
    check_files(output)
    edit = Edit(operator, value, positions, control, seed)
    listed = read_found(found) if found else None
    if (listed is None) == (neurons is None):
        raise DetoxBenchError("Say which neurons: either --neurons 0:3,1:7 or --from FILE.")
    if listed is None and model is None:
        raise DetoxBenchError("Neurons written by hand need the --model they are of.")
    # What can be wrong without the model is said before it is loaded.
    operator_row(operator)
    chosen = (
        Chosen(tuple(dict.fromkeys(parse_neurons(neurons or ""))), {}, {"from": "by hand"})
        if listed is None
        else chosen_of(listed, take, str(found))
    )
    check_values(chosen, edit)
    loaded, base_model, forced = _loaded(model, listed, force)
    chosen = replace(chosen, provenance={**chosen.provenance, **forced})
    intervention = made(chosen, edit, base_model, loaded)
    intervention.write(output)
    typer.echo(_said(intervention, output))


def chosen_of(
    listed: FoundNeurons, take: str, source: str, forced: Mapping[str, Any] | None = None
) -> Chosen:
    """Return what is taken of a list, with where it comes from and what was forced."""
    rows = listed.taken(take)
    aurocs = {row.id: row.measures["auroc"] for row in rows if "auroc" in row.measures}
    provenance: dict[str, Any] = {"from": Path(source).name, "take": take, "by": listed.by}
    provenance |= {"found": dict(listed.settings), **(forced or {})}
    return Chosen(tuple(row.id for row in rows), aurocs, provenance)


def _loaded(
    model: str | None, listed: FoundNeurons | None, force: bool
) -> tuple[Any, BaseModel, dict[str, Any]]:
    """Return the model, where one is named, what is said of it, and what was forced."""
    if model is None:
        assert listed is not None, "checked before"
        return None, listed.base_model, {}
    from detox_bench.modeling.loading import load_causal_model
    from detox_bench.neurons.edit.editing import base_model_of

    loaded = load_causal_model(model).model
    base_model = base_model_of(loaded, model)
    forced = check_found_in(listed.base_model, base_model, force) if listed else {}
    return loaded, base_model, forced


def _said(intervention: Intervention, output: Path) -> str:
    layers = len(intervention.by_layer())
    base = intervention.base_model
    shown = (
        "for any model of this shape: no weights were at hand"
        if base.fingerprint is None
        else f"for weights {base.fingerprint}"
    )
    return (
        f"Wrote {output}: {intervention.operator} on {len(intervention.neurons):,} neurons in "
        f"{layers} of {base.layers} layers of {base.name}, {intervention.positions} positions, "
        f"{shown}. Its hash is {intervention.sha256}."
    )


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "make": (
        make,
        "Examples:\n\n`detox-bench neurons make --model gpt2 --neurons 0:3,1:7 --operator scale "
        "--value 0.25 --output edit.json`\n\n"
        "`detox-bench neurons make --from paper-mgpt --operator add --value -2 --output e.json`",
    )
}
