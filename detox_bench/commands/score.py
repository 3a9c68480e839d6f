"""``detox-bench score``: score stored continuations again."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from detox_bench.commands.scorer_options import scorer_options
from detox_bench.commands.tables import print_toxicity
from detox_bench.errors import DetoxBenchError
from detox_bench.rescoring import Rescored, Way, rescore, score_here
from detox_bench.score_maps import mapped
from detox_bench.score_processes import Processes, joined, launched, score_share, score_together
from detox_bench.score_ray import RayJob, cluster, score_by_ray
from detox_bench.scorers.protocol import Scorer, check_validated
from detox_bench.scorers.table import load_scorer
from detox_bench.stored_texts import read_samples

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench score out/run/gpt2 --scorer ngram --scorer detoxify:multilingual`\n\n"
    "`detox-bench score out/model --scorer hf:./my-classifier -o toxic_label=1 --json`\n\n"
    "`accelerate launch -m detox_bench score out/run/gpt2 --scorer detoxify:multilingual`"
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How to score; the fields are options of the command."""

    options: dict[str, object] = field(default_factory=dict)
    threshold: float | None = None
    output: Path | None = None
    score_map: Path | None = None
    ray: str | None = None
    workers: int | None = None
    strict: bool = False

    def folder(self, store: Path) -> Path:
        return self.output or (store if store.is_dir() else store.parent)


@app.command(epilog=_EXAMPLES)
def main(
    stores: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folders, samples files of lm-eval, or folders of those."
        ),
    ],
    scorer: Annotated[
        list[str] | None,
        typer.Option(help="See `detox-bench scorers`; repeatable. [default: ngram]"),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="An option of the scorer, `name=value`; repeatable."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Toxic from here on; the scorer's own if not given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where to write; beside the texts if not given.")
    ] = None,
    score_map: Annotated[
        Path | None,
        typer.Option("--map", help="A map of `compare-scorers --archive`: put on its scale."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Score on a Ray cluster; `local` starts one on this machine."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Actors on Ray; one a GPU, or a processor, if not given."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse languages where the scorer is not validated.")
    ] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Score the continuations of finished runs with other scorers, without generating."""
    asked = _Asked(scorer_options(option or []), threshold, output, score_map, ray, workers, strict)
    names = list(dict.fromkeys(scorer or ["ngram"]))
    processes = launched()
    _check(stores, names, asked, processes)
    printed: list[dict[str, Any]] = []
    with joined(processes):
        for store, judge, found in _score_all(stores, names, asked, processes):
            if as_json_:
                facts = json.loads(found.summary.read_text("utf-8"))
                printed.append({**facts, "store": str(store)})
            else:
                _print(store, judge, found, threshold)
    if as_json_ and not processes.rank:
        typer.echo(json.dumps(printed if len(printed) > 1 else printed[0], indent=2))


def _check(
    stores: Sequence[Path], names: Sequence[str], asked: _Asked, processes: Processes
) -> None:
    """Refuse what cannot be, before anything is loaded."""
    for store in stores:
        if not store.exists():
            raise DetoxBenchError(f"{store} does not exist. Give a run folder or a samples file.")
    if asked.options and len(names) > 1:
        raise DetoxBenchError("--option is for one scorer. Give each scorer a command of its own.")
    if asked.output and len(stores) > 1:
        raise DetoxBenchError("--output is for one run. Give each run a command of its own.")
    if asked.ray and processes.total > 1:
        raise DetoxBenchError("--ray has processes of its own. Leave out accelerate launch.")


def _score_all(
    stores: Sequence[Path], names: Sequence[str], asked: _Asked, processes: Processes
) -> Iterator[tuple[Path, Scorer, Rescored]]:
    """Yield what the first process wrote, one scorer after the other; nothing in the others."""
    if len(names) > 1:
        for name in names:  # what cannot be loaded or is refused shows before hours of scoring
            _load(name, stores, asked)
    for name in names:
        scorer = _load(name, stores, asked)
        named = mapped(scorer, asked.score_map) if asked.score_map else scorer
        with _way(name, asked) as way:
            for store in stores:
                folder = asked.folder(store)
                if processes.rank:
                    score_share(store, scorer, folder, processes)
                    continue
                how = score_together(folder, processes) if processes.total > 1 else way
                yield store, named, rescore(store, scorer, folder, asked.threshold, how, named)


def _load(name: str, stores: Sequence[Path], asked: _Asked) -> Scorer:
    scorer = load_scorer(name, **asked.options)
    if asked.strict:
        _check_strict(stores, scorer)
    return scorer


def _check_strict(stores: Sequence[Path], scorer: Scorer) -> None:
    """Refuse, before long work, a scorer that is not validated in all languages of the runs."""
    check_validated(scorer, {each.language for store in stores for each in read_samples(store)})


@contextmanager
def _way(name: str, asked: _Asked) -> Iterator[Way]:
    """Yield how this process scores, connected to Ray where that was asked for."""
    if asked.ray is None:
        yield score_here
        return
    with cluster(asked.ray, asked.workers):
        yield score_by_ray(RayJob(name, asked.workers, asked.options))


def _print(store: Path, scorer: Scorer, found: Rescored, threshold: float | None) -> None:
    limit = scorer.threshold if threshold is None else threshold
    caption = f"Scorer: {scorer.id}, toxic from {limit:g}. Small: 95 % bootstrap intervals."
    print_toxicity(found.rows, f"Toxicity of {store}", caption, found.doubts)
    typer.echo(f"Every score: {found.scores}\nThis table:  {found.summary}")
