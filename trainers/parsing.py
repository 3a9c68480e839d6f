"""How the arguments of `train-dpo` are put together.

An argument is, in this order: what the command line says, what the user's ``--config`` YAML says,
what the recipe says, what suits the machine, the default of TRL.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from detox_bench.errors import DetoxBenchError, missing_extra, unknown_name
from detox_bench.trainers.arguments import Arguments, DetoxArguments, read_recipe, read_yaml

#: A source of arguments: where they stand, and their values.
_Source = tuple[str, dict[str, Any]]
_ALIASES = {"--output": "--output_dir", "--model_name_or_path": "--model"}
#: Who says the first gives up a default of the second, which then has this value.
_AT_ODDS = (("loss_type", "loss_weights", None), ("fp16", "bf16", False))
_TEXT_OR_LIST = ("lora_target_modules", "report_to")  # TRL and transformers tell them apart


def parse(command_line: Sequence[str]) -> Arguments:
    """Return the arguments of a run. Raises ``DetoxBenchError`` for one that is none."""
    words, config = _without_config(command_line)
    sources = [("the machine", machine_defaults()), *_recipe_named(words, config), *config]
    parser = _parser()
    for source, values in [*sources, ("what is said", _given_up(words, sources))]:
        _set_defaults(parser, source, values)
    try:
        parsed = parser.parse_args_into_dataclasses(args=words)
    except ValueError as error:
        raise _not_valid(parser, error) from error
    found = Arguments(*parsed)
    found.ours.watch_languages = [
        code for each in found.ours.watch_languages for code in each.split(",")
    ]
    return found


def _given_up(words: Sequence[str], sources: Sequence[_Source]) -> dict[str, Any]:
    """Return the defaults that no longer suit what was said on the command line or above them."""
    said = {word[2:] for word in words if word.startswith("--")}
    given_up: dict[str, Any] = {}
    for name, other, value in _AT_ODDS:
        places = [place for place, (_, values) in enumerate(sources) if name in values]
        said_at = len(sources) if name in said else max(places, default=-1)
        others = [place for place, (_, values) in enumerate(sources) if other in values]
        if said_at > max(others, default=said_at) and other not in said:
            given_up[other] = value
    return given_up


def full_help() -> str:
    """Return the help of every argument, TRL's among them."""
    return str(_parser().format_help())


def machine_defaults() -> dict[str, Any]:
    """Return what suits this machine: TRL's defaults are those of a recent GPU."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "gradient_checkpointing": gpu,
        "dataloader_pin_memory": gpu,
        "use_cpu": not gpu and not torch.backends.mps.is_available(),
        "report_to": "none",
        "precompute_ref_log_probs": True,
        "restore_callback_states_from_checkpoint": True,  # the patience of early stopping
    }


def _parser() -> Any:
    try:
        from trl import DPOConfig, ModelConfig, TrlParser
    except ImportError as error:
        raise missing_extra("train-dpo", "train") from error

    class Parser(TrlParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise ValueError(message)

    kinds = (DetoxArguments, DPOConfig, ModelConfig)
    return Parser(kinds, prog="detox-bench train-dpo", allow_abbrev=False)


def _without_config(command_line: Sequence[str]) -> tuple[list[str], list[_Source]]:
    """Return the words, as TRL spells them, without ``--config FILE``, and what the file says."""
    split = [part for word in command_line for part in _split_equals(word)]
    words = [_ALIASES.get(word, word) for word in map(_underscored, split)]
    if "--config" not in words:
        return words, []
    if words.count("--config") > 1:
        raise DetoxBenchError("--config is given twice; one YAML file is read.")
    at = words.index("--config")
    if at + 1 == len(words):
        raise DetoxBenchError("--config needs the path of a YAML file.")
    file = split[at + 1]
    return words[:at] + words[at + 2 :], [(file, read_yaml(Path(file)))]


def _split_equals(word: str) -> list[str]:
    name, equals, value = word.partition("=")
    return [name, value] if equals and name.startswith("--") else [word]


def _underscored(word: str) -> str:
    return "--" + word[2:].replace("-", "_") if word.startswith("--") else word


def _recipe_named(words: Sequence[str], config: Sequence[_Source]) -> list[_Source]:
    """Return the recipe that the command line, or else the configuration, asks for."""
    name = next((values["recipe"] for _, values in config if "recipe" in values), "modern")
    if "--recipe" in words[:-1]:
        name = words[words.index("--recipe") + 1]
    if name in (None, "none"):
        return []
    return [(f"recipe {name}", read_recipe(str(name)))]


def _set_defaults(parser: Any, source: str, values: dict[str, Any]) -> None:
    """Let ``values`` be what is not said on the command line."""
    actions = {action.dest: action for action in parser._actions}
    for name, value in values.items():
        if name not in _names(parser):
            raise unknown_name(f"argument (in {source})", name, _names(parser))
        choices = actions[name].choices
        if choices and value not in choices:
            raise unknown_name(f"value of {name} (in {source})", str(value), map(str, choices))
    parser.set_defaults_with_config(
        **{name: _listed(actions[name], value) for name, value in values.items()}
    )


def _listed(action: Any, value: Any) -> Any:
    """Return one value as a list where the argument takes several."""
    takes_several = action.nargs in ("+", "*") and action.dest not in _TEXT_OR_LIST
    return [value] if takes_several and isinstance(value, str) else value


def _names(parser: Any) -> set[str]:
    return {action.dest for action in parser._actions} - {"help"}


def _not_valid(parser: Any, error: ValueError) -> DetoxBenchError:
    """Return the error for a command line that argparse does not take."""
    message = str(error)
    unknown = next((word for word in message.split("'") if word.startswith("--")), None)
    if "not used" in message and unknown:
        return unknown_name("argument", unknown, [f"--{name}" for name in _names(parser)])
    return DetoxBenchError(f"The arguments are not right: {message.rstrip('.')}.")
