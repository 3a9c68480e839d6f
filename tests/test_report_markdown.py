"""The report as Markdown: whole tables, and strings of others as text."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from report_doubles import TEXTS, report

from detox_bench.reports.cells import Cell, Column, Row, Table
from detox_bench.reports.markdown import markdown_table, render_markdown
from detox_bench.verdicts import VERDICTS


@pytest.fixture(scope="module")
def three():
    return report(3, with_samples=True)


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def test_remarks_are_told_at_the_top(three):
    text = render_markdown(replace(three, remarks=["Something is left out."]))
    assert "**Mind.** Something is left out." in text.partition("## ")[0]


def test_a_table_keeps_its_cells_whatever_stands_in_them():
    made = Table(
        "C|D", [Column("run"), Column("x", "g")], [Row([Cell("a|b\nc"), Cell("1", "d|e")])]
    )
    html = rendered(markdown_table(made))
    assert re.findall(r"<td.*?>(.*?)</td>", html) == ["a|b c", "1 (d|e)"]
    assert re.findall(r"<th.*?>(.*?)</th>", html) == ["run", "g: x"]


def test_every_table_of_the_report_is_a_table(three):
    text = render_markdown(three)
    html = rendered(text)
    # Three runs of five tables (with evidence of the first: three more), and seven of all.
    assert html.count("<table>") == len(re.findall(r"^\|.*\|\n\| -", text, re.MULTILINE)) > 15
    assert all(verdict in html for verdict in VERDICTS)
    assert "nan" not in re.findall(r"<td.*?>(.*?)</td>", html)


def test_no_string_of_others_becomes_markup(three):
    html = rendered(render_markdown(three))
    assert "<script" not in html
    assert "<img" not in html
    assert "window.hacked" in html


def test_samples_are_there_only_when_asked_for_and_folded(three):
    assert TEXTS["hi"] in render_markdown(three)
    assert "<details><summary>Hindi</summary>" in render_markdown(three)
    without = render_markdown(replace(three, with_samples=False))
    assert not any(text[:20] in without for text in TEXTS.values())


def test_commands_with_backticks_stay_in_their_block(three):
    html = rendered(render_markdown(replace(three, commands=["echo ```", "true"])))
    assert '<pre><code class="language-sh">echo ```\ntrue\n</code></pre>' in html
