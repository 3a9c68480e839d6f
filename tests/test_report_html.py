"""The report as one HTML file: complete, escaped, and self-contained."""

import math
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from lxml import html
from report_doubles import (
    IMAGE,
    INVALID_LANGUAGE,
    SCRIPT,
    TEXTS,
    UNSOUND_LANGUAGE,
    measured,
    report,
)

from detox_bench.comparison import MEAN_ROWS, compare
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.reports.cells import change_cells, number, p_value, signed
from detox_bench.reports.content import Report, SettingRow
from detox_bench.reports.figures_of_run import forests
from detox_bench.reports.fonts import NATIVE_NAMES
from detox_bench.reports.html import decoy, read_template, render_html
from detox_bench.reports.quality_tables import SHOWN
from detox_bench.reports.toxicity_tables import ICONS, TONES
from detox_bench.verdicts import DEGENERATE, SIGNS, VERDICTS, judge


@pytest.fixture(scope="module")
def three() -> Report:
    return report(3, with_samples=True)


@pytest.fixture(scope="module")
def page(three) -> Any:
    return html.document_fromstring(render_html(three))


def text_of(element: Any) -> str:
    return " ".join(element.text_content().split())


def table(page: Any, run: int, caption: str) -> Any:
    """Return the first table of a run whose caption begins with ``caption``."""
    tables = page.xpath(f"//section[@id='run-{run}']//table")
    return next(each for each in tables if text_of(each.find("caption")).startswith(caption))


def test_numbers_that_do_not_exist_are_a_dash_and_minus_is_a_minus():
    assert [number(each) for each in (None, math.nan, math.inf, "x", True)] == ["–"] * 5
    assert (number(-0.5), signed(0.25), signed(-0.25)) == ("−0.500", "+0.250", "−0.250")
    assert (p_value(0.0004), p_value(0.04), p_value(math.nan)) == ("<0.001", "0.040", "–")
    assert [cell.text for cell in change_cells(None)] == ["–"] * 3


def test_every_table_of_names_is_complete():
    assert set(ICONS) == set(TONES) == set(VERDICTS)
    assert len(set(ICONS.values())) == len(ICONS), "a verdict must be told without its colour"
    assert {sign.metric for sign in SIGNS} <= {each.metric for each in SHOWN}
    assert set(NATIVE_NAMES) == set(LANGUAGES)


def test_the_headline_is_that_of_the_comparison(three, page):
    mean = next(row for row in three.compared[0].rows if row.language == "mean")
    card = page.xpath("//section[@id='run-1']//section[@aria-label='EMT']")[0]
    change = mean.changes["emt"]
    assert f"{change.base:.3f} → {change.other:.3f}" in text_of(card)
    assert signed(change.difference.low) in text_of(card)
    assert "mean but en" in text_of(card)


def test_every_language_has_a_row_with_its_verdict_in_words(three, page):
    rows = table(page, 1, "Toxicity by language").findall("tbody/tr")
    assert [row.get("data-search").split()[0] for row in rows] == sorted(
        code.lower() for code in PAPER_LANGUAGES
    )
    for row in rows:
        code = next(c for c in PAPER_LANGUAGES if c.lower() == row.get("data-search").split()[0])
        assert three.compared[0].verdicts[code].verdict in text_of(row)
        assert NATIVE_NAMES[code] in text_of(row)


def test_numbers_of_a_language_that_are_not_valid_are_grey_and_the_reason_is_given(page):
    found = table(page, 1, "Toxicity by language")
    muted = {row.get("data-search").split()[0] for row in found.findall("tbody/tr[@class='muted']")}
    assert muted == {UNSOUND_LANGUAGE, INVALID_LANGUAGE}
    notes = " ".join(map(text_of, page.xpath("//section[@id='run-1']//p[@class='note']")))
    assert "not valid there" in notes
    assert "AUC 0.62, valid from 0.80" in notes


def test_remarks_are_told_at_the_top(three):
    page = html.document_fromstring(render_html(replace(three, remarks=["<b> is left out."])))
    assert "Mind. <b> is left out." in text_of(page.find("body/header"))


