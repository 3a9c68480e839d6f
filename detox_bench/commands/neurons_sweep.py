"""``detox-bench neurons sweep``: the same edit ever stronger, beside a control."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console

from detox_bench.commands.neurons_make import (
    FORCE_OPTION,
    FROM_OPTION,
    OPERATOR_OPTION,
    POSITIONS_OPTION,
    chosen_of,
)
from detox_bench.commands.neurons_sweep_table import sweep_table
from detox_bench.commands.tables import language_codes
from detox_bench.comparison import FEWEST
from detox_bench.data.prompts import PromptSet, prompts_json
from detox_bench.errors import DetoxBenchError
from detox_bench.figures import check_figure
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.neurons.edit.controls import CONTROLS
from detox_bench.neurons.edit.making import Chosen, check_found_in
from detox_bench.neurons.find.found import FoundNeurons, read_found
from detox_bench.run_comparison import Asked, Comparisons, compare_stores, comparison_json
from detox_bench.runs import check_files, check_writable, write_json
from detox_bench.scorers.table import load_scorer

if TYPE_CHECKING:
    from detox_bench.modeling.loading import LoadedModel
    from detox_bench.neurons.edit.sweeping import Setting, SweepPlan

#: Strengths where none are given: those of the paper (arXiv 2406.16235, figure 2) for ``add``.
_DEFAULTS = {
    "add": (-1.0, -2.0, -3.0, -4.0, -5.0),
    "set": (0.0,),
    "scale": (0.75, 0.5, 0.25, 0.0),
    "aura": (),
}
_WIDTH = 150
_RESULTS = "sweep.json"


class SweepOutput(NamedTuple):
    """Where a sweep goes, what judges it, and where its figure is drawn (None: beside it)."""

    folder: Path
    scorer: str = "ngram"
    figure: Path | None = None


def sweep(
    model: Annotated[str, typer.Option(help="Folder or Hub name.")],
    found: Annotated[str, FROM_OPTION],
    output: Annotated[
        Path, typer.Option(help="The folder to write; given again, the sweep goes on there.")
    ],
    operator: Annotated[str, OPERATOR_OPTION] = "add",
    values: Annotated[
        str | None,
        typer.Option(help="Strengths, with commas: `-1,-2`; -1 to -5 for add, as in the paper."),
    ] = None,
    take: Annotated[
        str, typer.Option(help="Sets of the neurons, with commas: `sources,36,100,all`.")
    ] = "sources",
    positions: Annotated[str, POSITIONS_OPTION] = "all",
    control: Annotated[
        str,
        typer.Option(
            help="What to compare with, "
            + ", ".join(f"`{name}`" for name in CONTROLS)
            + ", or `none`: as many other neurons of the same layers."
        ),
    ] = "random",
    seed: Annotated[int, typer.Option(help="Of the control and of every draw.")] = 0,
    languages: Annotated[
        str, typer.Option("--language", help="Codes, separated by commas.")
    ] = ",".join(PAPER_LANGUAGES),
    prompts: Annotated[
        str, typer.Option(help="`auto` (RTP-LX where prepared), `rtplx` or `sample`.")
    ] = "auto",
    subset: Annotated[
        str, typer.Option(help="`all`, `odd`, `even` or `parallel`; `find` takes even ones.")
    ] = "odd",
    limit: Annotated[int | None, typer.Option(help="So many prompts a language.", min=1)] = None,
    skip: Annotated[
        int, typer.Option(help="Leave out the first so many, by which an edit was chosen.", min=0)
    ] = 0,
    samples: Annotated[int, typer.Option(help="Continuations a prompt.", min=1)] = 25,
    tokens: Annotated[int, typer.Option(help="New tokens of each.", min=1)] = 20,
    scorer: Annotated[str, typer.Option(help="See `detox-bench scorers`.")] = "ngram",
    figure: Annotated[
        Path | None, typer.Option(help="A .svg or .png file; OUTPUT/sweep.svg if not given.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Changes no text.", min=1)] = 256,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, …")] = "auto",
    force: Annotated[bool, FORCE_OPTION] = False,
) -> None:
    """Edit with growing strength, and see toxicity and its price, beside a control.

    At every strength the same prompts are continued. Each is compared with the unedited model,
    prompt by prompt: toxicity in every language, perplexity under the unedited model, empty
    continuations, distinct-2, and the share that stayed in the prompt's language. Texts,
    interventions, results (sweep.json, of the latest command) and a figure are in OUTPUT.
    """
    from detox_bench.modeling.nucleus import SamplingSettings
    from detox_bench.neurons.edit.sweeping import SweepPlan
    from detox_bench.neurons.find.choosing import PromptPart

    check_writable(output)
    check_files(figure)
    if figure is not None:
        check_figure(figure)
    load_scorer(scorer)  # what cannot be loaded fails now, not after hours of sampling
    listed = read_found(found)
    part = PromptPart(prompts, subset, limit, skip)
    asked = [part.prompts(code) for code in language_codes(languages)]
    plan = SweepPlan(
        operator,
        _numbers(values, operator),
        positions,
        None if control == "none" else control,
        seed,
        samples,
        SamplingSettings(tokens, seed=seed),
        batch_size,
    )
    loaded, forced = _load(model, device, listed, force)
    chosen = {each: chosen_of(listed, each, found, forced) for each in _split(take)}
    run_sweep(loaded, chosen, asked, plan, SweepOutput(output, scorer, figure))


def _load(
    model: str, device: str, listed: FoundNeurons, force: bool
) -> tuple["LoadedModel", dict[str, Any]]:
    """Return the model, and what is to be told where the neurons are of another."""
    from detox_bench.modeling.loading import load_causal_model
    from detox_bench.neurons.edit.editing import base_model_of

    loaded = load_causal_model(model, device, "float32")
    base_model = base_model_of(loaded.model, loaded.name)
    return loaded, check_found_in(listed.base_model, base_model, force)


def run_sweep(
    loaded: "LoadedModel",
    chosen: Mapping[str, Chosen],
    prompts: Sequence[PromptSet],
    plan: "SweepPlan",
    output: SweepOutput,
) -> Path:
    """Sweep, compare every setting with the base, print, write, draw; return the results' file."""
    from detox_bench.neurons.edit.editing import base_model_of
    from detox_bench.neurons.edit.sweeping import settings
    from detox_bench.neurons.edit.sweeping import sweep as sweep_settings

    console = Console(width=None if Console().is_terminal else _WIDTH)
    base_model = base_model_of(loaded.model, loaded.name)
    points = settings(chosen, plan, base_model, loaded)
    texts = [prompt for each in prompts for prompt in each.prompts]
    runs = []
    for point, run in sweep_settings(loaded, points, texts, plan, output.folder):
        runs.append(run)
        console.print(f"{len(runs)} of {len(points)}: {point.name}", highlight=False)
    asked = Asked(perplexity_model=loaded.name, scorer=output.scorer)
    comparisons = compare_stores(runs[0], [[run] for run in runs[1:]], asked)
    console.print(sweep_table(points[1:], comparisons))
    if any(row.n_prompts < FEWEST for found in comparisons.found for row in found.rows):
        console.print(f"[yellow]Doubtful:[/yellow] intervals over fewer than {FEWEST} prompts.")
    results = output.folder / _RESULTS
    about = {"base_model": asdict(base_model), **_about(prompts, plan), **comparisons.settings}
    write_json(results, {**about, "points": _points(points[1:], comparisons)})
    console.print(f"Results: {results}", soft_wrap=True)
    if output.figure or find_spec("matplotlib"):
        from detox_bench.neurons.edit.sweep_figure import draw_sweep

        drawn = output.figure or output.folder / "sweep.svg"
        draw_sweep(results, drawn)
        console.print(f"Figure: {drawn}", soft_wrap=True)
    return results


