"""What a user may say of a scorer, as typed values or as the strings of a command line."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from detox_bench.errors import DetoxBenchError, unknown_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierOptions:
    """Options of a sequence-classification scorer.

    ``toxic_label`` is a label's name or number and ``activation`` a name in ``ACTIVATIONS``;
    None finds them from the model's config. ``transfer`` are languages that the model it was
    fitted from saw, beyond the declared ``languages``. ``max_length`` is in tokens, ``batch_size``
    in texts a forward pass. ``allow_pickle`` lets a file of weights run code: only for one you
    trust.
    """

    device: str | None = None
    dtype: str = "float32"
    toxic_label: str | int | None = None
    activation: str | None = None
    languages: frozenset[str] = frozenset()
    transfer: frozenset[str] = frozenset()
    threshold: float = 0.5
    max_length: int | None = None
    batch_size: int | None = None
    revision: str | None = None
    allow_pickle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DetoxifyOptions(ClassifierOptions):
    """Options of a Detoxify scorer.

    ``checkpoint`` is a local ``.ckpt`` file, or a folder with ``config.json`` and safetensors;
    ``huggingface_config_path`` a folder with the config and tokenizer of a ``.ckpt`` (without it
    the Hub name in the checkpoint is looked up).
    """

    checkpoint: str | None = None
    huggingface_config_path: str | None = None


def read_options(kind: type[Options], scorer: str, given: Mapping[str, Any]) -> Options:
    """Return ``given`` as options; raise ``UnknownName`` for one that does not exist."""
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            raise unknown_name(f"option of scorer {scorer!r}:", name, known)
    return kind(**{name: _read(name, value) for name, value in given.items()})


def checked_version(version: str) -> str:
    """Return ``version`` if it can stand in an id. Raises ``DetoxBenchError``."""
    if not version or any(mark in "@#" or mark.isspace() for mark in version):
        raise DetoxBenchError(
            f"Scorer option version must be a word without @ and #, not {version!r}."
        )
    return version


def _read(name: str, value: Any) -> Any:
    """Return ``value`` in the type of option ``name``."""
    if value is None or name not in _READERS:
        return value
    what, read = _READERS[name]
    try:
        return read(value)
    except (KeyError, TypeError, ValueError) as error:
        raise DetoxBenchError(f"Scorer option {name} must be {what}, not {value!r}.") from error


def _codes(value: str | Iterable[str]) -> frozenset[str]:
    """Return language codes from a set, a list, or a string with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    return frozenset(part.strip() for part in parts if part.strip())


def _truth(value: Any) -> bool:
    """Return true or false."""
    return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]


def _positive(value: Any) -> int:
    """Return a whole number above 0."""
    number = int(value)
    if number < 1:
        raise ValueError(number)
    return number


def _share(value: Any) -> float:
    """Return a number from 0 to 1."""
    number = float(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(number)
    return number


def _above_zero(value: Any) -> float:
    """Return a finite number above 0."""
    number = float(value)
    if not 0.0 < number < float("inf"):
        raise ValueError(number)
    return number


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    """Return names in capital letters from a list, or a string with commas."""
    return tuple(sorted(name.upper() for name in _codes(value)))


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "allow_pickle": ("true or false", _truth),
    "archive": ("a path", str),
    "empty_as_space": ("true or false", _truth),
    "attempts": ("a whole number above 0", _positive),
    "attributes": ("names with commas between them", _names),
    "batch_size": ("a whole number above 0", _positive),
    "batch_tokens": ("a whole number above 0", _positive),
    "calibration": ("map files with commas between them", _codes),
    "checkpoint": ("a path", str),
    "connections": ("a whole number above 0", _positive),
    "controversial": ("a number from 0 to 1", _share),
    "huggingface_config_path": ("a path", str),
    "instructions": ("a path", str),
    "languages": ("language codes with commas between them", _codes),
    "least_answered": ("a number from 0 to 1", _share),
    "max_bytes": ("a whole number above 0", _positive),
    "max_length": ("a whole number above 0", _positive),
    "offline": ("true or false", _truth),
    "partial": ("true or false", _truth),
    "qps": ("a number above 0", _above_zero),
    "transfer": ("language codes with commas between them", _codes),
    "threshold": ("a number from 0 to 1", _share),
    "timeout": ("a number of seconds above 0", _above_zero),
    "version": ("a word", str),
}