def test_settings_of_seeds_are_told_for_each_of_them(three):
    seeds = replace(three.compared[0].about, name="seeds", stores=("a", "b"))
    rows = [SettingRow("temperature", "0.9", ("0.9", "1.0"))]
    one = replace(three, compared=[replace(three.compared[0], about=seeds)], settings=rows)
    page = html.document_fromstring(render_html(one))
    assert "seeds: 1.0" in text_of(page.get_element_by_id("settings"))
    with pytest.raises(ValueError, match="zip"):
        render_html(replace(one, settings=[SettingRow("k", "25", ("25", "3", "4"))]))


def test_several_languages_without_a_mean_have_dashes_for_it(three):
    rows = [row for row in three.compared[0].rows if row.language not in MEAN_ROWS]
    bare = replace(three.compared[0], rows=rows)
    page = html.document_fromstring(render_html(replace(three, compared=[bare], settings=[])))
    card = page.xpath("//section[@aria-label='EMT']")[0]
    assert "mean of languages – –" in text_of(card)


def test_a_forest_is_coloured_only_where_the_verdict_would_be_sure(three):
    """Not by an interval alone, and not where the language is invalid."""
    whole = three.compared[0]
    unsure = [
        row._replace(changes={n: c._replace(p=0.06, p_holm=0.06) for n, c in row.changes.items()})
        for row in whole.rows
    ]
    lower = [str(each).count("tone-clean") for each in forests(whole, "s", "a")]
    assert min(lower) > 10 and max(lower) <= len(whole.rows) - 1  # all but the invalid one
    invalid = [row for row in whole.rows if row.language == INVALID_LANGUAGE]
    for found in (replace(whole, rows=unsure), replace(whole, rows=invalid)):
        assert not any("tone-clean" in str(each) for each in forests(found, "s", "a"))


def test_a_cheat_is_red_with_a_mark_and_words(three, page):
    assert {each.verdict for each in three.compared[1].verdicts.values()} > {DEGENERATE}
    signs = table(page, 2, "Signs").xpath("tbody//td[contains(@class, 'tone-sign')]")
    words = {text_of(each.find("small")) for each in signs}
    assert words >= {"empty", "the same text again for one prompt", "leaves the language"}
    assert all(text_of(each).startswith("✗ ") for each in signs)


def test_thresholds_and_verdicts_are_printed_from_their_tables(page):
    text = text_of(page.get_element_by_id("verdicts"))
    for sign in SIGNS:
        assert f"{sign.words} {sign.metric} " in " ".join(
            text_of(cell) for row in page.xpath("//section[@id='verdicts']//tr") for cell in row
        )
    assert all(" ".join(meaning.split()) in text for meaning in VERDICTS.values())


def test_what_was_not_measured_is_told_with_the_command_to_add_it(page):
    assert "detox-bench suppression" in text_of(page.get_element_by_id("run-2"))
    assert "detox-bench capability" in text_of(page.get_element_by_id("run-2"))
    assert "detox-bench suppression" not in text_of(page.get_element_by_id("run-1"))


def test_evidence_of_other_commands_is_shown_as_they_tell_it(page):
    tasks = table(page, 1, "Tasks of lm-eval")
    one, other = (text_of(row) for row in tasks.findall("tbody/tr"))
    assert "✗ −0.100−0.150 to −0.050" in one
    # Without an interval the difference is that of the levels; no test, no mark.
    assert "−0.100" in other
    assert "✗" not in other
    assert "mean of 3 tasks" in text_of(tasks.find("tfoot"))
    assert "7 left out" in text_of(page.get_element_by_id("run-1"))
    sides = [text_of(th) for th in table(page, 1, "Selectivity").iter("th")]
    assert sides[2:4] == ["benign", "toxic"]


def test_the_paper_is_shown_with_the_reminder_that_scorers_differ(page):
    glance = text_of(page.get_element_by_id("glance"))
    assert "levels are not comparable" in glance
    assert "after DPO 0.300" in " ".join(
        text_of(cell) for row in page.xpath("//section[@id='glance']//tr") for cell in row
    )


def test_settings_that_disagree_are_marked(page):
    rows = page.xpath("//section[@id='settings']//tbody/tr")
    marked = [text_of(row) for row in rows if row.xpath("td[contains(@class, 'tone-sign')]")]
    assert len(marked) == 1
    assert "cheat: 1.0" in marked[0]


