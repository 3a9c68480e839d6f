"""The scorers ``guard:<repository or folder>``: generative safety classifiers, safely loaded.

How they are asked is in ``scorers.guard_families``, what their answer counts in ``scorers.guard``;
the languages and licences of the published ones are rows of ``scorers.table``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detox_bench.errors import ScorerUnavailable, unknown_name
from detox_bench.guard_prompts import GuardPrompt, make_prompt
from detox_bench.modeling.likelihood import BATCH_TOKENS, Continuation, log_probabilities
from detox_bench.modeling.loading import load_causal_model
from detox_bench.runs import digest
from detox_bench.scorers.classifier import DTYPES
from detox_bench.scorers.guard import GuardScorer
from detox_bench.scorers.guard_families import (
    GuardFamily,
    GuardOptions,
    guard_family,
    read_guard_options,
)
from detox_bench.scorers.huggingface import is_hub_name
from detox_bench.scorers.source import Source
from detox_bench.scorers.table import SCORERS
from detox_bench.scorers.weights import (
    SAFETENSORS,
    check_model_folder,
    folder_hashes,
    weight_files,
)

#: What a model of the Hub is fetched as: weights without code, settings, tokenizer, chat template.
_FILES = (SAFETENSORS, "*.json", "*.jinja", "*.txt", "*.model")
#: Tokens a forward pass by type of device; a cache of them is held for every label.
_BATCH_TOKENS = {"cpu": BATCH_TOKENS, "cuda": 16384}


class Location(NamedTuple):
    """Where a model lies, the name of the scorer over it, and its commit (or "local")."""

    folder: Path
    name: str
    revision: str


@dataclass(slots=True)
class ModelLabels:
    """A causal language model that is asked for the log-probabilities of a prompt's labels."""

    model: Any
    prompt: GuardPrompt
    max_length: int
    batch_tokens: int
    truncated: int = 0

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self.model.device)

    @property
    def dtype(self) -> str:
        """The type of its weights."""
        return str(self.model.dtype).removeprefix("torch.")

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the natural log-probability of each label's tokens, ``(n_texts, n_labels)``."""
        fitted = [self.prompt.fit(text, self.max_length) for text in texts]
        asked = [
            Continuation(each.tokens, label) for each in fitted for label in self.prompt.labels
        ]
        found = log_probabilities(self.model, asked, self.batch_tokens)
        self.truncated += sum(each.cut for each in fitted)
        sums = [float(np.sum(values, dtype=np.float64)) for values in found]
        step = len(self.prompt.labels)
        return [sums[start : start + step] for start in range(0, len(sums), step)]


def load_guard(repository: str, **options: Any) -> GuardScorer:
    """Return the scorer over a safety classifier of the Hub or in a local folder.

    ``options`` are the fields of ``scorers.guard_families.GuardOptions``. Nothing of the model is
    executed: safetensors only, and never remote code.

    Raises ``ScorerUnavailable`` with what was found where the model cannot be used.
    """
    chosen = read_guard_options(options)
    spec = f"guard:{repository}"
    if chosen.dtype is not None and chosen.dtype not in DTYPES:
        raise unknown_name("dtype", chosen.dtype, DTYPES)
    family = guard_family(chosen.family or _known_family(repository), chosen, spec)
    folder, name, revision = _locate(repository, spec, chosen.revision)
    check_model_folder(folder, spec)
    weights = weight_files(folder, spec, allow_pickle=False)
    loaded = load_causal_model(str(folder), chosen.device, chosen.dtype)
    prompt = make_prompt(loaded.tokenizer, family, spec)
    reader = _reader(loaded.model, prompt, min(loaded.window, chosen.max_length), chosen, spec)
    source = Source(spec, name, revision, *folder_hashes(folder, weights))
    return GuardScorer(source, chosen, family, reader, _settings(family, reader, chosen))


def _known_family(repository: str) -> str | None:
    """Return the family of a published model, by its whole name or as the name of a folder."""
    last = Path(repository).name
    rows = (row for row in SCORERS.values() if row.prefix == "guard" and not row.family)
    return next((row.options["family"] for row in rows if Path(row.name).name == last), None)


def _locate(repository: str, spec: str, revision: str | None) -> Location:
    """Return the model's folder, fetched where it is a name of the Hub."""
    folder = Path(repository).expanduser()
    if folder.exists():
        if revision:
            raise ScorerUnavailable(f"{spec} is a folder: it has no revision {revision!r}.")
        return Location(folder, f"guard:{folder.resolve().name}", "local")
    if not is_hub_name(repository):
        raise ScorerUnavailable(
            f"{spec}: there is no folder {folder}, and it is no name of a repository either."
        )
    snapshot = _snapshot(repository, spec, revision)
    return Location(snapshot, spec, snapshot.name)


def _snapshot(repository: str, spec: str, revision: str | None) -> Path:
    """Return the folder of a repository in the Hub's cache, fetching what is not there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ScorerUnavailable(
            f"{spec} is neither a folder here nor in the Hub's cache, and the Hub did not give "
            f"it: {told}. Check the name, or download the model and pass its folder."
        ) from error


def _reader(
    model: Any, prompt: GuardPrompt, longest: int, options: GuardOptions, spec: str
) -> ModelLabels:
    """Return what asks ``model``. Raises ``ScorerUnavailable`` where no text would fit."""
    if longest <= prompt.least:
        raise ScorerUnavailable(
            f"{spec}: the prompt alone has {prompt.least} tokens, of {longest} that it may have "
            "with its text. Give a larger max_length, or a model with a longer window."
        )
    usual = _BATCH_TOKENS.get(model.device.type, _BATCH_TOKENS["cuda"])
    return ModelLabels(model, prompt, longest, options.batch_tokens or usual)


def _settings(family: GuardFamily, reader: ModelLabels, options: GuardOptions) -> dict[str, Any]:
    """Return what a score depends on beside the weights."""
    return {
        "family": family.name,
        "labels": dict(zip(family.names, family.labels.values(), strict=True)),
        "prompt_sha256": digest([reader.prompt.rendered, family.answer]),
        "max_length": reader.max_length,
        "least_answered": options.least_answered,
        "dtype": reader.dtype,
    }
