"""Preference pairs: ``read_pairs`` reads every format of ``FORMATS``, ``write_pairs`` writes ours.

What cannot be read (no JSON, a missing field, a field that is no text) is refused, with file and
line. What can be read but teaches nothing (an empty text, two identical ones, a pair that repeats
another after both were cut) is left out, counted in ``PairSet.left_out``, and its first places are
kept; what is sound but not wanted by a format (``legacy`` takes no long pairs, ``rtplx`` none that
the raters found mild) is counted in ``PairSet.filtered``. To support another format, add a reader
and its row to ``FORMATS``.
"""

import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.data.preference_datasets import HUB, SAVED, read_dataset
from detox_bench.data.preference_formats import (
    lee_rows,
    read_lee,
    read_legacy,
    read_paradetox,
    read_plain,
)
from detox_bench.data.preference_rows import Draft, ReadOptions, first_row
from detox_bench.data.preference_rtplx import read_rtplx
from detox_bench.data.preference_text import Cut, word_cut
from detox_bench.errors import BadData, DetoxBenchError, unknown_name
from detox_bench.languages import language as language_row
from detox_bench.types import PreferencePair

__all__ = ["FORMATS", "PairFormat", "PairSet", "ReadOptions", "read_pairs", "write_pairs"]

_PLACES = 5
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no tokenizer takes it


class PairFormat(NamedTuple):
    """A row of ``FORMATS``: what ``auto`` knows it by, its reader, and whether both are cut."""

    keys: frozenset[str]
    read: Callable[[Any, ReadOptions], Iterator[Draft]]
    cuts: bool = False


FORMATS: dict[str, PairFormat] = {
    "lee": PairFormat(frozenset({"prompt_text", "unpert_gen_text", "pert_gen_text"}), read_lee),
    "legacy": PairFormat(frozenset(), read_legacy),
    "plain": PairFormat(frozenset({"prompt", "chosen", "rejected"}), read_plain),
    "dataset": PairFormat(frozenset(), read_dataset),
    "rtplx": PairFormat(frozenset({"Prompt", "Completion", "BenignCompletion"}), read_rtplx, True),
    "paradetox": PairFormat(frozenset({"toxic", "neutral"}), read_paradetox, True),
}


@dataclass(frozen=True, slots=True)
class PairSet:
    """Pairs as they were read, and what was left out or changed on the way.

    ``left_out`` counts defects, ``filtered`` what the format's own filter took out, ``changed``
    what was changed, each by reason; ``places`` names the first five places of each reason that a
    pair is missing for; ``fingerprint`` is the sha256 of the content, whatever file it lay in.
    """

    pairs: tuple[PreferencePair, ...]
    format: str
    fingerprint: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    filtered: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def n_left_out(self) -> int:
        """Return how many pairs were left out for a defect."""
        return sum(self.left_out.values())

    @property
    def n_filtered(self) -> int:
        """Return how many sound pairs the format's own filter took out."""
        return sum(self.filtered.values())


def read_pairs(
    path: str | Path,
    pairs_format: str = "auto",
    cut: Cut | None = None,
    options: ReadOptions | None = None,
) -> PairSet:
    """Return the preference pairs in a file, a folder, or a data set of the Hub.

    Args:
        path: where they are; ``hub:owner/name[:split]`` for the Hub.
        pairs_format: a name in ``FORMATS``, or ``auto`` to tell by names and keys.
        cut: cuts chosen and rejected to one length where the format asks for it (``rtplx``,
            ``paradetox``; everywhere with ``options.cut_all``): ``preference_text.token_cut`` of
            the model's tokenizer; by words, or characters in unspaced scripts, if not given.
        options: what each format lets one choose.

    Raises:
        UnknownName: for a format, language or subset in no table.
        BadData: for what cannot be read, with file and line, and where no pair is left.
    """
    chosen = options or ReadOptions()
    name = _detect(path) if pairs_format == "auto" else pairs_format
    if name not in FORMATS:
        raise unknown_name("pairs format", name, [*FORMATS, "auto"])
    row = FORMATS[name]
    given = path if str(path).startswith(HUB) else Path(path)
    cuts = row.cuts or chosen.cut_all
    found = _sort_out(row.read(given, chosen), _cutter(cut, chosen) if cuts else None)
    if not found.pairs:
        out = {**found.left_out, **found.filtered}
        why = ", ".join(f"{n} {reason}" for reason, n in out.items()) or "it has no rows"
        raise BadData(f"{path} has no pair to learn from: {why}. Give another file or format.")
    return replace(found, format=name)