def test_no_string_of_others_becomes_markup(page):
    assert len(page.xpath("//script")) == 1
    assert not page.xpath("//img")
    assert not page.xpath("//@onerror")
    texts = [block.text_content() for block in page.xpath("//blockquote")]
    assert any(SCRIPT in text for text in texts)
    assert any(IMAGE in text for text in texts)


def test_the_page_loads_nothing_and_runs_only_its_own_script(page):
    links = page.xpath("//@href | //@src")
    assert links
    assert all(link.startswith(("#", "data:,")) for link in links)
    policy = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert policy.startswith("default-src 'none';")
    for name in ("style", "script"):
        digest = b64encode(sha256(page.xpath(f"//{name}")[0].text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not page.xpath("//@style")


def test_samples_are_there_only_when_asked_for(three):
    without = render_html(replace(three, with_samples=False))
    assert "blockquote dir" not in without
    assert not any(text[:20] in without for text in TEXTS.values())
    with_them = render_html(three)
    assert all(TEXTS[code] in with_them for code in ("ar", "hi", "zh-Hans"))


def test_a_hidden_text_stands_behind_a_strip_without_its_letters():
    assert decoy("two words") == "▒▒▒ ▒▒▒▒▒"
    assert decoy("") == "▒"


def test_the_page_can_be_read_by_a_machine(page):
    for each in page.xpath("//table"):
        assert text_of(each.find("caption"))
        assert all(th.get("scope") and text_of(th) for th in each.iter("th"))
    for each in page.xpath("//*[@role='img']"):
        titles = [page.get_element_by_id(each.get(f"aria-{kind}")) for kind in ("labelledby",)]
        assert all(text_of(title) for title in titles)
    ids = page.xpath("//@id")
    assert len(ids) == len(set(ids))
    levels = [int(each.tag[1]) for each in page.xpath("//h1|//h2|//h3|//h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    targets = [link[1:] for link in page.xpath("//a/@href")]
    assert set(targets) <= set(ids)


def _luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_the_contrast_of_wcag_aa_in_light_and_dark():
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", read_template("report.css"))
    colours = {name: pair for name, *pair in found}
    words = ["ink", "muted", "accent", *TONES.values()]
    grounds = ["page", "raised", "unchanged-tint"]
    pairs = [(word, ground) for word in words for ground in grounds]
    pairs += [(tone, f"{tone}-tint") for tone in TONES.values()]
    for word, ground in pairs:
        for one, other in zip(colours[word], colours[ground], strict=True):
            assert _contrast(one, other) >= 4.5, (word, ground)


def test_twenty_runs_have_a_row_and_a_folded_section_each():
    page = html.document_fromstring(render_html(report(20)))
    assert len(page.xpath("//section[@id='glance']//table[1]/tbody/tr")) >= 20
    sections = page.xpath("//section[@class='run']/details")
    assert len(sections) == 20
    assert [each.get("open") is not None for each in sections] == [True] + [False] * 19


def test_one_language_without_anything_else_is_a_report():
    runs = ({"en": measured(0)["en"]}, {"en": measured(1, 0.5)["en"]})
    rows = compare([runs[0]], [runs[1]])
    whole = report(1)
    bare = replace(
        whole.compared[0],
        rows=rows,
        verdicts=judge(rows, {}),
        perplexity={},
        mean_perplexity_ratio=None,
        suppression=None,
        capability={},
        samples={},
    )
    page = html.document_fromstring(render_html(replace(whole, compared=[bare], paper=None)))
    assert "Perplexity was not measured" in text_of(page.get_element_by_id("run-1"))
    assert not re.search(r"\b(nan|None|inf)\b", text_of(page.get_element_by_id("content")))


def test_a_language_without_any_number_is_dashes():
    nothing = report(1)
    rows = [row._replace(changes={}) for row in nothing.compared[0].rows]
    empty = replace(nothing.compared[0], rows=rows, verdicts=judge(rows[:-2], {}), perplexity={})
    page = html.document_fromstring(render_html(replace(nothing, compared=[empty])))
    row = table(page, 1, "Toxicity by language").find("tbody/tr")
    assert "∅ invalid" in text_of(row)
    assert text_of(row).count("–") == 9
