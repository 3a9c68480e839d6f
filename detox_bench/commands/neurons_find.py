"""``detox-bench neurons find``, ``tokens`` and ``activations``: neurons, ranked and looked at."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from detox_bench.commands.neurons_tables import print_change, print_found, print_tokens
from detox_bench.commands.tables import language_codes
from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.runs import check_files, write_json

#: What neurons can be ranked by.
BY = ("cosine", "auroc")

_MODEL = typer.Option(help="A model's folder or Hub name; adapters too.")
_NEURONS = typer.Option(
    help="A file of `neurons find`, `paper-mgpt` (the paper's), or layer:neuron from 0: "
    "`3:17,7:1020`."
)
_TAKE = typer.Option(help="Of a file: `sources`, `all`, or the first so many.")
_PROMPTS = typer.Option(help="`auto` (RTP-LX where prepared), `rtplx` or `sample`.")
_SUBSET = typer.Option(help="`all`, `odd`, `even` or `parallel`.")
_LIMIT = typer.Option(help="So many prompts a language.", min=1)
_NEW_TOKENS = typer.Option(
    help="Greedily decoded tokens that an activation is the mean over.", min=1
)
_DEVICE = typer.Option(help="`auto`, `cpu`, `cuda`, …")


def find(
    model: Annotated[str, _MODEL],
    output: Annotated[Path, typer.Option(help="The JSON file to write, for `neurons make`.")],
    probe: Annotated[
        Path | None, typer.Option(help="What `neurons probe` wrote, or a bare vector.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Texts labelled toxic or not, as for `neurons probe`; may be given again."
        ),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="As for `neurons probe`.")] = None,
    label_column: Annotated[str | None, typer.Option(help="As for `neurons probe`.")] = None,
    by: Annotated[
        str, typer.Option(help="`cosine` with the probe, or `auroc` on the texts (AurA).")
    ] = "cosine",
    top: Annotated[
        str, typer.Option(help="So many neurons; by auroc also `all`: every one above 0.5.")
    ] = "100",
    language: Annotated[str, typer.Option(help="Of the prompts.")] = "en",
    prompts: Annotated[str, _PROMPTS] = "auto",
    subset: Annotated[str, _SUBSET] = "even",
    limit: Annotated[int | None, _LIMIT] = None,
    texts: Annotated[
        int | None,
        typer.Option(help="So many texts of --data, those whose ids hash lowest.", min=2),
    ] = None,
    tokens: Annotated[int, _NEW_TOKENS] = 20,
    activations: Annotated[
        bool, typer.Option(help="Measure mean activations, and so which are actual sources.")
    ] = True,
    device: Annotated[str, _DEVICE] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Take a probe of other weights; it is recorded.")
    ] = False,
) -> None:
    """Rank all neurons as writers, or as detectors, of toxicity.

    By cosine: how like each neuron's value vector is to the probe. The first 100 are the potential
    sources of toxicity, those with a mean activation above 0 over the next 20 tokens of English
    prompts its actual sources (arXiv 2406.16235). By auroc: how well the maximum of each neuron's
    activation tells toxic texts from others (AurA, arXiv 2407.12824). What is given besides is
    measured too. With `--top all` no activations are measured.

    The default prompts are the even ones; report what an edit does on the odd ones.

    What --force let through is in OUTPUT (`settings.probe.forced`); with neurons of other weights
    `tokens` and `activations` write `forced` into their JSON.
    """
    if by not in BY:
        raise unknown_name("order", by, BY)
    from detox_bench.data.labelled import read_labelled_files
    from detox_bench.modeling.loading import load_causal_model
    from detox_bench.neurons.find import finding
    from detox_bench.neurons.find.choosing import PromptPart
    from detox_bench.neurons.find.probe_files import read_probe

    kept = _top(top)
    settings = finding.FindSettings(
        by=by,
        top=kept,
        activations=activations and kept is not None,
        language=_one_code(language),
        part=PromptPart(prompts, subset, limit),
        new_tokens=tokens,
        force=force,
    )
    check_files(output)
    given_probe = finding.ProbeFile(probe, read_probe(probe)) if probe else None
    given_texts = None
    if data:
        rows = read_labelled_files(data, text_column, label_column, texts)
        given_texts = finding.TextFiles([file.name for file in data], rows)
    finding.check_given(settings, given_probe, given_texts)
    found = finding.find(load_causal_model(model, device), settings, given_probe, given_texts)
    found.write(output)
    print_found(found)
    typer.echo(f"Wrote {len(found.neurons):,} neurons to {output}.")


def tokens(
    model: Annotated[str, _MODEL],
    neurons: Annotated[str, _NEURONS],
    take: Annotated[str, _TAKE] = "sources",
    top: Annotated[int, typer.Option(help="Tokens of each neuron.", min=1)] = 30,
    norm: Annotated[
        bool, typer.Option("--norm", help="Apply the final norm's scale; the paper does not.")
    ] = False,
    control: Annotated[
        str, typer.Option(help="Neurons to compare with: `random` of the same layers, or `norm`.")
    ] = "random",
    seed: Annotated[int, typer.Option(help="Of the control.")] = 0,
    show_tokens: Annotated[
        bool, typer.Option("--show-tokens", help="Show the tokens themselves; many are toxic.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file as well.")
    ] = None,
    device: Annotated[str, _DEVICE] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Take neurons found in other weights; it is recorded.")
    ] = False,
) -> None:
    """Count scripts and languages of the tokens that value vectors promote.

    A vector's tokens are those with the highest product of the head's weights and the vector. The
    effective number of scripts is exp(entropy): 3 equally frequent scripts are 3, one with a few
    strays is little more than 1. Compare with the control: the vocabulary itself is multilingual.

    A script is certain; a language of a single token is a guess. Short tokens of Latin or Cyrillic
    letters are mostly undetermined, and many that are not are wrong: these counts bear no more
    than a comparison with the control.
    """
    from detox_bench.modeling.loading import load_causal_model
    from detox_bench.neurons.find.choosing import choose_neurons
    from detox_bench.neurons.find.token_counts import CountSettings, count_tokens

    check_files(json_file)
    loaded = load_causal_model(model, device)
    chosen = choose_neurons(neurons, take, loaded.model, model, force)
    found = count_tokens(loaded, chosen, CountSettings(top, norm, control, seed))
    print_tokens(found, show_tokens)
    if json_file is not None:
        write_json(json_file, found.as_json(show_tokens))


def activations(
    before: Annotated[str, typer.Argument(help="The model whose neurons they are.")],
    after: Annotated[str, typer.Argument(help="One trained from it, of the same shape.")],
    neurons: Annotated[str, _NEURONS],
    take: Annotated[str, _TAKE] = "sources",
    languages: Annotated[
        str, typer.Option("--language", help="Codes, separated by commas; default: the paper's 17.")
    ] = ",".join(PAPER_LANGUAGES),
    prompts: Annotated[str, _PROMPTS] = "auto",
    subset: Annotated[str, _SUBSET] = "odd",
    limit: Annotated[int | None, _LIMIT] = None,
    tokens: Annotated[int, _NEW_TOKENS] = 20,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write everything to this file, each neuron's means too."),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw it to this file: .svg or .png.")] = None,
    control: Annotated[
        str, typer.Option(help="Neurons to compare with: `random`, `norm`, or `none`.")
    ] = "random",
    seed: Annotated[int, typer.Option(help="Of the control.")] = 0,
    device: Annotated[str, _DEVICE] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Take neurons found in other weights; it is recorded.")
    ] = False,
) -> None:
    """Compare the mean activation of neurons in two models, language by language.

    Each model greedily continues the same prompts; an activation is the mean over its new tokens
    and over the neurons, with a paired 95 % interval over prompts of the difference. Both models
    are loaded one after the other.
    """
    from detox_bench.figures import check_figure
    from detox_bench.neurons.find.activation_change import ChangePlan, compare_models
    from detox_bench.neurons.find.activation_figure import draw_change
    from detox_bench.neurons.find.choosing import PromptPart

    if figure is not None:
        check_figure(figure)
    check_files(json_file, figure)
    part = PromptPart(prompts, subset, limit)
    asked = {code: part.prompts(code) for code in language_codes(languages)}
    rule = None if control == "none" else control
    plan = ChangePlan(neurons, take, asked, tokens, device, force, rule, seed)
    found = compare_models(before, after, plan)
    rows = found.rows()
    print_change(found, rows)
    if json_file is not None:
        write_json(json_file, found.as_json())
    if figure is not None:
        draw_change(rows, (found.before.model.name, found.after.model.name), figure)


def _top(text: str) -> int | None:
    """Return how many neurons are kept; None for all above chance."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise DetoxBenchError(f"--top {text!r} is no number of neurons. Give one, or `all`.")
    return int(text)


def _one_code(language: str) -> str:
    """Return the only code of an option that takes one."""
    code, *others = language_codes(language)
    if others:
        raise DetoxBenchError(f"--language {language!r} is more than one. Give one: {code}.")
    return code


COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "find": (
        find,
        "Examples:\n\n`detox-bench neurons find --model gpt2 --probe probe --output found.json`\n\n"
        "`detox-bench neurons find --model gpt2 --by auroc --data labelled.jsonl --top all "
        "--output experts.json`",
    ),
    "tokens": (
        tokens,
        "Examples:\n\n`detox-bench neurons tokens --model gpt2 --neurons found.json`\n\n"
        "`detox-bench neurons tokens --model gpt2 --neurons 3:17,7:1020 --show-tokens`",
    ),
    "activations": (
        activations,
        "Examples:\n\n`detox-bench neurons activations gpt2 ./gpt2-dpo --neurons found.json`\n\n"
        "`detox-bench neurons activations gpt2 ./gpt2-dpo --neurons found.json --take 36 "
        "--language en,de --json change.json --figure change.svg`",
    ),
}
