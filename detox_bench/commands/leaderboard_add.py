"""``detox-bench leaderboard add``: a run becomes a submission on a board."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from detox_bench.errors import DetoxBenchError, unknown_name

if TYPE_CHECKING:
    from detox_bench.leaderboard.adding import Added, Wish
    from detox_bench.leaderboard.specification import Specification
    from detox_bench.leaderboard.submission import Contamination

_SETS = ("rtplx", "jigsaw", "ptp")


def add(
    run: Annotated[
        Path, typer.Argument(help="The run folder (it has a run.json); of a base for --reference.")
    ],
    method: Annotated[
        str, typer.Option(help="What was done to the base: `base`, `dpo`, `neurons` or `other`.")
    ] = "",
    model: Annotated[str, typer.Option(help="The model's name on the board: ORG/NAME.")] = "",
    base: Annotated[
        str | None,
        typer.Option(
            help="The base on the board: its run folder, its submission, or its name. Add it first."
        ),
    ] = None,
    contaminated: Annotated[
        str | None,
        typer.Option(help="Data it was trained on, of `rtplx`, `jigsaw`, `ptp`: `rtplx,ptp`."),
    ] = None,
    not_contaminated: Annotated[
        bool, typer.Option("--not-contaminated", help="It was trained on none of them.")
    ] = False,
    note: Annotated[
        str | None, typer.Option(help="A sentence on what it was trained on, shown beside it.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="For dpo: the recipe as YAML, or the detox_run.json of the training."),
    ] = None,
    intervention: Annotated[
        Path | None, typer.Option(help="For neurons: the JSON file of `neurons make`.")
    ] = None,
    description: Annotated[
        str | None, typer.Option(help="A sentence on the method; for other, it must be given.")
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(help="The full commit of the Hub; without it the weights' hash is named."),
    ] = None,
    parameters: Annotated[int | None, typer.Option(help="How many the model has.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the model.")] = None,
    url: Annotated[str | None, typer.Option(help="Of the model; https only.")] = None,
    hardware: Annotated[str | None, typer.Option(help="What the run was made on.")] = None,
    perplexity_model: Annotated[
        str | None, typer.Option(help="The base model, which judges fluency: folder or Hub name.")
    ] = None,
    retrieval: Annotated[
        Path | None, typer.Option(help="Results of lm-eval's retrieval tasks for this model.")
    ] = None,
    board: Annotated[Path, typer.Option(help="The folder of the board.")] = Path("leaderboard"),
    prompt_list: Annotated[
        str, typer.Option("--list", help="The suite's prompts: `full`, `quick` or `sample`.")
    ] = "quick",
    track: Annotated[str, typer.Option(help="Who scores; see benchmark.yaml.")] = "ngram",
    reference: Annotated[
        str | None,
        typer.Option(help="Add a reference row instead, made from the base's run: `all` or one."),
    ] = None,
    texts_zip: Annotated[
        Path | None,
        typer.Option(
            help="Also write the texts to this encrypted zip, for maintainers; password: "
            "DETOX_BENCH_ZIP_PASSWORD."
        ),
    ] = None,
) -> None:
    """Make a submission of a run: aggregates, samples without any text, and how to repeat it.

    The run is scored by the track's scorer, and by the base model for perplexity; what was scored
    before is taken from the cache. Three files are written into the board, all or none. They hold
    ids, hashes and numbers; no prompt and no generated text.
    """
    from detox_bench.leaderboard.adding import ModelTold, Wish
    from detox_bench.leaderboard.adding import add as add_run
    from detox_bench.leaderboard.board import Place
    from detox_bench.leaderboard.encrypted_texts import check_zip, write_zip
    from detox_bench.leaderboard.methods import Told
    from detox_bench.leaderboard.specification import load_specification

    check_zip(texts_zip)
    suite = load_specification()
    wish = Wish(
        Place(board, prompt_list, track),
        ModelTold(model, revision, parameters, licence, url),
        Told(method, description, recipe, intervention),
        _contamination(contaminated, not_contaminated or reference is not None, note),
        base,
        perplexity_model,
        retrieval,
        hardware,
    )
    if reference is not None:
        _add_references(run, reference, wish, suite)
        return
    added = add_run(run, wish, suite)
    if texts_zip is not None:
        write_zip(texts_zip, run, added.made.submission.run_id)
    print_added(added)


def print_added(added: "Added") -> None:
    """Print where the submission lies, its table, and what to do next."""
    from detox_bench.commands.leaderboard_tables import submission_table

    console = Console(width=None if Console().is_terminal else 150)
    console.print(submission_table(added.made.submission))
    typer.echo(f"Submission: {added.folder}")
    typer.echo(f"Next: detox-bench leaderboard check {added.folder}")
    typer.echo("then: git add it, commit, and open a pull request.")


def _add_references(run: Path, name: str, wish: "Wish", suite: "Specification") -> None:
    from detox_bench.leaderboard.adding import add_reference
    from detox_bench.leaderboard.references import REFERENCES

    for each in REFERENCES if name == "all" else [name]:
        print_added(add_reference(run, each, wish, suite))


def _contamination(named: str | None, none: bool, note: str | None) -> "Contamination":
    """Return what was declared; raises ``DetoxBenchError`` where nothing, or both, was."""
    from detox_bench.leaderboard.making import checked
    from detox_bench.leaderboard.submission import Contamination

    sets = [each.strip() for each in (named or "").split(",") if each.strip()]
    if bool(sets) == none:
        raise DetoxBenchError(
            "Say what the model was trained on: --not-contaminated, or --contaminated with one or "
            f"more of {', '.join(_SETS)} (RTP-LX prompts, Jigsaw, PolygloToxicityPrompts)."
        )
    for each in sets:
        if each not in _SETS:
            raise unknown_name("set of contamination", each, _SETS)
    return checked(Contamination, {each: each in sets for each in _SETS} | {"note": note})


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "add": (
        add,
        "Examples:\n\n`detox-bench leaderboard add out/run/base --method base --model you/model "
        "--not-contaminated`\n\n"
        "`detox-bench leaderboard add out/run/edited --method neurons --intervention edit.json "
        "--model you/model-edited --base out/run/base --not-contaminated`",
    )
}
