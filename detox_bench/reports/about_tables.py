"""What the report says of how it was made: the scorer, the settings, and how to repeat it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from detox_bench.reports.cells import Cell, Column, Row, Table, language_row, number, number_cell
from detox_bench.reports.content import Report, RunAbout, ScorerCard, SettingRow
from detox_bench.reports.toxicity_tables import why_unsound


class Recipe(NamedTuple):
    """How something is made again: what it is, and the commands."""

    title: str
    commands: tuple[str, ...]


def scorer_table(scorer: ScorerCard) -> Table:
    """Return what is known of the scorer in each language."""
    columns = [Column("language", numeric=False), Column("coverage", numeric=False)]
    columns += [Column("AUC"), Column("valid", numeric=False)]
    rows = [
        language_row(
            row.language,
            [
                Cell(row.coverage),
                number_cell(row.auc),
                _valid(row.valid, why_unsound(row, scorer.least_auc)),
            ],
            muted=not row.valid,
        )
        for row in scorer.rows
    ]
    on = scorer.validated_on or "no labelled data"
    notes = (
        f"A text is toxic from {number(scorer.threshold, 2)} on. AUC against people's labels on "
        f"{on}; valid from {number(scorer.least_auc, 2)} on.",
    )
    return Table(f"Scorer {scorer.id}", columns, rows, notes=notes)


def settings_table(report: Report) -> Table:
    """Return the fields of the signatures: the base's value, and which runs differ."""
    columns = [Column(heading, numeric=False) for heading in ("setting", "base", "runs")]
    names = [each.about.name for each in report.compared for _ in each.about.stores]
    rows = [Row([Cell(row.field), Cell(row.base), _others(row, names)]) for row in report.settings]
    return Table("Settings of the runs", columns, rows)


def signatures_table(report: Report) -> Table:
    """Return the signature of each language."""
    columns = [Column("language", numeric=False), Column("signature", numeric=False)]
    rows = [language_row(code, [Cell(value)]) for code, value in report.signatures.items()]
    return Table("Signatures", columns, rows)


def identity_table(report: Report) -> Table:
    """Return what each model is: weights, precision, seed, and the versions of packages."""
    columns = [Column(heading, numeric=False) for heading in ("run", "field", "value")]
    rows = [
        Row([Cell(about.name), Cell(name), Cell(value)])
        for about in abouts(report)
        for name, value in _facts(about)
    ]
    rows += [Row([Cell("this report"), Cell(n), Cell(v)]) for n, v in report.versions.items()]
    return Table("Models, hashes and versions", columns, rows)


def recipes(report: Report) -> list[Recipe]:
    """Return the commands of the report and of each run, where they are known."""
    made = [Recipe("This report", tuple(report.commands))]
    made += [Recipe(about.name, about.commands) for about in abouts(report)]
    return [recipe for recipe in made if recipe.commands]


def abouts(report: Report) -> list[RunAbout]:
    """Return the base and the runs."""
    return [report.base, *(each.about for each in report.compared)]


def _facts(about: RunAbout) -> Iterable[tuple[str, str]]:
    yield from [("model", about.model)] if about.model else []
    yield from (("store", store) for store in about.stores)
    for group in (about.identity, about.generation, about.versions):
        yield from _flat(group)


def _flat(found: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)


def _valid(valid: bool, reason: str) -> Cell:
    return Cell("yes") if valid else Cell("no", reason)


def _others(row: SettingRow, names: list[str]) -> Cell:
    if row.agrees:
        return Cell("the same")
    differing = [
        f"{name}: {value}"
        for name, value in zip(names, row.others, strict=True)
        if value != row.base
    ]
    return Cell(f"✗ differs – {'; '.join(differing)}", tone="sign")
