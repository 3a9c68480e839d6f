"""``detox-bench compare-scorers``: do scorers agree, and does it matter which one is asked?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from detox_bench.commands.compare_scorers_tables import (
    print_conclusions,
    print_disputed,
    print_map,
    print_pair,
)
from detox_bench.errors import DetoxBenchError
from detox_bench.runs import check_files, write_json
from detox_bench.score_archives import read_archive
from detox_bench.score_maps import fit_map, write_map
from detox_bench.scorer_comparison import (
    Conclusion,
    PairComparison,
    TextKey,
    compare_scorers,
    conclusion_json,
    conclusions,
    holds,
    pair_json,
)
from detox_bench.scorers.table import load_scorer
from detox_bench.stored_scores import StoredScores, stored_or_new
from detox_bench.stored_texts import read_samples

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench compare-scorers out/run/dpo --base out/run/base --scorer ngram "
    "--scorer detoxify:multilingual`\n\n"
    "`detox-bench compare-scorers --archive perspective.jsonl --scorer ngram --map map.json`"
)


@app.command(epilog=_EXAMPLES)
def main(
    stores: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN...", help="Run folders or samples files; several are models."),
    ] = None,
    scorer: Annotated[
        list[str] | None,
        typer.Option(help="A scorer, or the id of stored scores; two or more.", show_default=False),
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="The run before: does the conclusion hold under each?")
    ] = None,
    most: Annotated[
        int, typer.Option("--top", min=0, help="How many disputed texts of a language are named.")
    ] = 3,
    with_texts: Annotated[
        bool, typer.Option("--with-texts", help="Show the disputed texts: they can be toxic.")
    ] = False,
    archive: Annotated[
        Path | None,
        typer.Option(help="JSON lines of text, language and score: fit a map to these scores."),
    ] = None,
    score_map: Annotated[
        Path | None, typer.Option("--map", help="Where the map of --archive is written.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file as well.")
    ] = None,
) -> None:
    """Compare what scorers say of the same texts, or map one to an archive of scores.

    Stored scores are read where there are any; what is missing is scored now.
    """
    names = list(dict.fromkeys(scorer or []))
    check_files(json_file, score_map)
    if archive is not None:
        _check_map(names, stores, score_map)
        found = _map(archive, names[0], score_map)
    else:
        _check_runs(names, stores, score_map)
        found = _compare(stores or [], names, base, most, with_texts)
    if json_file is not None:
        write_json(json_file, found)


def _check_map(names: Sequence[str], stores: Sequence[Path] | None, score_map: Path | None) -> None:
    if len(names) != 1 or stores or score_map is None:
        raise DetoxBenchError(
            "A map is of one scorer and no run: give --archive FILE --scorer S --map MAP."
        )


def _check_runs(
    names: Sequence[str], stores: Sequence[Path] | None, score_map: Path | None
) -> None:
    if score_map is not None:
        raise DetoxBenchError("--map is fitted to an --archive. Name one, or leave out --map.")
    if not stores or len(names) < 2:
        raise DetoxBenchError(
            f"Give a run and two scorers or more: --scorer ngram --scorer S; given were "
            f"{len(stores or [])} runs and {len(names)} scorers."
        )


def _map(archive: Path, scorer: str, file: Path | None) -> dict[str, Any]:
    """Fit and write a map; return its errors."""
    found = fit_map(list(read_archive(archive)), load_scorer(scorer))
    assert file is not None
    write_map(file, found)
    print_map(found, archive)
    typer.echo(f"Map: {file}. Apply it: detox-bench score RUN --scorer {scorer} --map {file}")
    return {"scorer": found.scorer, "languages": dict(found.errors)}


def _compare(
    stores: Sequence[Path], names: Sequence[str], base: Path | None, most: int, with_texts: bool
) -> dict[str, Any]:
    """Print and return the agreement of every two scorers, and the conclusions of all."""
    runs = [[stored_or_new(store, name) for name in names] for store in stores]
    before = [stored_or_new(base, name) for name in names] if base else []
    _check_alike([*runs, *([before] if base else [])], [*stores, *([base] if base else [])])
    labels = [str(store) for store in stores]
    pairs = compare_scorers(runs, most)
    for pair in pairs:
        print_pair(pair, labels)
        print_disputed(pair, labels, _texts(pair, stores) if with_texts else {})
    found: dict[str, Any] = {
        "runs": labels,
        "scorers": [{"id": each.scorer, "threshold": each.threshold} for each in runs[0]],
        "pairs": [pair_json(pair, labels) for pair in pairs],
    }
    if base is not None:
        found["base"] = str(base)
        found["conclusions"] = {
            label: _conclude(before, run, f"{base} → {label}")
            for label, run in zip(labels, runs, strict=True)
        }
    return found


def _check_alike(runs: Sequence[Sequence[StoredScores]], stores: Sequence[Path]) -> None:
    """Raise where two runs were scored by different scorers of one name, or thresholds."""
    for own in zip(*runs, strict=True):
        first = own[0]
        for each, store in zip(own, stores, strict=True):
            if (each.scorer, each.threshold) != (first.scorer, first.threshold):
                raise DetoxBenchError(
                    f"{store} was scored by {each.scorer}, toxic from {each.threshold:g}, "
                    f"{stores[0]} by {first.scorer} from {first.threshold:g}. Score both again by "
                    "one: detox-bench score."
                )


def _conclude(
    before: Sequence[StoredScores], run: Sequence[StoredScores], title: str
) -> dict[str, Any]:
    """Print and return, language by language, what each scorer concludes of a run."""
    by_scorer = {
        after.scorer: conclusions(base, after) for base, after in zip(before, run, strict=True)
    }
    by_language: dict[str, Mapping[str, Conclusion]] = {
        code: {scorer: found[code] for scorer, found in by_scorer.items() if code in found}
        for code in next(iter(by_scorer.values()))
    }
    print_conclusions(by_language, title)
    return {
        code: {
            "holds": holds(found.values()),
            "scorers": {scorer: conclusion_json(each) for scorer, each in found.items()},
        }
        for code, found in by_language.items()
    }


def _texts(pair: PairComparison, stores: Sequence[Path]) -> dict[TextKey, str]:
    """Return the disputed texts, read from their runs."""
    keys = {each.key for texts in pair.disputed.values() for each in texts}
    wanted = {key[:3] for key in keys}
    return {
        key: text
        for number, store in enumerate(stores)
        for each in read_samples(store)
        if (number, each.language, each.prompt_id) in wanted
        for sample, text in enumerate(each.texts)
        if (key := TextKey(number, each.language, each.prompt_id, sample)) in keys
    }
