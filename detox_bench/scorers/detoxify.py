"""The scorers ``detoxify:<variant>``: the models of the detoxify package, also without a network.

The package resolves the architecture of a local checkpoint by its Hub name and unpickles it
unsafely. Here a checkpoint is read as plain tensors, its config and tokenizer come from a folder
where one is given, and a list of texts is always a list.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detox_bench.errors import DetoxBenchError, ScorerUnavailable, missing_extra, unknown_name
from detox_bench.scorers.classifier import ClassifierScorer, build_classifier
from detox_bench.scorers.huggingface import check_complete, config_labels, load_folder
from detox_bench.scorers.options import DetoxifyOptions, read_options
from detox_bench.scorers.source import Source
from detox_bench.scorers.weights import (
    Hashes,
    check_model_folder,
    folder_hashes,
    loaded_sha256,
    read_checkpoint,
    sha256_of,
    weight_files,
)

_SIX = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
_SEVEN = (
    "toxicity",
    "severe_toxicity",
    "obscene",
    "identity_attack",
    "insult",
    "threat",
    "sexual_explicit",
)
#: The outputs of each published variant, in order (detoxify 0.5.4).
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "original": _SIX,
    "original-small": _SIX,
    "unbiased": _SEVEN,
    "unbiased-small": _SEVEN,
    "multilingual": _SEVEN,
}
#: Detoxify's own renaming of the labels of its first data set.
_RENAMED = {
    "toxic": "toxicity",
    "identity_hate": "identity_attack",
    "severe_toxic": "severe_toxicity",
}
#: The classes a checkpoint may name; anything else in transformers is refused.
_ARCHITECTURES = tuple(
    f"{family}ForSequenceClassification" for family in ("Albert", "Bert", "Roberta", "XLMRoberta")
)
_TOKENIZERS = tuple(
    f"{family}Tokenizer{fast}"
    for family in ("Albert", "Auto", "Bert", "Roberta", "XLMRoberta")
    for fast in ("", "Fast")
    if family + fast != "AutoFast"
)
_LIBRARIES = ("detoxify", "torch", "transformers")


def load_detoxify(variant: str, **options: Any) -> ClassifierScorer:
    """Return the scorer of a published variant, or of the checkpoint file or folder ``variant``.

    ``options`` are the fields of ``DetoxifyOptions``. The value is the probability of
    ``toxicity``; the others are attributes.

    Raises ``MissingExtra`` without the detoxify package, ``ScorerUnavailable`` where the
    checkpoint, its config or its tokenizer cannot be had.
    """
    chosen = read_options(DetoxifyOptions, "detoxify", options)
    _require_package()
    spec = f"detoxify:{variant}"
    if variant in VARIANTS:
        path = Path(chosen.checkpoint).expanduser() if chosen.checkpoint else _published(variant)
        name = spec
    else:
        path = Path(variant).expanduser()
        name = f"detoxify:{path.stem}"
    if not path.exists():
        raise ScorerUnavailable(f"{spec}: there is no checkpoint {path}.")
    load = _from_folder if path.is_dir() else _from_checkpoint
    model, tokenizer, labels, hashes = load(path, spec, chosen)
    revision = "local" if chosen.checkpoint or name != spec else _release(variant)
    return build_classifier(
        Source(spec, name, revision, *hashes, _LIBRARIES), model, tokenizer, labels, chosen
    )


def as_detoxify(scorer: ClassifierScorer) -> Any:
    """Return a ``detoxify.Detoxify`` over the same model, for its ``predict``."""
    from detoxify import Detoxify

    made = Detoxify.__new__(Detoxify)
    made.model, made.tokenizer = scorer.classifier.model, scorer.classifier.tokenizer
    made.class_names, made.device = list(scorer.labels), scorer.device
    return made


def _require_package() -> None:
    """Raise ``MissingExtra`` unless detoxify is installed."""
    try:
        import detoxify  # noqa: F401
    except ImportError as error:
        raise missing_extra("Scorer 'detoxify'", "detoxify") from error


def _from_folder(
    folder: Path, spec: str, options: DetoxifyOptions
) -> tuple[Any, Any, list[str], Hashes]:
    """Return model, tokenizer, labels and hashes of a folder in the Hub's layout."""
    check_model_folder(folder, spec)
    files = weight_files(folder, spec, options.allow_pickle)
    model, tokenizer = load_folder(folder, spec, pickled=files[0].suffix == ".bin")
    labels = _labels(config_labels(model.config), spec)
    return model, tokenizer, labels, folder_hashes(folder, files)


