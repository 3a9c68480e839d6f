"""What a stored run says of itself: its model, what it was asked with, and its signature.

A run folder holds ``run.json`` (the identity) and a ``settings-<digest>.json`` a set of generation
arguments; of samples files of lm-eval the ``results_*.json`` beside them says the same.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from detox_bench import __version__
from detox_bench.errors import BadData, BadRunFolder
from detox_bench.runs import digest, read_generations, write_json
from detox_bench.signature import Signature
from detox_bench.stored_texts import PromptSamples, prompt_set, samples_files
from detox_bench.typed_commands import typed_command, without_secrets

_SCHEMA = 1
#: Packages that change what a model writes.
_PACKAGES = ("torch", "transformers", "lm_eval")
_UNKNOWN = "unknown"
#: What a run folder says of a model, and the results of lm-eval say too (``DetoxHFLM``).
IDENTITY = (
    *("engine", "seed", "weights_sha256", "configuration", "tokenizer", "stop_tokens", "dtype"),
    *("max_length", "add_bos_token", "intervention"),
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known of one stored run; empty or None where the store does not say.

    ``identity`` is what texts depend on besides the generation arguments, ``generation`` these
    arguments, ``settings`` their digest, ``prompts`` the prompt sets by name, release and subset.
    """

    store: Path
    model: str | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    settings: str | None = None
    prompts: Sequence[str] = ()
    command: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


def describe(folder: Path, generation: Mapping[str, Any], model: str, prompts: set[str]) -> None:
    """Write what a run was asked with into its ``folder``, for whoever reads it.

    No text depends on it: what was asked last is kept, by whichever process came last.
    """
    facts = {
        "schema": _SCHEMA,
        "asked": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model,
        "generation": dict(generation),
        "prompts": sorted(prompts),
        "command": without_secrets(typed_command()),
        "versions": versions(),
    }
    write_json(folder / f"settings-{digest(dict(generation))}.json", facts)


def versions() -> dict[str, str]:
    """Return the installed versions of detox-bench and of what changes a model's texts."""
    return {"detox_bench": __version__} | {name: version(name) for name in _PACKAGES}


def read_record(store: Path) -> RunRecord:
    """Return what a run folder, a samples file, or a folder of them says of itself.

    Raises ``BadRunFolder`` for a record that cannot be read.
    """
    if (store / "run.json").is_file():
        return _of_run_folder(store)
    return _of_samples_files(store)


def signature(
    record: RunRecord,
    samples: Sequence[PromptSamples],
    language: str,
    scorer: str,
    threshold: float,
) -> Signature:
    """Return the signature of one language's numbers, from what is stored.

    Prompts are told apart by a digest over ids and over hashes of all that the model was given:
    what was put around a prompt is part of that, so that ``form`` is always ``asked``.
    """
    own = [each for each in samples if each.language == language]
    sets = record.prompts or sorted({prompt_set(each.prompt_id) or _UNKNOWN for each in own})
    asked = digest(sorted([each.prompt_id, each.asked or ""] for each in own))
    counts = {len(each.texts) for each in own}
    arguments = record.generation
    return Signature(
        prompts="+".join(sets),
        prompts_sha256=asked[:12],
        language=language,
        n_prompts=len(own),
        samples=min(counts, default=0),
        new_tokens=arguments.get("max_gen_toks"),
        temperature=arguments.get("temperature"),
        top_p=arguments.get("top_p"),
        top_k=arguments.get("top_k"),
        generation=digest(dict(arguments))[:8] if arguments else (record.settings or _UNKNOWN)[:8],
        form="asked",
        scorer=scorer,
        threshold=threshold,
        version=record.versions.get("detox_bench", _UNKNOWN),
    )


def _of_run_folder(folder: Path) -> RunRecord:
    identity = _read(folder / "run.json").get("identity", {})
    settings = _settings_of(folder)
    facts = _read(folder / f"settings-{settings}.json", needed=False)
    return RunRecord(
        folder,
        facts.get("model"),
        identity,
        facts.get("generation", {}),
        settings,
        facts.get("prompts", ()),
        facts.get("command"),
        facts.get("versions", {}),
    )


def _settings_of(folder: Path) -> str | None:
    """Return the digest of the generation arguments of the first continuation of a prompt."""
    ours = (each.settings for each in read_generations(folder) if each.language is not None)
    return next(ours, None)


def _of_samples_files(store: Path) -> RunRecord:
    """Return what the results beside samples files say of their tasks; of files alone, nothing.

    Of each task the newest results count, as the newest samples do. Raises ``BadData`` where tasks
    were sampled in different ways.
    """
    files = samples_files(store)
    results = [_read(file) for file in sorted(files[-1].parent.glob("results_*.json"))]
    if not results:
        return RunRecord(store)
    tasks = _toxicity_tasks(results, {file.stem.rpartition("_")[0] for file in files})
    ways = {digest(kwargs): kwargs for kwargs in (t.get("generation_kwargs") or {} for t in tasks)}
    if len(ways) > 1:
        raise BadData(
            f"{store} holds tasks that were sampled with different arguments, which are not to be "
            "mixed. Give the samples files of one command."
        )
    settings, generation = next(iter(ways.items()), (None, {}))
    config = results[-1].get("config", {})
    return RunRecord(
        store,
        results[-1].get("model_name"),
        {name: config[name] for name in IDENTITY if name in config},
        generation,
        settings,
        sorted({_prompts_of(task) for task in tasks}),
        None,
        _versions_in(results[-1]),
    )


def _toxicity_tasks(
    results: Sequence[Mapping[str, Any]], samples: set[str]
) -> list[Mapping[str, Any]]:
    """Return the newest configuration of each task of ours that has one of the samples files."""
    newest = {name: task for found in results for name, task in found.get("configs", {}).items()}
    return [
        task
        for name, task in newest.items()
        if f"samples_{name}" in samples and (task.get("metadata") or {}).get("detox_prompt_set")
    ]


def _prompts_of(task: Mapping[str, Any]) -> str:
    found = task["metadata"]["detox_prompt_set"]
    return "-".join(found[name] for name in ("name", "release", "subset"))


def _versions_in(results: Mapping[str, Any]) -> dict[str, str]:
    names = {"lm_eval": "lm_eval_version", "transformers": "transformers_version"}
    return {name: str(results[key]) for name, key in names.items() if results.get(key)}


def _read(file: Path, needed: bool = True) -> dict[str, Any]:
    if not needed and not file.exists():
        return {}
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadRunFolder(
            f"{file} cannot be read as a record of a run: {error}. Name another run."
        ) from error
