"""The command ``detox-bench``: a table of commands, each imported when it is invoked.

To add a command, write ``detox_bench/commands/<name>.py`` with a typer ``app``, and add a row.
"""

from collections.abc import Callable
from importlib import import_module

import typer

from detox_bench import __version__
from detox_bench.errors import DetoxBenchError

#: Name, and the line that ``detox-bench --help`` shows. The module has the name, ``-`` as ``_``.
COMMANDS = {
    "demo": "See it work: the demo model, 17 languages, on this machine, offline.",
    "data": "Read RTP-LX once into the data store; say what is there.",
    "eval": "Evaluate a model: lm-eval's command line with our tasks and models in it.",
    "pairs": "Make, sample and check preference pairs.",
    "train-dpo": "Train a model by DPO on English preference pairs.",
    "neurons": "Find toxic neurons, edit them, fold that into weights.",
    "compare": "Compare a model with its base, language by language.",
    "report": "Write the report: toxicity beside quality, with verdicts, as one page.",
    "capability": "Say what a detoxification cost, on the tasks of lm-eval.",
    "suppression": "Ask whether harmless text is still as likely as before.",
    "forecast": "Forecast which languages a detoxification will reach.",
    "leaderboard": "The leaderboard: submit a run, check, verify, build.",
    "scorers": "List what can score which language.",
    "validate-scorer": "Measure how well a scorer agrees with people.",
    "score": "Score stored continuations again with other scorers.",
    "compare-scorers": "Ask whether scorers agree, on texts and conclusions.",
    "tasks-path": "Print the folder of tasks, for lm_eval --include_path.",
    "register": "Make the tasks known to the stock lm_eval command.",
    "unregister": "Take them away again.",
}

_INTERRUPTED = 130  # what typer exits with on Ctrl-C

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help="Multilingual toxicity of language models: measure it, explain it, remove it, prove it "
    "is gone.",
    epilog="Start with `detox-bench demo`; then `detox-bench eval --help`.",
)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(f"detox-bench {__version__}")
        raise typer.Exit


def _passes_on(name: str) -> Callable[[typer.Context], None]:
    """Return a command that hands all its arguments to the app of its module."""

    def run(context: typer.Context) -> None:
        module = import_module(f"detox_bench.commands.{name.replace('-', '_')}")
        command = typer.main.get_command(module.app)
        command.main(args=context.args, prog_name=f"detox-bench {name}")

    return run


for _name, _line in COMMANDS.items():
    app.command(
        _name,
        help=_line,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_passes_on(_name))


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 1."""
    try:
        app()
    except DetoxBenchError as error:
        _stop(str(error))
    except SystemExit as stopped:
        if stopped.code == _INTERRUPTED:
            _stop(
                "Stopped. The same command goes on where it was (eval: with --model detox-hf and "
                "--output_path; train-dpo: from its last checkpoint).",
                _INTERRUPTED,
            )
        raise


def _stop(message: str, code: int = 1) -> None:
    typer.secho(message, err=True, fg=typer.colors.RED if code == 1 else None)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
