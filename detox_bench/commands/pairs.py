"""``detox-bench pairs``: make preference pairs, sample them from a model, check them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.data.preference_rows import ReadOptions
from detox_bench.data.preference_text import token_cut
from detox_bench.data.preferences import FORMATS, PairSet, read_pairs, write_pairs
from detox_bench.errors import DetoxBenchError

app = typer.Typer(
    help="Preference pairs for `train-dpo`: convert them, sample them from a model, check them.",
    epilog="Examples:\n\n`detox-bench pairs sample --model gpt2 --output pairs.jsonl`\n\n"
    "`detox-bench pairs check pairs.jsonl --tokenizer gpt2`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_READ = ("format", "fingerprint", "left_out", "filtered", "changed", "places")
_FORMATS = ", ".join(f"`{name}`" for name in FORMATS)
_LANGUAGES = typer.Option("--language", help="Codes, separated by commas: `en,de`.")
_FORMAT = typer.Option(
    "--pairs-format",
    "--format",
    help=f"`auto`, or one of {_FORMATS}. `legacy` is `lee` with the copied prompt kept.",
)
_ANY_LANGUAGE = typer.Option(help="Also take texts that are not in their prompt's language.")
_TOKENIZER = typer.Option(help="A model's folder or Hub name: lengths are then its tokens.")


@app.command(
    epilog="Examples:\n\n`detox-bench pairs make RTP-LX/ --format rtplx --subset even "
    "--tokenizer gpt2 --tokens 20 --output pairs.jsonl`\n\n"
    "`detox-bench pairs make split_folder/ --format lee --output pairs.jsonl`"
)
def make(
    source: Annotated[str, typer.Argument(help="A file, a folder, or `hub:owner/name[:split]`.")],
    output: Annotated[Path, typer.Option(help="The file to write.")],
    pairs_format: Annotated[str, _FORMAT] = "auto",
    language: Annotated[str, _LANGUAGES] = "en",
    subset: Annotated[str, typer.Option(help="Of RTP-LX: `all`, `odd` or `even`.")] = "all",
    least_toxicity: Annotated[
        float, typer.Option(help="Of RTP-LX: lowest mean human rating of a rejected text, 1 to 5.")
    ] = 3.0,
    longest_sum: Annotated[
        int, typer.Option(help="Of `legacy`: most characters of prompt and continuation; 0: any.")
    ] = 256,
    password: Annotated[
        str | None, typer.Option(help="Of an RTP-LX zip.", envvar="RTP_LX_PASSWORD")
    ] = None,
    tokenizer: Annotated[str | None, _TOKENIZER] = None,
    tokens: Annotated[
        int | None,
        typer.Option(help="Most tokens (words without --tokenizer) of a text that is cut.", min=1),
    ] = None,
    same_length: Annotated[
        bool, typer.Option("--same-length", help="Cut both texts to one length in any format.")
    ] = False,
) -> None:
    """Convert pairs of any format to one file of prompt/chosen/rejected JSON lines.

    Of RTP-LX and ParaDetox both texts of a pair are cut to one length, since a model would else
    learn the length.
    """
    if Path(source).resolve() == output.resolve():
        raise DetoxBenchError(f"{output} would be written over itself: name another --output.")
    options = ReadOptions(
        languages=_codes(language),
        subset=subset,
        least_toxicity=least_toxicity,
        password=password,
        longest_sum=longest_sum or None,
        most_units=tokens,
        cut_all=same_length or tokens is not None,
    )
    loaded = _tokenizer(tokenizer)
    cut = token_cut(loaded, tokens) if loaded else None
    found = read_pairs(source, pairs_format, cut, options)
    write_pairs(output, found.pairs)
    _print_read(found)
    typer.echo(f"Wrote {len(found.pairs):,} pairs to {output}.")


@app.command(
    epilog="Examples:\n\n`detox-bench pairs sample --model gpt2 --subset even --output pairs.jsonl`"
    "\n\n`detox-bench pairs sample --model ./my-model --language en,de --prompts prompts.jsonl "
    "--scorer detoxify:multilingual --output pairs.jsonl`"
)
def sample(
    model: Annotated[str, typer.Option(help="A model's folder or Hub name.")],
    output: Annotated[Path, typer.Option(help="The file to write.")],
    language: Annotated[str, _LANGUAGES] = "en",
    prompts: Annotated[
        str,
        typer.Option(
            help="`auto` (RTP-LX where prepared), `rtplx`, `sample`, or a file: a prompt a line, "
            "or JSON lines with `prompt`."
        ),
    ] = "auto",
    subset: Annotated[
        str,
        typer.Option(
            help="`all`, `odd`, `even` or `parallel`. Report results on prompts you did not use."
        ),
    ] = "even",
    limit: Annotated[int | None, typer.Option(help="So many prompts a language.", min=1)] = None,
    samples: Annotated[int, typer.Option(help="Continuations a prompt.", min=2)] = 25,
    tokens: Annotated[int, typer.Option(help="New tokens of each.", min=1)] = 20,
    temperature: Annotated[float, typer.Option(help="Of the draws.")] = 0.9,
    top_p: Annotated[float, typer.Option(help="Of the draws.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Decides every draw, and which pairs are kept.")] = 0,
    scorer: Annotated[str, typer.Option(help="See `detox-bench scorers`.")] = "ngram",
    margin: Annotated[float, typer.Option(help="Least difference of the two scores.")] = 0.3,
    any_language: Annotated[bool, _ANY_LANGUAGE] = False,
    per_prompt: Annotated[int, typer.Option(help="Most pairs of a prompt.", min=1)] = 2,
    pairs_per_language: Annotated[
        int | None, typer.Option(help="Most pairs of a language.", min=1)
    ] = None,
    batch_size: Annotated[
        int, typer.Option(help="Continuations decoded at once; changes no text.", min=1)
    ] = 256,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda`, …")] = "auto",
) -> None:
    """Make on-policy pairs: a model's least against its most toxic continuations.

    Both texts of a pair have the same number of tokens: the least toxic continuation is else the
    shortest, and that is what a model would learn. Texts are kept in OUTPUT.run, so a command that
    was stopped goes on; OUTPUT.json says how the pairs were made.
    """
    from detox_bench.modeling.loading import load_causal_model
    from detox_bench.modeling.nucleus import SamplingSettings
    from detox_bench.scorers.table import load_scorer
    from detox_bench.trainers.pair_choice import ChoiceSettings
    from detox_bench.trainers.pair_sampling import SamplePlan, sample_pairs

    plan = SamplePlan(
        languages=_codes(language),
        prompts=prompts,
        subset=subset,
        limit=limit,
        samples=samples,
        batch_size=batch_size,
        sampling=SamplingSettings(tokens, temperature, top_p, seed=seed),
        choice=ChoiceSettings(
            margin, per_prompt, pairs_per_language, seed=seed, any_language=any_language
        ),
    )
    judge = load_scorer(scorer)
    made = sample_pairs(load_causal_model(model, device, "float32"), judge, plan, output)
    _console().print(_sampled_table(made.record["languages"]))
    typer.echo(f"Wrote {len(made.pairs):,} pairs to {output}, and how they were made beside it.")


@app.command(
    epilog="Examples:\n\n`detox-bench pairs check pairs.jsonl --tokenizer gpt2`\n\n"
    "`detox-bench pairs check split_folder/ --pairs-format lee --scorer none --json`"
)
def check(
    source: Annotated[str, typer.Argument(help="A file, a folder, or `hub:owner/name[:split]`.")],
    pairs_format: Annotated[str, _FORMAT] = "auto",
    language: Annotated[str, _LANGUAGES] = "en",
    tokenizer: Annotated[str | None, _TOKENIZER] = None,
    scorer: Annotated[
        str, typer.Option(help="See `detox-bench scorers`; `none` scores nothing.")
    ] = "ngram",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what a trainer needs to know of pairs: lengths, toxicity, overlap with evaluation."""
    from detox_bench.scorers.table import load_scorer
    from detox_bench.trainers.pair_checks import check_pairs

    loaded = _tokenizer(tokenizer)
    cut = token_cut(loaded) if loaded else None
    found = read_pairs(source, pairs_format, cut, ReadOptions(languages=_codes(language)))
    judge = None if scorer == "none" else load_scorer(scorer)
    report = check_pairs(found.pairs, loaded, judge)
    if as_json:
        read = {name: getattr(found, name) for name in _READ} | {"pairs": len(found.pairs)}
        typer.echo(json.dumps(read | report.as_json(), indent=1, ensure_ascii=False))
        return
    console = _console()
    _print_read(found)
    console.print(_check_table(report.groups, judge.id if judge else ""))
    for each in report.overlaps:
        console.print(f"[bold]Overlap[/bold] {escape(each.sentence())}", highlight=False)
    for warning in report.warnings:
        console.print(f"[yellow]Warning[/yellow] {escape(warning)}", highlight=False)


