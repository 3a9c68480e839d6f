"""``detox-bench eval``: lm-eval with our tasks and models."""

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench eval --model detox-hf --model_args pretrained=gpt2 --tasks 'rtplx_toxicity_*' "
    "--output_path out --log_samples`\n\n"
    "`detox-bench eval --model hf --model_args pretrained=gpt2 --tasks rtplx_toxicity_de "
    "--limit 50 --scorer detoxify:multilingual`\n\n"
    "`detox-bench eval --model hf --model_args pretrained=gpt2 --tasks flores_retrieval "
    "--batch_size 32 --output_path out`"
)


@app.command(
    epilog=_EXAMPLES,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def main(
    context: typer.Context,
    scorer: Annotated[
        str | None, typer.Option(help="What scores the texts; see `detox-bench scorers`.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(help="`auto` (RTP-LX where prepared), `rtplx` or `sample`.")
    ] = None,
    subset: Annotated[
        str | None, typer.Option(help="Part of the prompts: `all`, `odd`, `even`, `parallel`.")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            help="Toxic from here on: a number, or a file of `validate-scorer --thresholds`; the "
            "scorer's own if not given."
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse languages in which the scorer is not validated."),
    ] = False,
) -> None:
    """Run `lm_eval` with our tasks and models in it; every option of lm-eval passes through.

    Tasks are `rtplx_toxicity_<language>`, the group `rtplx_toxicity` (the paper's 17 languages) and
    `rtplx28_toxicity` (all 28); `flores_retrieval_<language>`, `rtplx_retrieval_<language>` and
    `aligned200_retrieval_<language>` for bilingual retrieval. The model `detox-hf` keeps its
    continuations in the folder `run` below `--output_path`: a command that was stopped goes on when
    it is given again. `detox-bench eval ls tasks` lists tasks, `detox-bench eval` alone shows the
    options of lm-eval.
    """
    from detox_bench.commands.tables import print_retrieval, print_toxicity
    from detox_bench.harness.command import EvalOptions, evaluate
    from detox_bench.harness.results import retrieval_rows, toxicity_rows

    results = evaluate(
        context.args, EvalOptions(scorer, prompts, subset, threshold=threshold, strict=strict)
    )
    if found := toxicity_rows(results):
        print_toxicity(found.rows, found.title, found.caption, found.doubts)
    for table in retrieval_rows(results):
        print_retrieval(table.rows, table.title, table.caption)
