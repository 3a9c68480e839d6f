"""The pairs of sentences that retrieval tasks ask: the same sentence in two languages.

To support another parallel data set, add a function to ``PARALLEL``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from detox_bench.data.flores import DATA_SET, flores_sentences
from detox_bench.data.parallel_files import Column, check_equal_lengths, open_files, texts_of
from detox_bench.data.parallel_sample import SAMPLE_RELEASE, parallel_languages, sample_sentences
from detox_bench.data.prompts import load_prompts, parallel_prompts
from detox_bench.data.store import content_sha256, read_manifest
from detox_bench.errors import BadData, unknown_name
from detox_bench.languages import language as language_row


class SentencePair(NamedTuple):
    """One sentence in two languages; the id is the same in every pair of languages."""

    id: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class PairSet:
    """The pairs of two languages, and what identifies them in a result.

    ``name`` says what they really are, ``sample`` where the data asked for is not prepared;
    ``sha256`` is over ids and texts of both sides.
    """

    name: str
    release: str
    split: str
    source: str
    target: str
    sha256: str
    pairs: tuple[SentencePair, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a task asks of a data set: two languages, and what only some data sets have."""

    source: str
    target: str
    split: str = "devtest"
    folder: str | None = None
    prompts: str = "auto"


class _Sides(NamedTuple):
    """The sentences of both languages by id, in one order."""

    name: str
    release: str
    split: str
    source: Mapping[str, str]
    target: Mapping[str, str]


class Translations(NamedTuple):
    """The pairs to translate, and others to show as examples."""

    asked: PairSet
    examples: tuple[SentencePair, ...]


_SAMPLE_EXAMPLES = 12  # of the sample, which has no second split


def load_translations(source: str, target: str) -> Translations:
    """Return FLORES devtest with dev for examples; of the sample, the last sentences are those.

    Raises as ``load_pairs``.
    """
    found = load_pairs("flores", Asked(source, target))
    if found.name == "sample":
        asked = replace(found, pairs=found.pairs[:-_SAMPLE_EXAMPLES])
        return Translations(asked, found.pairs[-_SAMPLE_EXAMPLES:])
    return Translations(found, load_pairs("flores", Asked(source, target, "dev")).pairs)


def load_pairs(data: str, asked: Asked) -> PairSet:
    """Return the pairs of ``data``, a name in ``PARALLEL``, in the order of the data set.

    Raises:
        UnknownName: for a name in no table.
        BadData: for twice the same language, and where a side is missing or does not fit the other.
    """
    source, target = language_row(asked.source).code, language_row(asked.target).code
    if data not in PARALLEL:
        raise unknown_name("parallel data set", data, PARALLEL)
    if source == target:
        raise BadData(
            f"Source and target are both {source!r}, and every sentence would find itself. Set "
            "detox_source to another language, or leave the task out."
        )
    sides = PARALLEL[data](source, target, asked)
    if sides.source.keys() != sides.target.keys():
        raise BadData(
            f"{source!r} and {target!r} of {sides.name} do not hold the same sentences: "
            f"{len(sides.source):,} and {len(sides.target):,}. Prepare both from one source."
        )
    pairs = tuple(SentencePair(i, text, sides.target[i]) for i, text in sides.source.items())
    digest = content_sha256((each.id, f"{each.source}\n{each.target}") for each in pairs)
    return PairSet(sides.name, sides.release, sides.split, source, target, digest, pairs)


def _flores(source: str, target: str, asked: Asked) -> _Sides:
    """Return FLORES where it is prepared, else the sample, which has no splits."""
    if read_manifest(DATA_SET) is None:
        return _sample(source, target, asked)
    release, one = flores_sentences(source, asked.split)
    _, other = flores_sentences(target, asked.split)
    return _Sides("flores", release, asked.split, one, other)


def _sample(source: str, target: str, asked: Asked) -> _Sides:  # noqa: ARG001
    for code in (source, target):
        if code not in parallel_languages():
            raise BadData(
                f"The parallel sample has no {code!r}, only {', '.join(parallel_languages())}; for "
                "the others run `detox-bench data flores SOURCE`."
            )
    sides = (sample_sentences(source), sample_sentences(target))
    return _Sides("sample", SAMPLE_RELEASE, "all", *sides)


def _rtplx(source: str, target: str, asked: Asked) -> _Sides:
    """Return the prompts that RTP-LX has in both languages, or the sample's (``data.prompts``)."""
    prompts = parallel_prompts((source, target), asked.prompts)
    found = load_prompts(source, asked.prompts)
    ids = [f"{found.name}/{each.id.rsplit('/', 1)[-1]}" for each in prompts[source]]
    one, other = (
        dict(zip(ids, (each.text for each in prompts[code]), strict=True))
        for code in (source, target)
    )
    return _Sides(found.name, found.release, "parallel", one, other)


_ALIGNED = re.compile(r"(?:.*/)?dpo_toxicity_pairwise_(?P<language>[a-z-]+)_200\.jsonl")
_ALIGNED_COLUMN = Column(("Prompt",))
_ALIGNED_CODES = {"zh-Hans": "zh"}


def _aligned200(source: str, target: str, asked: Asked) -> _Sides:
    """Return the paper's translated prompts as they are, HTML entities and all."""
    if asked.folder is None:
        raise BadData(
            "The paper's 200 prompts are in a folder of your own: --metadata '{\"detox_folder\": "
            '"…/assets/translated_pairwise_data"}\', from BatsResearch/cross-lingual-detox.'
        )
    opened = open_files(Path(asked.folder), _ALIGNED)
    files = {
        match["language"]: each for each in opened.files if (match := _ALIGNED.fullmatch(each.name))
    }
    sides = []
    for code in (source, target):
        named = _ALIGNED_CODES.get(code, code)
        if named not in files:
            raise BadData(
                f"{opened.name} has no dpo_toxicity_pairwise_{named}_200.jsonl; it has "
                f"{', '.join(files) or 'no such file of any language'}."
            )
        sides.append((files[named].name, texts_of(files[named], _ALIGNED_COLUMN)))
    check_equal_lengths([(name, len(texts)) for name, texts in sides])
    one, other = ({f"aligned200/{n}": t for n, t in enumerate(texts)} for _, texts in sides)
    return _Sides("aligned200", opened.sha256[:12], "all", one, other)


PARALLEL: dict[str, Callable[[str, str, Asked], _Sides]] = {
    "flores": _flores,
    "rtplx": _rtplx,
    "aligned200": _aligned200,
    "sample": _sample,
}