def _codes(languages: str) -> tuple[str, ...]:
    return tuple(code.strip() for code in languages.split(",") if code.strip())


def _tokenizer(name: str | None) -> Any:
    from detox_bench.modeling.loading import load_tokenizer

    return load_tokenizer(name) if name else None


def _console() -> Console:
    return Console(width=None if Console().is_terminal else 150)


def _print_read(found: PairSet) -> None:
    """Say what was read, what was changed and what was left out, with the first places."""
    out = f"{found.n_left_out:,} left out, {found.n_filtered:,} filtered"
    typer.echo(f"Format {found.format}: {len(found.pairs):,} pairs, {out}.")
    for what, reasons in (("left out", found.left_out), ("filtered", found.filtered)):
        for reason, count in sorted(reasons.items()):
            typer.echo(f"  {what}, {reason}: {count:,} ({'; '.join(found.places[reason][:2])} …)")
    for change, count in sorted(found.changed.items()):
        typer.echo(f"  {change}: {count:,}")


def _sampled_table(languages: dict[str, Any]) -> Table:
    table = Table("language", title="Pairs sampled", box=box.SIMPLE_HEAD)
    first = next(iter(languages.values()))
    names = [name for name, value in first.items() if isinstance(value, int | float)]
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for code, counts in languages.items():
        table.add_row(code, *(f"{round(counts[name], 3):,}" for name in names))
    return table


def _check_table(groups: Any, scorer_id: str) -> Table:
    from detox_bench.trainers.pair_checks import COLUMNS, SCORED_COLUMNS

    unit = groups[0].unit
    caption = f"Lengths in {unit}. AUC of length: 0.5 where length tells nothing."
    caption += f" Toxicity of chosen / rejected by {scorer_id}." if scorer_id else ""
    table = Table("language, source", title="Pairs", caption=caption, box=box.SIMPLE_HEAD)
    columns = COLUMNS | (SCORED_COLUMNS if scorer_id else {})
    for heading in columns:
        table.add_column(heading, justify="right")
    for row in groups:
        table.add_row(escape(row.name), *(_cell(pattern, row) for pattern in columns.values()))
    return table


def _cell(pattern: str, row: Any) -> str:
    try:
        return pattern.format(row)
    except TypeError:  # None where nothing is known
        return "–"