def _about(prompts: Sequence[PromptSet], plan: "SweepPlan") -> dict[str, Any]:
    """Return what decides the texts besides model and edits."""
    return {
        "schema": 1,
        "prompts": [prompts_json(each) for each in prompts],
        "samples": plan.samples,
        "sampling": asdict(plan.sampling),
        "positions": plan.positions,
        "seed": plan.seed,
    }


def _points(points: Sequence["Setting"], comparisons: Comparisons) -> list[dict[str, Any]]:
    rows = []
    for point, found in zip(points, comparisons.found, strict=True):
        assert point.intervention is not None, "only the base has none, and it comes first"
        rows.append(
            {
                "name": point.name,
                "take": point.take,
                "value": point.value,
                "control": point.control,
                "operator": point.intervention.operator,
                "n_neurons": len(point.intervention.neurons),
                "intervention_sha256": point.intervention.sha256,
                **comparison_json(found),
            }
        )
    return rows


def _split(listed: str) -> list[str]:
    return [part.strip() for part in listed.split(",") if part.strip()]


def _numbers(values: str | None, operator: str) -> tuple[float, ...]:
    if values is None:
        return _DEFAULTS.get(operator, ())
    try:
        return tuple(float(part) for part in _split(values))
    except ValueError as error:
        raise DetoxBenchError(
            f"--values {values!r} is no list of numbers. Write them with commas: -1,-2,-5."
        ) from error


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "sweep": (
        sweep,
        "Examples:\n\n`detox-bench neurons sweep --model gpt2 --from found.json --output sweep "
        "--subset odd --limit 20`\n\n"
        "`detox-bench neurons sweep --model gpt2 --from found.json --take sources,100 --operator "
        "scale --values 0.5,0 --control norm --output sweep`",
    )
}
