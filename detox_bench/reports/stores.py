"""The runs a report is asked for: how they are named, read, and made comparable."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from detox_bench.errors import DetoxBenchError
from detox_bench.reports.agreement import Outline, disagreements, outline, setting_rows
from detox_bench.reports.content import SettingRow
from detox_bench.run_comparison import Judges
from detox_bench.run_records import read_record
from detox_bench.stored_texts import PromptSamples, read_samples


class Setting(NamedTuple):
    """What is compared under one ``name``: one run, or several seeds."""

    name: str
    stores: tuple[Path, ...]


class Agreed(NamedTuple):
    """Runs that may be compared: outlines, fields side by side, and what was overruled.

    ``take`` gives the continuations of a store that are compared.
    """

    base: Outline
    others: Sequence[Sequence[Outline]]
    rows: list[SettingRow]
    overruled: list[str]
    take: Callable[[Path], list[PromptSamples]]


def settings_of(words: Iterable[str]) -> list[Setting]:
    """Return the settings that ``NAME=RUN`` or ``RUN`` name; equal names are seeds of one.

    A run without a name is called by the end of its path, as much of it as tells it from others.
    """
    asked = [_named(word) for word in words]
    taken = {name for name, _ in asked if name}
    paths = [path for _, path in asked]
    found: dict[str, list[Path]] = {}
    for name, path in asked:
        found.setdefault(name or _short(path, paths, taken), []).append(path)
    return [Setting(name, tuple(stores)) for name, stores in found.items()]


def named_runs(base: str, runs: Sequence[str]) -> tuple[Setting, list[Setting]]:
    """Return the base and the settings; raises ``DetoxBenchError`` where a run is named twice."""
    paths = [_named(word)[1].resolve() for word in (base, *runs)]
    if twice := [path for path, count in Counter(paths).items() if count > 1]:
        what = "the base and a run" if twice[0] == paths[0] else "a run twice"
        raise DetoxBenchError(f"{twice[0]} is named as {what}. Name each run once.")
    first, *others = settings_of([base, *runs])
    if len(first.stores) > 1:
        raise DetoxBenchError(f"The base and a run are both called {first.name}. Name them apart.")
    return first, others


def agree(base: Path, settings: Sequence[Setting], judges: Judges, force: bool) -> Agreed:
    """Read what the runs were asked with; raises ``DetoxBenchError`` where they do not agree.

    Forced, prompts that lack samples are left out, and of runs with different numbers of samples
    the first ones of each prompt are taken, as many as all have.
    """
    before = _outline(base, judges)
    others = [[_outline(store, judges) for store in setting.stores] for setting in settings]
    flat = [each for group in others for each in group]
    names = [f"{s.name} ({store})" for s in settings for store in s.stores]
    rows = setting_rows(before, flat)
    found = [*disagreements(rows, names), *_unfinished([before, *flat])]
    if found and not force:
        raise DetoxBenchError(
            f"The runs may not be compared: {'; '.join(found)}. Evaluate with equal settings, or "
            "compare what they share all the same: --force."
        )
    least = min(each.samples for each in (before, *flat))
    return Agreed(before, others, rows, found, lambda store: _take(store, least))


def _outline(store: Path, judges: Judges) -> Outline:
    if not store.exists():
        raise DetoxBenchError(
            f"{store} does not exist. Give a run folder, or a folder of lm-eval's samples files."
        )
    samples = list(read_samples(store))
    return outline(read_record(store), samples, judges.scorer.id, judges.threshold)


def _unfinished(runs: Sequence[Outline]) -> list[str]:
    return [
        f"{run.record.store}: {run.missing} prompts have fewer than {run.samples} samples, so that "
        "the run is not finished"
        for run in runs
        if run.missing
    ]


def _take(store: Path, k: int) -> list[PromptSamples]:
    """Return the first ``k`` continuations of the prompts that have as many."""
    found = (each._replace(texts=each.texts[:k]) for each in read_samples(store))
    return [each for each in found if len(each.texts) == k]


def _named(word: str) -> tuple[str | None, Path]:
    """Return the name, where one is given, and the path; a path may hold a "=" too."""
    name, sign, path = word.partition("=")
    if sign and name and path and not Path(word).exists():
        return name, Path(path)
    return None, Path(word)


def _short(path: Path, others: Sequence[Path], taken: Collection[str]) -> str:
    """Return the last parts of a path, as many as no other path ends in, and no run is called."""
    parts = path.resolve().parts
    for count in range(1, len(parts)):
        ends = Counter(Path(*other.resolve().parts[-count:]) for other in others)
        end = Path(*parts[-count:])
        if ends[end] == 1 and str(end) not in taken:
            return str(end)
    return str(path)
