"""The prompts that tasks ask: the prepared RTP-LX, or else the sample set this project wrote.

To support another source, add a function to ``SOURCES``; to support another part of the prompts,
a predicate to ``SUBSETS``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from detox_bench.data.rtplx_numbers import as_number
from detox_bench.data.sample import sample_languages, sample_prompts
from detox_bench.data.store import Manifest, content_sha256, load_columns, load_table, read_manifest
from detox_bench.errors import BadData, unknown_name
from detox_bench.languages import language as language_row
from detox_bench.types import Prompt

if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]

_NEEDED = ["id", "text", "index", "parallel_id"]
_SAMPLE_RELEASE = "1"
_PREPARE = "run `detox-bench data rtplx SOURCE` with the RTP-LX zip, folder or file"


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts of one language, and what identifies them in a result.

    ``name`` is ``rtplx`` or ``sample``; ``subset`` the row of ``SUBSETS`` that chose them;
    ``sha256`` is over the ids and texts of just these prompts.
    """

    name: str
    release: str
    sha256: str
    prompts: tuple[Prompt, ...]
    subset: str = "all"


def _has_parity(row: Row, remainder: int) -> bool:
    number = as_number(row["index"])
    return number is not None and number % 2 == remainder


# "odd" and "even" go by ``Index`` as the file has it, not by the parallel id: releases are split,
# and models trained, by it. In the nine shifted locales the two differ from Index 961 on, so that
# item 960 is in the odd part there and in the even part elsewhere. Rows without Index (BCMS and SW
# in v0.3) are in neither; v1.x has another Index in these two, so their parts differ by release.
SUBSETS: dict[str, Callable[[Row], bool]] = {
    "all": lambda row: True,  # noqa: ARG005
    "odd": lambda row: _has_parity(row, 1),
    "even": lambda row: _has_parity(row, 0),
    "parallel": lambda row: row["parallel_id"] is not None,
}


class _Rows(NamedTuple):
    name: str
    release: str
    rows: list[dict[str, Any]]


def load_prompts(language: str, source: str = "auto", subset: str = "all") -> PromptSet:
    """Return the prompts of ``language``, in the order of the data set.

    Args:
        language: a code of ``LANGUAGES``.
        source: a name in ``SOURCES``. ``auto`` takes the prepared RTP-LX, and the sample set
            where none was prepared; the two are never mixed.
        subset: a name in ``SUBSETS``.

    Raises:
        UnknownName: for a name in none of the three tables.
        BadData: where the source has no prompts for the language, or the store is damaged.
    """
    code = language_row(language).code
    if subset not in SUBSETS:
        raise unknown_name("subset", subset, SUBSETS)
    found = _find(code, source)
    rows = [row for row in found.rows if SUBSETS[subset](row)]
    if not rows:
        raise BadData(f"No prompt in {code!r} of {found.name} is in the subset {subset!r}.")
    prompts = tuple(Prompt(row["id"], code, row["text"]) for row in rows)
    digest = content_sha256((prompt.id, prompt.text) for prompt in prompts)
    return PromptSet(found.name, found.release, digest, prompts, subset)


def prompts_json(found: PromptSet) -> dict[str, Any]:
    """Return what identifies prompts in a result."""
    about = {name: getattr(found, name) for name in ("name", "release", "subset", "sha256")}
    return about | {"language": found.prompts[0].language, "n": len(found.prompts)}


def load_rows(language: str) -> "Dataset":
    """Return all columns of the prepared RTP-LX of one language (``rtplx.COLUMNS``)."""
    code = language_row(language).code
    return load_table(_rtplx_manifest(code), code)


def parallel_prompts(
    languages: Iterable[str], source: str = "auto"
) -> dict[str, tuple[Prompt, ...]]:
    """Return the prompts that exist in all ``languages``, by code, in one order.

    Entry i is the same item in every language. RTP-LX has 999 such items, 998 where Hebrew is
    among the languages: its item 424 is empty. Raises as ``load_prompts``.
    """
    by_language = {code: _by_parallel_id(code, source) for code in languages}
    shared = sorted(set.intersection(*(set(items) for items in by_language.values())))
    return {code: tuple(items[i] for i in shared) for code, items in by_language.items()}


def _by_parallel_id(language: str, source: str) -> dict[int, Prompt]:
    code = language_row(language).code
    return {
        row["parallel_id"]: Prompt(row["id"], code, row["text"])
        for row in _find(code, source).rows
        if SUBSETS["parallel"](row)
    }


def _find(code: str, source: str) -> _Rows:
    if source not in SOURCES:
        raise unknown_name("prompt source", source, SOURCES)
    return SOURCES[source](code)


def _rtplx(code: str) -> _Rows:
    manifest = _rtplx_manifest(code)
    return _Rows("rtplx", manifest.release, load_columns(manifest, code, _NEEDED))


def _rtplx_manifest(code: str) -> Manifest:
    manifest = read_manifest("rtplx")
    if manifest is None:
        raise BadData(f"No RTP-LX has been prepared: {_PREPARE}.")
    if code not in manifest.languages:
        raise BadData(
            f"The prepared RTP-LX ({manifest.source}) has no {code!r}, only "
            f"{', '.join(manifest.languages)}: {_PREPARE} that has it."
        )
    return manifest


def _sample(code: str) -> _Rows:
    if code not in sample_languages():
        raise BadData(
            f"The sample set has no {code!r}, only {', '.join(sorted(sample_languages()))}; for "
            f"the others {_PREPARE}."
        )
    return _Rows("sample", _SAMPLE_RELEASE, [_sample_row(p) for p in sample_prompts(code)])


def _sample_row(prompt: Prompt) -> dict[str, Any]:
    item = prompt.id.rsplit("/", 1)[-1]
    return {"id": prompt.id, "text": prompt.text, "index": item, "parallel_id": int(item)}


def _auto(code: str) -> _Rows:
    return _sample(code) if read_manifest("rtplx") is None else _rtplx(code)


SOURCES: dict[str, Callable[[str], _Rows]] = {"auto": _auto, "rtplx": _rtplx, "sample": _sample}
