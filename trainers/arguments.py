"""What `train-dpo` asks beside the arguments of TRL: one dataclass, and how all are put together.

An argument is, in this order: what the command line says, what the user's ``--config`` YAML says,
what the recipe says, what suits the machine, the default of TRL.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from detox_bench.errors import BadData, DetoxBenchError, missing_extra, unknown_name

_RECIPES = files("detox_bench.trainers").joinpath("recipes")
#: What ``append_eos`` may be, and what it means.
END_OF_TEXT = {
    "auto": "where a pair says that its texts are complete",
    "always": "after every text (TRL's way)",
    "never": "nowhere",
}
PROMPT_KEEPS = ("end", "start")


def _asked(default: Any, text: str, **options: Any) -> Any:
    """Return a dataclass field with its help; ``default`` may be a list."""
    metadata = {"help": text, **options}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


# ruff: noqa: RUF009 (_asked is a field)
@dataclass
class DetoxArguments:
    """The arguments that are ours. TRL's own stand in ``trl.DPOConfig`` and ``trl.ModelConfig``."""

    model: str | None = _asked(None, "The model to train: a folder, or a name on the Hub.")
    pairs: list[str] = _asked([], "Files, folders or data sets of preference pairs; any number.")
    pairs_format: str = _asked("auto", "The format of the pairs; `detox-bench pairs` lists them.")
    recipe: str | None = _asked(
        "modern", "A recipe, or the path of one: a YAML file of arguments that the others override."
    )
    validation_pairs: list[str] = _asked([], "Pairs to validate on, instead of a share of --pairs.")
    validation_share: float = _asked(
        0.05, "The share of the pairs kept for validation (0.05 in arXiv 2406.16235); 0 for none."
    )
    prompt_length: int = _asked(
        64, "The most tokens kept of a prompt. TRL has no such limit any more; the paper had 64."
    )
    prompt_keep: str = _asked(
        "end",
        "Which end of a longer prompt is kept: what stands next to the continuation matters most.",
        choices=list(PROMPT_KEEPS),
    )
    append_eos: str = _asked(
        "auto",
        "Where an end-of-text token is put after chosen and rejected. After texts that were cut it "
        "would teach the model to stop early, and toxicity would fall by silence.",
        choices=list(END_OF_TEXT),
    )
    max_dropped: float = _asked(
        0.01, "The largest share of pairs that may be left out before the run is refused."
    )
    max_contaminated: float = _asked(
        1.0, "The largest share of pairs whose prompt is an evaluation prompt; 0 refuses any."
    )
    early_stopping_patience: int = _asked(
        0, "Stop after this many evaluations without a better validation loss; 0 for never."
    )
    train_only: str | None = _asked(
        None,
        "Train only the parameters whose name this regular expression finds, e.g. `bias` (BitFit, "
        "arXiv 2106.10199): what cannot tell languages apart acts on all of them.",
    )
    merge: bool = _asked(False, "After LoRA, also write the whole model to OUTPUT_DIR/merged.")
    allow_float16: bool = _asked(
        False, "Train weights that are float16 themselves. They overflow: the rewards become NaN."
    )
    reference_cache: str | None = _asked(
        None, "The folder of reference log-probabilities kept between runs; `none` for no cache."
    )
    overwrite: bool = _asked(False, "Delete the run that is in OUTPUT_DIR, and begin anew.")
    watch_every: int = _asked(
        0, "Measure toxicity in other languages every so many steps, and at both ends; 0 for never."
    )
    watch_languages: list[str] = _asked([], "The languages to watch; a few of several scripts.")
    watch_prompts: int = _asked(8, "Prompts a language.")
    watch_samples: int = _asked(5, "Continuations a prompt.")
    watch_source: str = _asked("auto", "Where the prompts come from: rtplx, sample or auto.")
    watch_subset: str = _asked("all", "Which part of them: all, odd, even or parallel.")
    watch_scorer: str = _asked("ngram", "The scorer; `detox-bench scorers` lists them.")
    watch_target: float | None = _asked(
        None, "Stop when the mean toxicity probability over the languages is this low."
    )
    watch_perplexity: float | None = _asked(
        None, "Stop when the median perplexity under the base model is this many times its first."
    )


class Arguments(NamedTuple):
    """All arguments of one run: ours, TRL's ``DPOConfig`` and its ``ModelConfig``."""

    ours: DetoxArguments
    dpo: Any
    model: Any


