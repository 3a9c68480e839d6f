"""``detox-bench forecast``: where detoxification will reach, from what the base model knows."""

from pathlib import Path
from typing import Annotated, Any

import typer

from detox_bench.commands.forecast_tables import (
    print_doubts,
    print_drops,
    print_forecasts,
    print_tried,
    print_verdict,
)
from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.figures import check_figure
from detox_bench.forecast import Forecast, Tried, forecast, line_json, try_predictors
from detox_bench.forecast_figure import draw_forecast
from detox_bench.forecast_fit import Fit, fit_json, read_fit
from detox_bench.forecast_runs import measure_drops, model_doubts, tokenizer_values
from detox_bench.retrieval_results import TRIED, Retrieval, read_retrieval
from detox_bench.runs import write_json
from detox_bench.scorers.table import load_scorer
from detox_bench.summary import COLUMNS
from detox_bench.tokenizer_overlap import FERTILITY, OVERLAP

_FIT_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench forecast fit out/retrieval --base out/run/base --after out/run/dpo`\n\n"
    "`detox-bench forecast fit out/retrieval --base out/run/base --after dpo-0/run --after "
    "dpo-1/run --tokenizer ./base --figure forecast.svg --save fit.json`"
)
_PREDICT_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench eval --model hf --model_args pretrained=NEW --tasks flores_retrieval "
    "--output_path new`\n\n"
    "`detox-bench forecast predict fit.json new`"
)

app = typer.Typer(
    help="Forecast which languages a detoxification reaches, from retrieval of the base model.",
    epilog="Examples:\n\n"
    "`detox-bench forecast fit out/retrieval --base out/run/base --after out/run/dpo --save "
    "fit.json`\n\n"
    "`detox-bench forecast predict fit.json new`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

_Results = Annotated[
    Path, typer.Argument(help="Results of the flores_retrieval tasks: the file, or its folder.")
]
_Tokenizer = Annotated[
    str | None, typer.Option(help="The base model, for what its tokenizer says alone.")
]


@app.command(epilog=_FIT_EXAMPLES)
def fit(
    retrieval: _Results,
    base: Annotated[Path, typer.Option(help="The toxicity run before.")],
    after: Annotated[
        list[Path], typer.Option(help="The run after; given again: seeds of one setting.")
    ],
    predictor: Annotated[str, typer.Option(help="What to draw, and to forecast with.")] = "top1",
    tried: Annotated[
        str, typer.Option("--try", help=f"What to try: {', '.join(TRIED)}; p counts them all.")
    ] = "means",
    tokenizer: _Tokenizer = None,
    metric: Annotated[str, typer.Option(help="What drops.")] = "emt",
    scorer: Annotated[str, typer.Option(help="See `detox-bench scorers`.")] = "ngram",
    common: Annotated[
        bool, typer.Option("--common", help="Compare the prompts that all runs have, only those.")
    ] = False,
    figure: Annotated[Path | None, typer.Option(help="Draw to this .svg or .png.")] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", "--json", help="Write everything, for `predict` to read."),
    ] = None,
) -> None:
    """Compare retrieval of the base model with the drop of toxicity, language by language."""
    if figure is not None:
        check_figure(figure)
    if same := next((run for run in after if run.resolve() == base.resolve()), None):
        raise DetoxBenchError(f"{same} is both before and after. Name the run of another model.")
    found = read_retrieval(retrieval)
    drops = measure_drops(base, after, load_scorer(scorer), metric, common)
    drops = drops._replace(doubts=[*drops.doubts, *found.doubts, *model_doubts(found, base)])
    values = found.predictors(tried) | _tokenizer_values(found, tokenizer)
    percent = {code: drop.percent.estimate for code, drop in drops.by_language.items()}
    results = try_predictors(values, percent)
    chosen = _chosen(results, predictor)
    print_tried(results, chosen.name)
    print_drops(chosen, drops.by_language, COLUMNS[metric])
    print_verdict(chosen.name, chosen.line)
    print_doubts(drops.doubts)
    about = _about(found) | {"base": str(base), "after": [str(run) for run in after]}
    if save is not None:
        write_json(save, fit_json(results, chosen.name, drops, about | {"metric": metric}))
    if figure is not None:
        labels = f"{chosen.name}, {found.model}", f"drop of {COLUMNS[metric]}, %"
        n = found.settings["n"] if chosen.name.startswith("top1") else None
        draw_forecast(chosen, drops.by_language, labels, figure, 1 / n if n else None)


