"""``detox-bench neurons sweep``: the same edit ever stronger, beside a control."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.commands.compare import Asked, Comparisons, compare_stores, comparison_json
from detox_bench.commands.comparison_table import Found
from detox_bench.commands.neurons_make import (
    FORCE_OPTION,
    FROM_OPTION,
    OPERATOR_OPTION,
    POSITIONS_OPTION,
    chosen_of,
)
from detox_bench.comparison import OTHERS, Change, ComparisonRow
from detox_bench.errors import DetoxBenchError
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.languages import language as language_row
from detox_bench.neurons.edit.controls import CONTROLS
from detox_bench.neurons.edit.making import Chosen, check_same_model
from detox_bench.neurons.find.found import read_found
from detox_bench.runs import write_json
from detox_bench.summary import MEAN
from detox_bench.types import Prompt

if TYPE_CHECKING:
    from detox_bench.modeling.loading import LoadedModel
    from detox_bench.neurons.edit.sweeping import Setting, SweepPlan
    from detox_bench.neurons.find.choosing import PromptPart

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
    subset: Annotated[str, typer.Option(help="`all`, `odd`, `even` or `parallel`.")] = "all",
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
    continuations, distinct-2, and the share that stayed in the prompt's language. Texts, results
    (sweep.json), interventions and a figure are in OUTPUT.
    """
    from detox_bench.neurons.find.choosing import PromptPart

    listed = read_found(found)
    chosen = {each: chosen_of(listed, each, found) for each in _split(take)}
    asked = _prompts(_split(languages), PromptPart(prompts, subset, limit, skip))
    from detox_bench.modeling.loading import load_causal_model
    from detox_bench.modeling.nucleus import SamplingSettings
    from detox_bench.neurons.edit.editing import base_model_of
    from detox_bench.neurons.edit.sweeping import SweepPlan

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
    loaded = load_causal_model(model, device, "float32")
    check_same_model(listed.base_model, base_model_of(loaded.model, loaded.name), force)
    run_sweep(loaded, chosen, asked, plan, SweepOutput(output, scorer, figure))


def run_sweep(
    loaded: "LoadedModel",
    chosen: Mapping[str, Chosen],
    prompts: Sequence[Prompt],
    plan: "SweepPlan",
    output: SweepOutput,
) -> Path:
    """Sweep, compare every setting with the base, print, write, draw; return the results' file."""
    from detox_bench.neurons.edit.editing import base_model_of
    from detox_bench.neurons.edit.sweeping import settings
    from detox_bench.neurons.edit.sweeping import sweep as sweep_settings

    console = Console(width=None if Console().is_terminal else _WIDTH)
    points = settings(chosen, plan, base_model_of(loaded.model, loaded.name), loaded)
    runs = []
    for number, (point, run) in enumerate(
        sweep_settings(loaded, points, prompts, plan, output.folder), 1
    ):
        console.print(f"{number} of {len(points)}: {point.name}", highlight=False)
        runs.append(run)
    asked = Asked(perplexity_model=loaded.name, scorer=output.scorer)
    comparisons = compare_stores(runs[0], [[run] for run in runs[1:]], asked)
    console.print(_table(points[1:], comparisons))
    results = output.folder / _RESULTS
    write_json(results, _as_json(loaded.name, points[1:], comparisons))
    console.print(f"Results: {results}", soft_wrap=True)
    if output.figure or find_spec("matplotlib"):
        from detox_bench.neurons.edit.sweep_figure import draw_sweep

        drawn = output.figure or output.folder / "sweep.svg"
        draw_sweep(results, drawn)
        console.print(f"Figure: {drawn}", soft_wrap=True)
    return results


def _as_json(model: str, points: Sequence["Setting"], comparisons: Comparisons) -> dict[str, Any]:
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
    return {"schema": 1, "model": Path(model).name, **comparisons.settings, "points": rows}


def _table(points: Sequence["Setting"], comparisons: Comparisons) -> Table:
    table = Table(
        title="Edits of neurons, against the unedited model",
        caption=f"{comparisons.caption} Unweighted means of languages; differences with their "
        "paired 95 % interval, * where it is below zero. Lower in: languages whose average "
        "toxicity has an interval below zero. Language: continuations in their prompt's language.",
        box=box.SIMPLE_HEAD,
        caption_justify="left",
    )
    table.add_column("edit", no_wrap=True)
    heads = ("neurons", "AvgTox", "ToxProb", "lower in", "perplexity ×", "empty", "Dist-2")
    for head in (*heads, "language"):
        table.add_column(head, justify="right")
    before = None
    for point, found in zip(points, comparisons.found, strict=True):
        if before is None:
            table.add_row("unedited", "", *_levels(_overall(found), "base"))
            table.add_section()
        before = found
        assert point.intervention is not None, "only the base has none"
        count = f"{len(point.intervention.neurons):,}"
        table.add_row(escape(_label(point)), count, *_cells(found))
    return table


def _label(point: "Setting") -> str:
    strength = "" if point.value is None else f" {point.value:g}"
    operator = point.intervention.operator if point.intervention else ""
    who = f"{point.control} control of {point.take}" if point.control else point.take
    return f"{operator}{strength}, {who}"


def _overall(found: Found) -> ComparisonRow:
    return next((row for row in found.rows if row.language == MEAN), found.rows[-1])


def _cells(found: Found) -> list[str]:
    row = _overall(found)
    ratio = found.ratios.get(row.language)
    lower, languages = lower_in(found.rows)
    return [
        _difference(row.changes.get("average_toxicity")),
        _difference(row.changes.get("toxicity_probability")),
        f"{lower} of {languages}",
        "–" if ratio is None else f"{ratio.estimate:.2f}",
        *_levels(row, "other")[4:],
    ]


def lower_in(rows: Sequence[ComparisonRow], metric: str = "average_toxicity") -> tuple[int, int]:
    """Return in how many languages a metric is lower, by its interval, and of how many."""
    languages = [row for row in rows if row.language not in (MEAN, OTHERS)]
    return sum(row.changes[metric].lower for row in languages), len(languages)


def _levels(row: ComparisonRow, when: str) -> list[str]:
    names = ("average_toxicity", "toxicity_probability", "", "", "empty_rate", "distinct_2")
    return [
        f"{getattr(row.changes[name], when):.3f}" if name in row.changes else "–" if name else ""
        for name in (*names, "language_share")
    ]


def _difference(change: Change | None) -> str:
    if change is None:
        return "–"
    _, low, high = change.difference
    star = "*" if change.lower else " "
    return f"{change.other:.3f} \n[dim]{low:+.3f} to {high:+.3f}[/dim]{star}"


def _prompts(languages: Sequence[str], part: "PromptPart") -> list[Prompt]:
    codes = dict.fromkeys(language_row(code).code for code in languages)
    return [each for code in codes for each in part.prompts(code).prompts]


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
