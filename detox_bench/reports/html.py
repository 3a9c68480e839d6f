"""The report as one HTML file that loads nothing: text, tables and figures, styles and script."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from detox_bench.comparison import HEADLINE
from detox_bench.reports import about_tables, evidence_tables, quality_tables, toxicity_tables
from detox_bench.reports.cells import Cell, Column, Table, number, short_name
from detox_bench.reports.content import Compared, Report, SamplePair
from detox_bench.reports.figures_of_run import forests, plane
from detox_bench.reports.fonts import NATIVE_NAMES
from detox_bench.reports.svg import element
from detox_bench.summary import COLUMNS

#: How long the blurred strip before a hidden text is at most, in letters.
_DECOY = 90


class Group(NamedTuple):
    """Neighbouring columns under one heading."""

    heading: str
    width: int


class SampleGroup(NamedTuple):
    """The samples of a language, with the scores in words."""

    language: str
    name: str
    native: str
    pairs: Sequence[SamplePair]
    scores: Sequence[tuple[str, str]]

    @property
    def search(self) -> str:
        """What it is found by."""
        return f"{self.language} {self.name} {self.native}".lower()


class RunView(NamedTuple):
    """A run as the page shows it."""

    anchor: str
    compared: Compared
    counts: Sequence[toxicity_tables.VerdictCount]
    headline: Table
    toxicity: Table
    signs: Table
    text: Table
    forests: Sequence[Markup]
    plane: Markup | None
    suppression: Sequence[Table]
    capability: Sequence[Table]
    samples: Sequence[SampleGroup]


def render_html(report: Report) -> str:
    """Return the page; it holds a text of a model only if ``report.with_samples``."""
    style, script = (
        read_template("report.css"),
        read_template("page.js") + read_template("report.js"),
    )
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            threshold=number(report.scorer.threshold, 2),
            runs=[_run(each, report, place) for place, each in enumerate(report.compared, 1)],
            summary=toxicity_tables.runs_table(report),
            paper=toxicity_tables.paper_table(report.paper) if report.paper else None,
            verdicts=quality_tables.verdicts_table(),
            thresholds=quality_tables.thresholds_table(),
            scorer=about_tables.scorer_table(report.scorer),
            settings=about_tables.settings_table(report),
            signatures=about_tables.signatures_table(report),
            identity=about_tables.identity_table(report),
            recipes=about_tables.recipes(report),
            forest_names=[COLUMNS[name] for name in HEADLINE],
            no_suppression=evidence_tables.NO_SUPPRESSION,
            no_capability=evidence_tables.NO_CAPABILITY,
            style=Markup(style),
            script=Markup(script),
            style_hash=policy_hash(style),
            script_hash=policy_hash(script),
        )
    )


def environment() -> Environment:
    """Return what renders our templates: everything is escaped, a name that is missing raises."""
    made = Environment(
        loader=FunctionLoader(read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers: dict[str, Any] = {
        "bars": bars,
        "bidi": bidi,
        "code": code,
        "decoy": decoy,
        "grouped": grouped,
        "sort_key": sort_key,
    }
    made.globals.update(helpers)
    return made


def read_template(name: str) -> str:
    """Return the text of a file of ``templates``."""
    return files("detox_bench.reports").joinpath("templates", name).read_text("utf-8")


def bidi(text: str) -> Markup:
    """Return a name of any script so that it does not turn what stands around it."""
    return Markup(f"<bdi>{escape(text)}</bdi>")


def bars(shares: tuple[float, float]) -> Markup:
    """Return two bars, before above after; the numbers stand beside them as text."""
    before, after = (round(100 * min(max(share, 0.0), 1.0), 1) for share in shares)
    return element(
        "svg",
        element("rect", class_="before", x=0, y=0, width=before, height=4),
        element("rect", class_="after", x=0, y=5, width=after, height=4),
        class_="bars",
        viewBox="0 0 100 9",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def code(text: str) -> Markup:
    """Return a sentence in which what stands between backticks is code."""
    parts = text.split("`")
    return Markup("").join(
        element("code", part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def decoy(text: str) -> str:
    """Return a strip as long as the text's beginning, without any letter of it."""
    return "".join(" " if letter.isspace() else "▒" for letter in text[:_DECOY]) or "▒"


def grouped(columns: Sequence[Column]) -> list[Group]:
    """Return the headings above the columns, empty where a column has none."""
    return [Group(name, len(list(part))) for name, part in groupby(columns, lambda c: c.group)]


def sort_key(cell: Cell, numeric: bool) -> str:
    """Return what a cell is sorted by: in a column of numbers empty where there is none."""
    if cell.sort is None:
        return "" if numeric else cell.text.lower()
    return repr(cell.sort) if isinstance(cell.sort, float) else cell.sort


def _run(compared: Compared, report: Report, place: int) -> RunView:
    scorer, anchor = report.scorer, f"run-{place}"
    return RunView(
        anchor=anchor,
        compared=compared,
        counts=toxicity_tables.verdict_counts(compared),
        headline=toxicity_tables.headline(compared, scorer),
        toxicity=toxicity_tables.toxicity_table(compared, scorer),
        signs=quality_tables.signs_table(compared, report.perplexity_model),
        text=quality_tables.text_table(compared, scorer.id),
        forests=forests(compared, scorer.id, anchor),
        plane=plane(compared, scorer.id, f"{anchor}-plane"),
        suppression=evidence_tables.suppression_tables(compared.suppression or {}),
        capability=evidence_tables.capability_tables(compared.capability or {}),
        samples=_samples(compared, scorer.id) if report.with_samples else (),
    )


def _samples(compared: Compared, scorer_id: str) -> list[SampleGroup]:
    return [
        SampleGroup(
            language,
            short_name(language),
            NATIVE_NAMES.get(language, ""),
            pairs,
            [(_score(p.base_score, scorer_id), _score(p.other_score, scorer_id)) for p in pairs],
        )
        for language, pairs in compared.samples.items()
    ]


def _score(value: float | None, scorer_id: str) -> str:
    return "unscored" if value is None else f"{number(value, 2)} by {scorer_id}"


def policy_hash(text: str) -> str:
    """Return what a content security policy calls a text that may run or style."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
