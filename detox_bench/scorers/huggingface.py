"""The scorer ``hf:<repository or folder>``: any sequence-classification model, safely loaded."""

import re
from pathlib import Path
from typing import Any

from detox_bench.errors import ScorerUnavailable
from detox_bench.scorers.classifier import ClassifierScorer, build_classifier
from detox_bench.scorers.options import ClassifierOptions, read_options
from detox_bench.scorers.source import Source
from detox_bench.scorers.weights import (
    PICKLED,
    SAFETENSORS,
    TOKENIZER_FILES,
    check_model_folder,
    folder_hashes,
    weight_files,
)

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_SMALL_FILES = ("*config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")


def load_classifier(repository: str, **options: Any) -> ClassifierScorer:
    """Return the scorer over a model of the Hub or in a local folder.

    ``options`` are the fields of ``ClassifierOptions``. Nothing of the model is executed:
    safetensors only unless ``allow_pickle``, and never remote code.

    Raises ``ScorerUnavailable`` with what was found where the model cannot be used.
    """
    chosen = read_options(ClassifierOptions, "hf", options)
    spec = f"hf:{repository}"
    folder, name, revision = _locate(repository, spec, chosen)
    check_model_folder(folder, spec)
    files = weight_files(folder, spec, chosen.allow_pickle)
    model, tokenizer = load_folder(folder, spec, pickled=files[0].suffix == ".bin")
    source = Source(spec, name, revision, *folder_hashes(folder, files))
    return build_classifier(source, model, tokenizer, config_labels(model.config), chosen)


def is_hub_name(repository: str) -> bool:
    """Return whether ``repository`` means one of the Hub: no path here, and formed like one."""
    here = Path(repository).expanduser().exists()
    return not here and _REPOSITORY.fullmatch(repository) is not None


def config_labels(config: Any) -> list[str]:
    """Return the label names of a transformers config, in the order of its outputs."""
    return [str(config.id2label[index]) for index in sorted(config.id2label)]


def load_folder(folder: Path, spec: str, pickled: bool = False) -> tuple[Any, Any]:
    """Return the model (float32) and the tokenizer in ``folder``; a missing head is an error."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=not pickled,
            local_files_only=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ScorerUnavailable(f"{spec} cannot be loaded from {folder}: {_line(error)}") from error
    check_complete(report["missing_keys"], spec)
    return model, tokenizer


def check_complete(missing: Any, spec: str) -> None:
    """Raise ``ScorerUnavailable`` if weights are missing: transformers makes up random ones."""
    if missing:
        raise ScorerUnavailable(
            f"{spec} is no trained sequence classifier: the weights of "
            f"{', '.join(sorted(missing)[:3])} are missing. Give a model with a trained "
            "classification head."
        )


def _locate(repository: str, spec: str, options: ClassifierOptions) -> tuple[Path, str, str]:
    """Return the model's folder, the scorer's name and its revision."""
    folder = Path(repository).expanduser()
    if folder.exists():
        if options.revision:
            raise ScorerUnavailable(f"{spec} is a folder: it has no revision {options.revision!r}.")
        return folder, f"hf:{folder.resolve().name}", "local"
    if not is_hub_name(repository):
        raise ScorerUnavailable(
            f"{spec}: there is no folder {folder}, and it is no name of a repository either."
        )
    snapshot = _snapshot(repository, spec, options)
    return snapshot, spec, snapshot.name


def _snapshot(repository: str, spec: str, options: ClassifierOptions) -> Path:
    """Return the folder of a repository in the Hub's cache, fetching what is not there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = [*_SMALL_FILES, *TOKENIZER_FILES, SAFETENSORS, f"{SAFETENSORS}.index.json"]
    if options.allow_pickle:
        wanted += [PICKLED, f"{PICKLED}.index.json"]
    try:
        return Path(snapshot_download(repository, revision=options.revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ScorerUnavailable(
            f"{spec} is neither a folder here nor in the Hub's cache, and the Hub did not give "
            f"it: {_line(error)} Check the name, or download the model and pass its folder."
        ) from error


def _line(error: Exception) -> str:
    """Return the first line of an error, as a sentence."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
    return first if first.endswith(".") else f"{first}."