def recipes() -> dict[str, str]:
    """Return the names of the recipes, each with the sentence its file begins with."""
    found = sorted(
        (entry for entry in _RECIPES.iterdir() if entry.name.endswith(".yaml")),
        key=lambda entry: entry.name,
    )
    return {
        entry.name.removesuffix(".yaml"): _headline(entry.read_text("utf-8")) for entry in found
    }


def read_recipe(name: str) -> dict[str, Any]:
    """Return the arguments of a recipe, given by name or by the path of a YAML file."""
    known = recipes()
    if name in known:
        return dict(yaml.safe_load(_RECIPES.joinpath(f"{name}.yaml").read_text("utf-8")))
    if Path(name).suffix not in (".yaml", ".yml"):
        raise unknown_name("recipe", name, known)
    return read_yaml(Path(name))


def read_yaml(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file. Raises ``BadData``."""
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadData(f"{file} is not a YAML file that can be read: {error}.") from error
    if not isinstance(content, dict):
        raise BadData(f"{file} holds no arguments: lines like `beta: 0.1` are expected.")
    return content


def parse(command_line: Sequence[str]) -> Arguments:
    """Return the arguments of a run. Raises ``DetoxBenchError`` for one that is none."""
    words, config = _without_config(command_line)
    recipe = _recipe_named(words, config)
    parser = _parser()
    for source, values in (("the machine", machine_defaults()), *recipe, *config):
        _set_defaults(parser, source, values)
    try:
        parsed = parser.parse_args_into_dataclasses(args=[*_with_aliases(words)])
    except ValueError as error:
        raise _not_valid(parser, error) from error
    return Arguments(*parsed)


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
    }


def _headline(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines).partition(". ")[0].rstrip(".") + "."


def _parser() -> Any:
    try:
        from trl import DPOConfig, ModelConfig, TrlParser
    except ImportError as error:
        raise missing_extra("train-dpo", "train") from error

    class Parser(TrlParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise ValueError(message)

    return Parser((DetoxArguments, DPOConfig, ModelConfig), prog="detox-bench train-dpo")


def _without_config(words: Sequence[str]) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
    """Return the words without ``--config FILE``, and what the file says."""
    words = [part for word in words for part in _split_equals(word)]
    if "--config" not in words:
        return words, []
    at = words.index("--config")
    if at + 1 == len(words):
        raise DetoxBenchError("--config needs the path of a YAML file.")
    file = words[at + 1]
    return words[:at] + words[at + 2 :], [(file, read_yaml(Path(file)))]


def _split_equals(word: str) -> list[str]:
    name, equals, value = word.partition("=")
    return [name, value] if equals and name.startswith("--") else [word]


def _recipe_named(
    words: Sequence[str], config: Sequence[tuple[str, dict[str, Any]]]
) -> list[tuple[str, dict[str, Any]]]:
    """Return the recipe that the command line, or else the configuration, asks for."""
    name = next((values["recipe"] for _, values in config if "recipe" in values), "modern")
    if "--recipe" in words[:-1]:
        name = words[words.index("--recipe") + 1]
    if name in (None, "none"):
        return []
    return [(f"recipe {name}", read_recipe(str(name)))]


def _with_aliases(words: Sequence[str]) -> list[str]:
    """Return the words with our short names as TRL's, and dashes as underscores."""
    return [_ALIASES.get(word, word) for word in (_underscored(word) for word in words)]


_ALIASES = {"--output": "--output_dir", "--model_name_or_path": "--model"}


def _underscored(word: str) -> str:
    return "--" + word[2:].replace("-", "_") if word.startswith("--") else word


def _set_defaults(parser: Any, source: str, values: dict[str, Any]) -> None:
    """Let ``values`` be what is not said on the command line."""
    for name in values:
        if name not in _names(parser):
            raise unknown_name(f"argument (in {source})", name, _names(parser))
    parser.set_defaults_with_config(**values)


def _names(parser: Any) -> set[str]:
    return {action.dest for action in parser._actions} - {"help"}


def _not_valid(parser: Any, error: ValueError) -> DetoxBenchError:
    """Return the error for a command line that argparse does not take."""
    message = str(error)
    unknown = next((word for word in message.split("'") if word.startswith("--")), None)
    if "not used" in message and unknown:
        return unknown_name("argument", unknown, [f"--{name}" for name in _names(parser)])
    return DetoxBenchError(f"The arguments are not right: {message.rstrip('.')}.")


def ours() -> list[tuple[str, str, Any]]:
    """Return name, help and default of each argument that is ours."""
    return [
        (each.name, str(each.metadata["help"]), getattr(DetoxArguments(), each.name))
        for each in fields(DetoxArguments)
    ]
