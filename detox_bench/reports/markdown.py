"""The report as GitHub flavoured Markdown: the same tables, all strings of others escaped."""

import re
from collections.abc import Iterable, Iterator
from html import escape as escape_html

from detox_bench.reports import about_tables, evidence_tables, quality_tables, toxicity_tables
from detox_bench.reports.cells import Cell, Column, Row, Table, number, short_name
from detox_bench.reports.content import Compared, Report, SamplePair
from detox_bench.reports.markdown_text import escaped


def render_markdown(report: Report) -> str:
    """Return the report; it holds a text of a model only if ``report.with_samples``."""
    return "\n\n".join(_parts(report)) + "\n"


def markdown_table(found: Table) -> str:
    """Return a table with its caption above and its notes below."""
    if not found.rows:
        return f"**{escaped(found.caption)}**: –"
    lines = [f"**{escaped(found.caption)}**", ""]
    lines.append(_line(map(_heading, found.columns)))
    lines.append(_line("---:" if column.numeric else "---" for column in found.columns))
    lines += [_row(each) for each in found.rows]
    lines += [_row(each, strong=True) for each in found.foot]
    return "\n".join([*lines, *(f"\n{escaped(note)}" for note in found.notes)])


def _parts(report: Report) -> Iterator[str]:
    yield f"# {escaped(report.title)}"
    yield f"detox-bench {escaped(report.version)}, {escaped(report.created)}"
    runs = ", ".join(escaped(each.about.name) for each in report.compared)
    yield (
        f"Base {escaped(report.base.name)} against {runs}. Toxicity by "
        f"{escaped(report.scorer.id)}, toxic from {number(report.scorer.threshold, 2)} on; "
        "lower is better."
    )
    yield from (f"> **Forced comparison.** {escaped(each)}" for each in report.disagreements)
    yield from (f"> **Mind.** {escaped(each)}" for each in report.remarks)
    if len(report.compared) > 1:
        yield "## At a glance"
        yield markdown_table(toxicity_tables.runs_table(report))
    if report.paper:
        yield "## In the paper"
        yield markdown_table(toxicity_tables.paper_table(report.paper))
    for compared in report.compared:
        yield from _run(compared, report)
    yield from _about(report)


def _run(compared: Compared, report: Report) -> Iterator[str]:
    mark = " (made-up reference)" if compared.is_reference else ""
    yield f"## {escaped(compared.about.name)}{mark}"
    counts = toxicity_tables.verdict_counts(compared)
    yield ", ".join(f"{each.icon} {each.languages} {each.verdict}" for each in counts)
    yield markdown_table(toxicity_tables.headline(compared, report.scorer))
    if compared.doubts:
        yield "### Doubts"
        yield "\n".join(f"- {escaped(each)}" for each in compared.doubts)
    yield "### Toxicity"
    yield markdown_table(toxicity_tables.toxicity_table(compared, report.scorer))
    yield "### Quality of the text"
    yield markdown_table(quality_tables.signs_table(compared, report.perplexity_model))
    yield markdown_table(quality_tables.text_table(compared, report.scorer.id))
    yield "### Over-suppression"
    yield from _evidence(
        evidence_tables.suppression_tables(compared.suppression or {}),
        evidence_tables.NO_SUPPRESSION,
    )
    yield "### Capability"
    yield from _evidence(
        evidence_tables.capability_tables(compared.capability or {}), evidence_tables.NO_CAPABILITY
    )
    if report.with_samples and compared.samples:
        yield "### Samples"
        seeds = " After: of the first seed." if len(compared.about.stores) > 1 else ""
        yield f"**Content note.** Texts of language models that may be hateful or obscene.{seeds}"
        yield from (_samples(code, pairs) for code, pairs in compared.samples.items())


def _about(report: Report) -> Iterator[str]:
    yield "## How a verdict is reached"
    yield markdown_table(quality_tables.verdicts_table())
    yield markdown_table(quality_tables.thresholds_table())
    yield "## The scorer"
    yield markdown_table(about_tables.scorer_table(report.scorer))
    yield "## Settings"
    yield markdown_table(about_tables.settings_table(report))
    yield markdown_table(about_tables.signatures_table(report))
    yield "## How to reproduce it"
    for recipe in about_tables.recipes(report):
        yield f"**{escaped(recipe.title)}**"
        yield _code(recipe.commands)
    yield markdown_table(about_tables.identity_table(report))


def _evidence(tables: Iterable[Table], otherwise: str) -> Iterator[str]:
    yield from [markdown_table(each) for each in tables] or [otherwise]


def _samples(language: str, pairs: Iterable[SamplePair]) -> str:
    """Return a folded block, whose texts are HTML: Markdown means nothing inside ``<pre>``."""
    texts = [_pair(pair) for pair in pairs]
    name = escape_html(short_name(language))
    return f"<details><summary>{name}</summary>\n\n" + "\n\n".join(texts) + "\n\n</details>"


def _pair(pair: SamplePair) -> str:
    parts = [] if pair.prompt is None else [("prompt", pair.prompt)]
    parts.append((f"base, {number(pair.base_score, 2)}", pair.base))
    parts.append((f"after, {number(pair.other_score, 2)}", pair.other))
    blocks = [f'{words}\n\n<pre dir="auto">{escape_html(text)}</pre>' for words, text in parts]
    return "\n\n".join([escaped(pair.prompt_id), *blocks])


def _code(commands: Iterable[str]) -> str:
    """Return a block of code with a fence longer than any in it."""
    text = "\n".join(commands)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"


def _heading(column: Column) -> str:
    return escaped(f"{column.group}: {column.heading}" if column.group else column.heading)


def _row(row: Row, strong: bool = False) -> str:
    return _line(_cell(cell, strong) for cell in row.cells)


def _cell(cell: Cell, strong: bool) -> str:
    text = escaped(cell.text)
    text = f"**{text}**" if strong and text else text
    return f"{text} ({escaped(cell.detail)})" if cell.detail else text


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
