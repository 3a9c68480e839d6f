"""Gather a report: read the runs, judge them, compare each setting with the base."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench import __version__
from detox_bench.comparison import MEAN_ROWS
from detox_bench.reference_runs import reference_runs
from detox_bench.reports.agreement import Outline
from detox_bench.reports.content import (
    Compared,
    Report,
    RunAbout,
    SamplePair,
)
from detox_bench.reports.evidence import check_used, evidence_of, read_evidence
from detox_bench.reports.examples import Worst, choose, pairs, worst
from detox_bench.reports.judging import scorer_card, with_language_model
from detox_bench.reports.paper import paper_line
from detox_bench.reports.perplexities import mean_ratio, perplexity_changes
from detox_bench.reports.stores import Agreed, Setting, agree
from detox_bench.run_comparison import (
    Asked,
    Judges,
    Measured,
    compare_measured,
    load_judges,
    measure,
)
from detox_bench.run_records import versions
from detox_bench.scorers.protocol import check_validated
from detox_bench.stored_texts import PromptSamples


class Wish(NamedTuple):
    """What a report is asked for besides its runs.

    ``judging`` says how to judge; ``references`` adds the cheats of ``reference_runs``;
    ``with_samples`` the worst continuations; ``evidence`` names files of other commands;
    ``command`` is how the report is made again.
    """

    judging: Asked
    force: bool = False
    references: bool = False
    with_samples: bool = False
    evidence: Sequence[Path] = ()
    title: str | None = None
    command: str = ""


class _Base(NamedTuple):
    """The base model, measured, with all that the others are compared by.

    ``prompts`` are the texts of prompts by id as far as they are known; ``chosen`` and ``worst``
    are empty where no samples are shown.
    """

    about: RunAbout
    measured: Measured
    judges: Judges
    agreed: Agreed
    prompts: Mapping[str, str]
    chosen: Mapping[str, Sequence[str]]
    worst: Mapping[str, Worst]


def gather(base: Setting, settings: Sequence[Setting], wish: Wish) -> Report:
    """Measure and compare, and return everything that a report says.

    Raises ``DetoxBenchError`` for runs that may not be compared, as ``agree`` says, for evidence of
    other models, and as ``load_judges`` and ``read_samples``.
    """
    evidence = read_evidence(wish.evidence)
    judges = load_judges(wish.judging._replace(perplexity_model=None, prompts=None))
    agreed = agree(base.stores[0], settings, judges, wish.force)
    samples = agreed.take(base.stores[0])
    if wish.judging.strict:  # before a model is loaded
        runs = (agreed.base, *chain.from_iterable(agreed.others))
        check_validated(judges.scorer, {code for each in runs for code in each.signatures})
    judges, prompts, remarks = with_language_model(judges, wish.judging, agreed.base, samples)
    before = _measured_base(base.name, samples, judges, agreed, prompts, wish.with_samples)
    compared = [
        _compared(before, setting, outlines, evidence)
        for setting, outlines in zip(settings, agreed.others, strict=True)
    ]
    used = [_evidence(each) for each in compared]
    check_used(wish.evidence, evidence, used)
    if wish.references:
        compared += _references(before, samples)
    record = agreed.base.record
    return Report(
        title=wish.title or f"{base.name}: was it really detoxified?",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        base=before.about,
        compared=compared,
        scorer=scorer_card(judges, sorted(before.measured.metrics)),
        settings=agreed.rows,
        signatures={code: str(each) for code, each in agreed.base.signatures.items()},
        disagreements=agreed.overruled,
        commands=_commands(before.about, compared, wish.command),
        versions=versions(),
        perplexity_model=None if judges.language_model is None else _judge_name(wish, record.model),
        paper=paper_line(record.model),
        with_samples=wish.with_samples,
        remarks=remarks,
    )


def _measured_base(
    name: str,
    samples: Sequence[PromptSamples],
    judges: Judges,
    agreed: Agreed,
    prompts: Mapping[str, str],
    with_samples: bool,
) -> _Base:
    measured = measure(samples, name, judges)
    chosen = choose(measured.metrics) if with_samples else {}
    shown = worst(samples, chosen, judges) if with_samples else {}
    about = _about(name, [agreed.base])
    return _Base(about, measured, judges, agreed, prompts, chosen, shown)


def _compared(
    base: _Base,
    setting: Setting,
    outlines: Sequence[Outline],
    evidence: Sequence[Mapping[str, Any]],
) -> Compared:
    """Measure the runs of one setting, one after the other, and compare them with the base."""
    measured: list[Measured] = []
    shown: Mapping[str, Sequence[SamplePair]] = {}
    for number, store in enumerate(setting.stores):
        samples = base.agreed.take(store)
        name = setting.name if len(setting.stores) == 1 else f"{setting.name} ({store})"
        measured.append(measure(samples, name, base.judges))
        if base.chosen and not number:
            shown = _shown(base, samples)
    about = _about(setting.name, outlines)
    found = evidence_of(about.identity, base.about.identity, evidence)
    return _row(base, about, measured, shown, found)


def _references(base: _Base, samples: Sequence[PromptSamples]) -> Iterator[Compared]:
    """Yield the cheats, judged and compared as if they were models."""
    for name, made in reference_runs(samples, base.prompts).items():
        shown = _shown(base, made) if base.chosen else {}
        measured = [measure(made, name, base.judges)]
        yield _row(base, RunAbout(name, (), None), measured, shown, {}, is_reference=True)


def _row(
    base: _Base,
    about: RunAbout,
    measured: Sequence[Measured],
    shown: Mapping[str, Sequence[SamplePair]],
    evidence: Mapping[str, Mapping[str, Any]],
    is_reference: bool = False,
) -> Compared:
    found = compare_measured(base.measured, measured, common=bool(base.agreed.overruled))
    codes = [row.language for row in found.rows if row.language not in MEAN_ROWS]
    return Compared(
        about=about,
        rows=found.rows,
        verdicts=found.verdicts,
        perplexity=perplexity_changes(found, codes),
        mean_perplexity_ratio=mean_ratio(found),
        doubts=list(dict.fromkeys(found.doubts)),
        suppression=evidence.get("suppression"),
        capability=evidence.get("capability"),
        samples=shown,
        is_reference=is_reference,
    )


def _shown(base: _Base, samples: Sequence[PromptSamples]) -> dict[str, list[SamplePair]]:
    return pairs(base.chosen, base.worst, worst(samples, base.chosen, base.judges), base.prompts)


def _about(name: str, outlines: Sequence[Outline]) -> RunAbout:
    """Return what is known of a setting, from the first of its runs; commands of all."""
    first = outlines[0].record
    commands = [each.record.command for each in outlines if each.record.command]
    return RunAbout(
        name,
        tuple(str(each.record.store) for each in outlines),
        first.model,
        first.identity,
        first.generation,
        tuple(dict.fromkeys(commands)),
        first.versions,
    )


def _evidence(compared: Compared) -> Mapping[str, Mapping[str, Any]]:
    found = {"suppression": compared.suppression, "capability": compared.capability}
    return {kind: each for kind, each in found.items() if each is not None}


def _commands(base: RunAbout, compared: Sequence[Compared], own: str) -> list[str]:
    """Return what to type for the same report, in order, as far as it is known."""
    runs = [command for each in (base, *(c.about for c in compared)) for command in each.commands]
    return list(dict.fromkeys([*runs, *([own] if own else [])]))


def _judge_name(wish: Wish, base_model: str | None) -> str | None:
    """Return what the page calls the model of perplexity: of a folder, the end of its path."""
    name = wish.judging.perplexity_model or base_model
    return Path(name).name if name and Path(name).exists() else name