def _labels(labels: list[str], spec: str) -> list[str]:
    """Return Detoxify's names of ``labels``; a published variant names unnamed outputs."""
    if any(not label.startswith("LABEL_") for label in labels):
        return [_RENAMED.get(label, label) for label in labels]
    names = VARIANTS.get(spec.partition(":")[2], ())
    if not names or len(labels) < len(names):
        raise ScorerUnavailable(
            f"{spec}: the config names no labels ({len(labels)} outputs), and those of "
            f"{spec} do not fit. Put id2label into its config.json."
        )
    return list(names)


def _from_checkpoint(
    path: Path, spec: str, options: DetoxifyOptions
) -> tuple[Any, Any, list[str], Hashes]:
    """Return model, tokenizer, labels and hashes of a file in Detoxify's own format."""
    loaded = read_checkpoint(path, spec, options.allow_pickle)
    try:
        classes = loaded["config"]["dataset"]["args"]["classes"]
        arch = loaded["config"]["arch"]["args"]
        architecture, n_outputs = arch["model_name"], int(arch["num_classes"])
        tokenizer_name, hub_name = arch["tokenizer_name"], arch["model_type"]
        weights = loaded["state_dict"]
    except (KeyError, TypeError, ValueError) as error:
        raise ScorerUnavailable(
            f"{spec}: {path} is no checkpoint of Detoxify, which holds 'state_dict' and 'config' "
            f"with the architecture and the classes ({error} is not there)."
        ) from error
    source = options.huggingface_config_path or hub_name
    model = _model(architecture, source, n_outputs, weights, spec)
    tokenizer = _tokenizer(tokenizer_name, source, spec)
    hashes = Hashes(sha256_of([path]), loaded_sha256(model.config, tokenizer))
    return model, tokenizer, [_RENAMED.get(name, name) for name in classes], hashes


def _model(architecture: str, source: str, n_outputs: int, weights: Any, spec: str) -> Any:
    """Return the model of a checkpoint, its config from a folder or the Hub."""
    import transformers

    if architecture not in _ARCHITECTURES:
        raise unknown_name("Detoxify architecture", architecture, _ARCHITECTURES)
    kind = getattr(transformers, architecture)
    try:
        config = kind.config_class.from_pretrained(
            source, num_labels=n_outputs, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise _no_config(source, spec) from error
    config.problem_type = "multi_label_classification"
    model, report = kind.from_pretrained(
        None,
        config=config,
        state_dict=weights,
        trust_remote_code=False,
        output_loading_info=True,
    )
    check_complete(report["missing_keys"], spec)
    return model


def _tokenizer(tokenizer_name: str, source: str, spec: str) -> Any:
    """Return the tokenizer of a checkpoint from a folder or the Hub."""
    import transformers

    if tokenizer_name not in _TOKENIZERS:
        raise unknown_name("Detoxify tokenizer", tokenizer_name, _TOKENIZERS)
    if Path(source).is_dir():
        check_model_folder(Path(source), spec)
    try:
        kind = getattr(transformers, tokenizer_name)
        return kind.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _no_config(source, spec) from error


def _no_config(source: str, spec: str) -> DetoxBenchError:
    """Return the error for a config or tokenizer that cannot be had."""
    return ScorerUnavailable(
        f"{spec} needs the config and tokenizer of {source!r}, which are neither a folder here, "
        "nor in the Hub's cache, nor did the Hub give them. Pass huggingface_config_path=FOLDER "
        "with config.json and the tokenizer's files."
    )


def _published(variant: str) -> Path:
    """Return the published checkpoint in torch's cache, fetched if it is not there."""
    import torch
    from detoxify.detoxify import MODEL_URLS

    url = str(MODEL_URLS[variant])
    path: Path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path))
    except OSError as error:
        raise ScorerUnavailable(
            f"detoxify:{variant} could not be fetched from {url}: {error}. "
            "Pass checkpoint=FILE if you have it."
        ) from error
    return path


def _release(variant: str) -> str:
    """Return the release of a published checkpoint, e.g. ``v0.4-alpha``."""
    from detoxify.detoxify import MODEL_URLS

    return str(MODEL_URLS[variant]).split("/")[-2]
