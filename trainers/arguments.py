"""What `train-dpo` asks beside the arguments of TRL, and the recipes that set them.

To add a recipe, write ``recipes/<name>.yaml``; its first comment says what it is.
"""

from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from detox_bench.errors import BadData, unknown_name

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
    pairs_format: str = _asked("auto", "Their format; `detox-bench pairs make --help` lists them.")
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
    watch_languages: list[str] = _asked([], "The languages to watch (en ar de hi ru zh-Hans).")
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


def ours() -> list[tuple[str, str, Any]]:
    """Return name, help and default of each argument that is ours."""
    return [
        (each.name, str(each.metadata["help"]), getattr(DetoxArguments(), each.name))
        for each in fields(DetoxArguments)
    ]


def _headline(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines).partition(". ")[0].rstrip(".") + "."
