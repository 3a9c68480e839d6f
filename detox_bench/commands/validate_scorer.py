"""``detox-bench validate-scorer``: how well a scorer agrees with people."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from detox_bench.commands.scorer_options import scorer_options
from detox_bench.commands.tables import language_codes
from detox_bench.commands.validation_table import print_validation
from detox_bench.errors import BadData, DetoxBenchError, unknown_name
from detox_bench.figures import check_figure
from detox_bench.languages import language as language_row
from detox_bench.runs import check_files, write_json
from detox_bench.scorers.held_out import HeldOutRule, rule_of
from detox_bench.scorers.table import load_scorer
from detox_bench.scorers.validation import stored_path, validation_of
from detox_bench.validation.measuring import measure, store
from detox_bench.validation.reliability_figure import draw_reliability
from detox_bench.validation.texts import Source, labelled, prepared, published
from detox_bench.validation.thresholds import RULES, derive

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench validate-scorer ngram --on RTP-LX.zip --on RTP-LX-v1.5/ --figure ngram.svg`\n\n"
    "`detox-bench validate-scorer hf:./mine --labelled ru=comments.csv --thresholds best`"
)


@app.command(epilog=_EXAMPLES)
def main(
    scorer: Annotated[str, typer.Argument(help="See `detox-bench scorers`.")],
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="An option of the scorer, `name=value`; repeatable."),
    ] = None,
    on: Annotated[
        list[Path] | None,
        typer.Option(
            help="RTP-LX as published, a zip, folder or file; repeatable, and of two that have the "
            "same kind of text the first counts. The prepared one if nothing is given."
        ),
    ] = None,
    password: Annotated[
        str | None, typer.Option(help="Of the zip; else RTP_LX_PASSWORD is used. Never stored.")
    ] = None,
    labelled_file: Annotated[
        list[str] | None,
        typer.Option(
            "--labelled",
            help="`de=FILE`: texts labelled toxic or not, JSON lines or CSV; one a language.",
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Of --labelled; as for `neurons probe`.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Of --labelled; as for `neurons probe`.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Codes with commas between; all that the data have if not.")
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(
            help="Write a table of thresholds for `eval --threshold`: `best` (highest F1) or "
            "`matched` (as many toxic texts as people say)."
        ),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the reliability to this .svg or .png.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file as well.")
    ] = None,
) -> None:
    """Measure how well a scorer agrees with people, language by language.

    Figures are stored by the scorer's id: `detox-bench scorers`, results, reports and `--strict`
    use them from then on.
    """
    _check_outputs(thresholds, figure, json_file)
    judge = load_scorer(scorer, **scorer_options(option or []))
    rule = rule_of(scorer)
    files = [_labelled(each, text_column, label_column) for each in labelled_file or []]
    sources = _sources(on or [], password, files, rule)
    codes = _codes(language, sources)
    stored = store(judge, measure(judge, sources, codes), rule)
    measured = [code for code in stored["languages"] if code in codes]
    print_validation(stored, measured, validation_of(judge.id))
    typer.echo(f"Stored: {stored_path(judge.id)}")
    if figure is not None:
        draw_reliability(stored, measured, figure)
    if json_file is not None:
        write_json(json_file, stored)
    if thresholds is not None:
        _write_thresholds(stored, thresholds)


def _check_outputs(thresholds: str | None, figure: Path | None, json_file: Path | None) -> None:
    """Raise where something asked for cannot be made, before anything is measured."""
    if thresholds is not None and thresholds not in RULES:
        raise unknown_name("rule for thresholds", thresholds, RULES)
    if figure is not None:
        check_figure(figure)
    check_files(figure, json_file)


def _sources(
    on: Sequence[Path], password: str | None, files: Sequence[Source], rule: HeldOutRule | None
) -> list[Source]:
    """Return what was named, or the prepared RTP-LX where nothing was."""
    word = password or os.environ.get("RTP_LX_PASSWORD")
    found = [*(published(path, word, rule) for path in on), *files]
    return found or [prepared(rule)]


def _labelled(given: str, text_column: str | None, label_column: str | None) -> Source:
    code, equals, name = given.partition("=")
    if not equals:
        raise DetoxBenchError(f"--labelled {given!r} is not of the form de=FILE.")
    code, path = language_row(code.strip()).code, Path(name).expanduser()
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror or error}.") from error
    return labelled(code, path, digest, text_column, label_column)


def _codes(asked: str | None, sources: Sequence[Source]) -> list[str]:
    """Return the languages to measure. Raises ``DetoxBenchError`` for one that no source has."""
    there = {code for source in sources for code in source.languages}
    codes = sorted(there) if asked is None else language_codes(asked)
    if missing := [code for code in codes if code not in there]:
        raise DetoxBenchError(
            f"The data have no {', '.join(missing)}, only {', '.join(sorted(there))}. Name other "
            "languages, or give data that have it: --on, --labelled."
        )
    return codes


def _write_thresholds(stored: Mapping[str, Any], rule: str) -> None:
    table = derive(stored, rule)
    path = stored_path(table.scorer)
    path = path.with_name("thresholds") / f"{path.stem}.{rule}.json"
    write_json(path, table.as_json())
    typer.echo(f"Thresholds: {path}\n{json.dumps(table.thresholds)}")
