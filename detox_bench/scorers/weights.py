"""A model on disk: is it one, which files hold its weights, and the SHA-256 of it all."""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import ScorerUnavailable

SAFETENSORS = "model*.safetensors"
PICKLED = "pytorch_model*.bin"
_PICKLE_START = b"\x80"
#: What transformers looks for, in this order; an index names the shards beside it.
_SAFE_NAMES = ("model.safetensors", "model.safetensors.index.json")
_PICKLED_NAMES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
#: One of these holds a vocabulary; without any of them transformers makes an empty tokenizer.
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
)
#: Whatever else in a folder decides how a text is read and what the weights make of it.
_SETUP_FILES = (
    "config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "bpe.codes",
    "*.model",
    "*.spm",
    "adapter_*",
)
#: Facts of a loaded config or tokenizer that change no score: where it lay, who wrote it.
_CHANGES_NOTHING = ("_name_or_path", "transformers_version", "is_local", "local_files_only")


class Hashes(NamedTuple):
    """The SHA-256 of a model's weights, and of its config and tokenizer together."""

    weights_sha256: str
    setup_sha256: str


def check_model_folder(folder: Path, scorer: str) -> None:
    """Raise ``ScorerUnavailable`` unless ``folder`` holds a config and a tokenizer."""
    if not folder.is_dir():
        raise ScorerUnavailable(f"{scorer}: there is no folder {folder}.")
    for what, names in (("config.json", ("config.json",)), ("tokenizer", TOKENIZER_FILES)):
        if not any((folder / name).is_file() for name in names):
            raise ScorerUnavailable(
                f"{scorer}: {folder} holds no {what} ({_listing(folder)}). "
                "Give a folder written by save_pretrained of the model and of its tokenizer."
            )


def weight_files(folder: Path, scorer: str, allow_pickle: bool) -> list[Path]:
    """Return the files with the weights that transformers loads, safetensors before pickled ones.

    Raises ``ScorerUnavailable`` if there are none, or only pickled ones that are not allowed.
    """
    safe = _first_of(folder, (*_named_in_config(folder), *_SAFE_NAMES), scorer)
    pickled = _first_of(folder, _PICKLED_NAMES, scorer)
    if safe or (pickled and allow_pickle):
        return safe or pickled
    if pickled:
        raise ScorerUnavailable(
            f"{scorer} has its weights only as a pickle ({pickled[0].name}), which can run code "
            "when loaded. Convert it to safetensors, or pass allow_pickle=true if you trust it."
        )
    raise ScorerUnavailable(
        f"{scorer}: no weights (model.safetensors, or model.safetensors.index.json with its "
        f"shards) are in {folder} ({_listing(folder)})."
    )


def _named_in_config(folder: Path) -> list[str]:
    """Return the file of weights that the config asks for, if it asks for one."""
    try:
        named = json.loads((folder / "config.json").read_text("utf-8")).get("transformers_weights")
    except (OSError, ValueError, AttributeError):
        return []  # the loading itself says what is wrong with the config
    return [named] if isinstance(named, str) else []


def _first_of(folder: Path, names: Sequence[str], scorer: str) -> list[Path]:
    """Return the first file of ``names`` that is there, an index as the shards it names."""
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        return []
    return _shards(found, scorer) if found.name.endswith(".index.json") else [found]


def _shards(index: Path, scorer: str) -> list[Path]:
    """Return the shards an index names. Raises ``ScorerUnavailable`` unless all are there."""
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        shards = [index.parent / name for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScorerUnavailable(f"{scorer}: {index} names no shards: fetch it again.") from error
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing or not shards:
        raise ScorerUnavailable(
            f"{scorer}: {index} names {len(shards)} shards, of which {len(missing)} are not there "
            f"({', '.join(missing[:3]) or 'none'}). Fetch the model again."
        )
    return shards


def read_checkpoint(path: Path, scorer: str, allow_pickle: bool) -> Any:
    """Return what is in a checkpoint: plain tensors and containers, unless pickles are allowed.

    Raises ``ScorerUnavailable`` for a file that is damaged, or that can run code when loaded.
    """
    import pickle

    import torch

    if not zipfile.is_zipfile(path) and _first_byte(path) != _PICKLE_START:
        raise ScorerUnavailable(
            f"{scorer}: {path} is no file that torch.save wrote, or only a part of one. "
            "Fetch it again, or give another."
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=not allow_pickle)
    except pickle.UnpicklingError as error:
        raise ScorerUnavailable(
            f"{scorer}: {path} holds more than tensors and plain values, so loading it can run "
            "code. Pass allow_pickle=true if you trust it."
        ) from error
    except (EOFError, OSError, RuntimeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ScorerUnavailable(f"{scorer}: {path} cannot be read: {first}.") from error


def _first_byte(path: Path) -> bytes:
    """Return the first byte of a file."""
    with path.open("rb") as file:
        return file.read(1)


def folder_hashes(folder: Path, weights: Sequence[Path]) -> Hashes:
    """Return the hashes of a model folder whose weights are in the files ``weights``."""
    return Hashes(sha256_of(weights), _sha256_of_json(_setup(folder)))


def loaded_sha256(config: Any, tokenizer: Any) -> str:
    """Return the SHA-256 of a loaded transformers config and the tokenizer's serialised form."""
    with tempfile.TemporaryDirectory() as temporary:
        tokenizer.save_pretrained(temporary)
        files = _setup(Path(temporary))
        written = json.loads((Path(temporary) / "tokenizer_config.json").read_text("utf-8"))
    facts = {"config.json": config.to_dict(), "tokenizer_config.json": written}
    return _sha256_of_json({**files, **{name: _of_score(fact) for name, fact in facts.items()}})


def _setup(folder: Path) -> dict[str, Any]:
    """Return the SHA-256 of each file in ``folder`` with the config or the tokenizer."""
    paths = {path for pattern in _SETUP_FILES for path in folder.glob(pattern) if path.is_file()}
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _of_score(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that may change a score."""
    return {name: fact for name, fact in facts.items() if name not in _CHANGES_NOTHING}


def _sha256_of_json(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of ``facts`` as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def sha256_of(files: Sequence[Path]) -> str:
    """Return the SHA-256 of one file, or of the digests of several joined in order."""
    digests = [_digest(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


@cache
def _digest(path: Path, _modified: int, _size: int) -> str:
    """Return the SHA-256 of a file, kept in memory while its time and size stay."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _listing(folder: Path) -> str:
    """Return up to five names in ``folder`` for an error."""
    names = sorted(path.name for path in folder.iterdir())
    more = ", …" if len(names) > 5 else ""
    return f"found: {', '.join(names[:5])}{more}" if names else "it is empty"