def write_pairs(path: Path, pairs: Iterable[PreferencePair]) -> None:
    """Write the format ``plain``: the file is the old one or the whole new one.

    Raises ``DetoxBenchError`` where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(pair)) + "\n" for pair in pairs)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise DetoxBenchError(
            f"Cannot write {path}: {error.strerror or error}. Name another --output."
        ) from error


def fingerprint(pairs: Iterable[PreferencePair]) -> str:
    """Return the sha256 over texts, languages and completeness, in order; ids do not matter."""
    digest = hashlib.sha256()
    for pair in pairs:
        content = [pair.prompt, pair.chosen, pair.rejected, pair.language, pair.complete]
        digest.update(json.dumps(content).encode() + b"\n")
    return digest.hexdigest()


def _cutter(cut: Cut | None, options: ReadOptions) -> Callable[[PreferencePair], PreferencePair]:
    def cut_one(pair: PreferencePair) -> PreferencePair:
        own = cut or word_cut(language_row(pair.language).spaced, options.most_units)
        chosen, rejected = own(pair.chosen, pair.rejected)
        whole = (chosen, rejected) == (pair.chosen, pair.rejected)
        return replace(pair, chosen=chosen, rejected=rejected, complete=pair.complete and whole)

    return cut_one


def _sort_out(
    drafts: Iterable[Draft], cut: Callable[[PreferencePair], PreferencePair] | None
) -> PairSet:
    """Cut what is to be cut, leave out what teaches nothing, and count both."""
    kept: dict[str, PreferencePair] = {}
    contents: set[tuple[str, str, str]] = set()
    changed: Counter[str] = Counter()
    places: dict[str, list[str]] = defaultdict(list)
    filters: set[str] = set()
    for draft in drafts:
        filters.update([draft.filtered] if draft.filtered else [])
        reason = draft.filtered or draft.reason or _useless(draft.pair)
        pair = cut(draft.pair) if cut and not reason else draft.pair
        content = (pair.prompt, pair.chosen, pair.rejected)
        repeated = "repeated pair" if cut and content in contents else None
        if reason := reason or _useless(pair) or repeated:
            places[reason].append(draft.place)
            continue
        if pair.id in kept:
            raise BadData(f"{draft.place}: the id {pair.id!r} was used before. Give each its own.")
        kept[pair.id] = pair
        contents.add(content)
        changed.update(draft.changed)
        changed["cut to one length"] += pair != draft.pair
    counts = {reason: len(found) for reason, found in places.items()}
    return PairSet(
        pairs=tuple(kept.values()),
        format="",
        fingerprint=fingerprint(kept.values()),
        left_out={reason: n for reason, n in counts.items() if reason not in filters},
        filtered={reason: n for reason, n in counts.items() if reason in filters},
        changed=dict(+changed),
        places={reason: tuple(found[:_PLACES]) for reason, found in places.items()},
    )


def _useless(pair: PreferencePair) -> str | None:
    if not pair.chosen.strip():
        return "empty chosen"
    if not pair.rejected.strip():
        return "empty rejected"
    if pair.chosen == pair.rejected:
        return "identical chosen and rejected"
    broken = any(_SURROGATE.search(each) for each in (pair.prompt, pair.chosen, pair.rejected))
    return "broken Unicode" if broken else None


def _detect(path: str | Path) -> str:
    """Return the format that names or keys tell. Raises ``BadData`` with what was found."""
    place = Path(path)
    if str(path).startswith(HUB) or place.suffix.lower() in {".parquet", ".csv"}:
        return "dataset"
    if place.is_dir() and any((place / name).is_file() for name in SAVED):
        return "dataset"
    if place.suffix.lower() == ".zip" or (place.is_dir() and any(place.glob("RTP_LX_*"))):
        return "rtplx"
    row = first_row(lee_rows(place), place)
    for name, known in FORMATS.items():
        if known.keys and known.keys <= row.fields.keys():
            return name
    keys = ", ".join(sorted(map(str, row.fields))[:8]) or "none"
    wanted = "; ".join(f"{n}: {', '.join(sorted(r.keys))}" for n, r in FORMATS.items() if r.keys)
    raise BadData(
        f"{row.place}: these fields are of no format known: {keys}. Known are {wanted}. Rename "
        "the fields, or name a --pairs-format."
    )
