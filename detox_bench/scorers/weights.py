"""A model folder on disk: is it one, which files hold its weights, and their SHA-256."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from detox_bench.errors import ScorerUnavailable

SAFETENSORS = "model*.safetensors"
PICKLED = "pytorch_model*.bin"
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
    """Return the files with the weights, safetensors before pickled ones.

    Raises ``ScorerUnavailable`` if there are none, or only pickled ones that are not allowed.
    """
    safe = sorted(folder.glob(SAFETENSORS))
    pickled = sorted(folder.glob(PICKLED))
    if safe or (pickled and allow_pickle):
        return safe or pickled
    if pickled:
        raise ScorerUnavailable(
            f"{scorer} has its weights only as a pickle ({pickled[0].name}), which can run code "
            "when loaded. Convert it to safetensors, or pass allow_pickle=true if you trust it."
        )
    raise ScorerUnavailable(
        f"{scorer}: no weights (model*.safetensors) are in {folder} ({_listing(folder)})."
    )


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
