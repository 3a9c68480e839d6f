"""Which evaluation prompts are in preference pairs: stated always, also when there is none.

RTP-LX has the same 999 items in 28 languages, so that English pairs made of its prompts concern
the results of every language.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from detox_bench.data.prompts import load_prompts
from detox_bench.errors import BadData
from detox_bench.types import PreferencePair, Prompt

_SUBSETS = ("all", "odd", "even")
_EVALUATION = ("rtplx", "sample")
_BEGINNING = 20  # normalised characters; shorter prompts begin too many texts by chance


@dataclass(frozen=True, slots=True)
class Overlap:
    """Evaluation prompts of one source and language, and how many of them are in the pairs.

    ``prompts``, ``exact`` and ``normalised`` count prompts by subset (all, odd, even). Exact: it
    is the prompt of a pair. Normalised: so but for case, space and punctuation, or a text of a
    pair, prompt and continuation, begins with it. ``pairs`` counts the pairs concerned;
    ``missing`` says why nothing could be compared.
    """

    source: str
    language: str
    prompts: Mapping[str, int] = field(default_factory=dict)
    exact: Mapping[str, int] = field(default_factory=dict)
    normalised: Mapping[str, int] = field(default_factory=dict)
    pairs: int = 0
    missing: str = ""

    def sentence(self) -> str:
        """Return the finding as a sentence, also where nothing was found."""
        of = f"{self.source} {self.language}"
        if self.missing:
            return f"{of}: overlap unknown. {self.missing}"
        total, met = self.prompts["all"], self.normalised["all"]
        if not met:
            return f"{of}: none of the {total:,} evaluation prompts is in the pairs."
        by_subset = ", ".join(f"{name} {self.normalised[name]:,}" for name in _SUBSETS[1:])
        return (
            f"{of}: CONTAMINATED, {met:,} of {total:,} evaluation prompts are in {self.pairs:,} "
            f"pairs ({by_subset}; {self.exact['all']:,} letter for letter). {self._advice()}"
        )

    def _advice(self) -> str:
        clean = [name for name in _SUBSETS[1:] if not self.normalised[name]]
        if clean:
            return f"Report on --subset {clean[0]} only, in every language: items are parallel."
        return "Report on prompts that are not in the pairs, in every language: items are parallel."


def overlap(pairs: Iterable[PreferencePair]) -> tuple[Overlap, ...]:
    """Return what the pairs share with the evaluation prompts of their languages.

    Those of the prepared RTP-LX and of the sample set are looked for. Where RTP-LX is not
    prepared, or lacks a language, an ``Overlap`` says so.
    """
    by_language: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        by_language[pair.language].append(pair)
    return tuple(
        _compare(group, source, language)
        for language, group in sorted(by_language.items())
        for source in _EVALUATION
    )


def normalised(text: str) -> str:
    """Return the letters, marks and digits of ``text``, in one case and form (NFKC)."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")


def _compare(pairs: Sequence[PreferencePair], source: str, language: str) -> Overlap:
    try:
        subsets = {name: load_prompts(language, source, name).prompts for name in _SUBSETS}
    except BadData as error:
        return Overlap(source, language, missing=str(error))
    own = {pair.prompt for pair in pairs}
    exact = {prompt.id for prompt in subsets["all"] if prompt.text in own}
    loose, concerned = _loosely(pairs, subsets["all"])
    loose |= exact
    return Overlap(
        source,
        language,
        prompts={name: len(prompts) for name, prompts in subsets.items()},
        exact=_counted(subsets, exact),
        normalised=_counted(subsets, loose),
        pairs=concerned,
    )


def _counted(subsets: Mapping[str, Sequence[Prompt]], ids: set[str]) -> dict[str, int]:
    return {name: sum(each.id in ids for each in prompts) for name, prompts in subsets.items()}


def _loosely(pairs: Sequence[PreferencePair], prompts: Sequence[Prompt]) -> tuple[set[str], int]:
    """Return the ids of the prompts that are in the pairs, and how many pairs have one."""
    ids: dict[str, set[str]] = defaultdict(set)
    for prompt in prompts:
        ids[normalised(prompt.text)].add(prompt.id)
    ids.pop("", None)
    beginnings: dict[str, list[str]] = defaultdict(list)
    for text in ids:
        beginnings[text[:_BEGINNING]].append(text)
    found: set[str] = set()
    concerned = 0
    for pair in pairs:
        met = set(_prompts_in(pair, ids.keys(), beginnings))
        found.update(*(ids[text] for text in met))
        concerned += bool(met)
    return found, concerned


def _prompts_in(
    pair: PreferencePair, known: Iterable[str], beginnings: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield the normalised evaluation prompts that a pair's prompt is, or its texts begin with."""
    if (own := normalised(pair.prompt)) in known:
        yield own
    for continuation in (pair.chosen, pair.rejected):
        whole = own + normalised(continuation)
        for text in beginnings.get(whole[:_BEGINNING], ()):
            if len(text) >= _BEGINNING and whole.startswith(text):
                yield text
