"""The terms of the scorer ``ngram``: the project's own lists, as hashes, and outside lists.

The project wrote lists of insults, profanity and hostile words for the 28 languages; the package
holds only their hashes (``ngram_terms.npz``). To extend them, write lists of your own and run

    python -m detox_bench.scorers.build_terms LISTS

where each line of ``LISTS/*.txt`` is a language, a tier from 1 to 3, a colon and terms:
``en 2: stupid* "old fool"``. They are added to the hashes that are there.
"""

import argparse
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from detox_bench.languages import LANGUAGES
from detox_bench.scorers.build_weights import pack_terms
from detox_bench.scorers.ngram import unpack_terms
from detox_bench.scorers.ngram_terms import Terms, read_terms, select_terms

TERMS_FILE = "ngram_terms.npz"
LISTED_TIER = 4
_CODES_OF_LISTS = {"no": "nb", "zh": "zh-Hans"}


def own_terms() -> dict[str, Terms]:
    """Return the terms in the package, by language."""
    with (
        files("detox_bench.scorers").joinpath(TERMS_FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        arrays = {name: stored[name] for name in stored.files}
    return {code: unpack_terms(arrays, number) for number, code in enumerate(LANGUAGES)}


def listed_terms(folder: Path) -> dict[str, Terms]:
    """Return the terms of a folder of word lists, a file a language, a term a line (LDNOOBW)."""
    found = {}
    for file in sorted(folder.iterdir()):
        code = _CODES_OF_LISTS.get(file.name, file.name)
        if code in LANGUAGES:
            lines = file.read_text("utf-8").split("\n")
            tiers = {line.strip(): LISTED_TIER for line in lines if line.strip()}
            found[code] = read_terms(tiers, LANGUAGES[code].spaced)
    found["zh-Hant"] = found["zh-Hans"]
    return found


def with_listed(own: Mapping[str, Terms], listed: Mapping[str, Terms]) -> dict[str, Terms]:
    """Return both; a term that is in ``own`` keeps its tier there."""
    return {
        code: merged(terms, listed[code]) if code in listed else terms
        for code, terms in own.items()
    }


def merged(first: Terms, second: Terms) -> Terms:
    """Return the terms of both, sorted; those of ``first`` where both have one."""
    joined = Terms(
        hashes=np.concatenate([first.hashes, second.hashes]),
        kinds=np.concatenate([first.kinds, second.kinds]),
        tiers=np.concatenate([first.tiers, second.tiers]),
        lengths=np.concatenate([first.lengths, second.lengths]),
    )
    keys = np.stack([joined.kinds.astype(np.uint64), joined.hashes], axis=1)
    _, places = np.unique(keys, axis=0, return_index=True)
    return select_terms(joined, places)


def read_lists(folder: Path) -> dict[str, Terms]:
    """Return the terms of the lists in ``folder``, by language."""
    tiers: dict[str, dict[str, int]] = defaultdict(dict)
    for file in sorted(folder.glob("*.txt")):
        for line in file.read_text("utf-8").split("\n"):
            head, _, terms = line.partition(":")
            if terms:
                code, tier = head.split()
                tiers[code] |= dict.fromkeys(shlex.split(terms), int(tier))
    return {code: read_terms(own, LANGUAGES[code].spaced) for code, own in tiers.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Add the lists of a folder to the terms in the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lists", type=Path)
    new = read_lists(parser.parse_args(arguments).lists)
    target = Path(__file__).parent / TERMS_FILE
    old = own_terms() if target.exists() else {code: read_terms({}, True) for code in LANGUAGES}
    both = {code: merged(new[code], old[code]) if code in new else old[code] for code in LANGUAGES}
    np.savez_compressed(target, allow_pickle=False, **pack_terms(both))


if __name__ == "__main__":
    main()
