"""``detox-bench neurons``: find toxic neurons, edit them, fold the edit into the weights."""

import typer

from detox_bench.commands import (
    neurons_find,
    neurons_fold,
    neurons_make,
    neurons_probe,
    neurons_sweep,
)

app = typer.Typer(
    help="Neurons: find those that make a model toxic, edit them, fold the edit into its weights.",
    epilog="Examples, in the order of the work:\n\n"
    "`detox-bench neurons probe --model M --data labelled.jsonl --output probe`\n\n"
    "`detox-bench neurons find --model M --probe probe --output found.json`\n\n"
    "`detox-bench neurons sweep --model M --from found.json --output sweep --subset odd`\n\n"
    "`detox-bench neurons make --model M --from found.json --operator add --value -2 --output "
    "edit.json`\n\n"
    "`detox-bench neurons export --model M --intervention edit.json --output edited`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

for _module in (neurons_probe, neurons_find, neurons_make, neurons_sweep, neurons_fold):
    for _name, (_function, _examples) in _module.COMMANDS.items():
        app.command(_name, epilog=_examples)(_function)