@app.command(epilog=_PREDICT_EXAMPLES)
def predict(
    fitted: Annotated[Path, typer.Argument(help="What `forecast fit … --save` wrote.")],
    retrieval: _Results,
    predictor: Annotated[str | None, typer.Option(help="Another one of the fit.")] = None,
    tokenizer: _Tokenizer = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write it there too.")] = None,
) -> None:
    """Forecast which languages a detoxification of a model would reach, before it is trained."""
    saved, found = read_fit(fitted), read_retrieval(retrieval)
    name, line = predictor or saved.predictor, saved.line(predictor)
    _check_settings(saved, found)
    _check_layers(saved, found, name)
    forecasts = forecast(line, _values(found, name, tokenizer))
    print_forecasts(forecasts, line, f"Forecast for {found.model} by {name}")
    print_verdict(name, line)
    print_doubts(found.doubts)
    if json_file is not None:
        about = _about(found) | {"fit": dict(saved.about), "line": line_json(line)}
        rows = [_row(each) for each in forecasts]
        better = {"better_than_the_mean": line.better}
        write_json(json_file, about | better | {"predictor": name, "languages": rows})


def _chosen(results: list[Tried], predictor: str) -> Tried:
    by_name = {each.name: each for each in results}
    if predictor not in by_name:
        raise unknown_name("predictor among those tried", predictor, by_name)
    return by_name[predictor]


def _tokenizer_values(found: Retrieval, tokenizer: str | None) -> dict[str, dict[str, float]]:
    if tokenizer is None:
        return {}
    from detox_bench.modeling.loading import load_tokenizer

    return tokenizer_values(found, load_tokenizer(tokenizer))


def _values(found: Retrieval, predictor: str, tokenizer: str | None) -> dict[str, float]:
    """Return the values of one predictor by language."""
    if predictor not in (FERTILITY, OVERLAP):
        values = {code: found.value(predictor, code) for code in found.numbers}
    elif tokenizer is None:
        raise DetoxBenchError(f"{predictor} is of a tokenizer. Name the model: --tokenizer.")
    else:
        values = _tokenizer_values(found, tokenizer)[predictor]
    if not any(value == value for value in values.values()):
        raise DetoxBenchError(f"{found.file} has no {predictor}. Choose another --predictor.")
    return values


def _check_settings(saved: Fit, found: Retrieval) -> None:
    """Refuse numbers that do not mean the same: top-1 among 100 is not top-1 among 1,000."""
    wanted = saved.about.get("retrieval", {})
    for name, value in found.settings.items():
        if wanted.get(name) != value:
            raise DetoxBenchError(
                f"The fit is of retrieval with {name} {wanted.get(name)!r}, {found.file} has "
                f"{value!r}. Evaluate the model on the same tasks, pooling and --limit."
            )


def _check_layers(saved: Fit, found: Retrieval, predictor: str) -> None:
    """Refuse one layer of models of different depth: layer 3 of 7 is not layer 3 of 33."""
    layers = saved.about.get("layers")
    if "@" in predictor and layers != found.layers:
        raise DetoxBenchError(
            f"{predictor} is one layer, and the model of the fit has {layers} layers (with the "
            f"embeddings), that of {found.file} {found.layers}. Choose a --predictor over layers."
        )


def _about(found: Retrieval) -> dict[str, Any]:
    settings = dict(found.settings)
    return {"model": found.model, "layers": found.layers, "retrieval": settings}


def _row(each: Forecast) -> dict[str, Any]:
    numbers = {"value": each.value, "drop": each.drop._asdict()}
    told = {"reached": each.reached, "outside": each.outside}
    return {"language": each.language} | numbers | told
