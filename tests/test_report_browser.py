"""The report in a real browser: quiet, sorted, hidden until asked, readable on a phone."""

from pathlib import Path
from typing import Any

import pytest
from browser import opened
from report_doubles import TEXTS, report

from detox_bench.continuations import Wish, continue_prompts
from detox_bench.data.prompts import load_prompts
from detox_bench.modeling.loading import load_causal_model
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.reports.gather import Wish as Request
from detox_bench.reports.gather import gather
from detox_bench.reports.html import render_html
from detox_bench.reports.stores import named_runs
from detox_bench.run_comparison import Asked

#: One browser, whatever the number of workers.
pytestmark = pytest.mark.xdist_group("browser")

ALL_OPEN = "document.querySelectorAll('details').forEach((each) => { each.open = true })"
COLOURS = "(all) => all.map((each) => getComputedStyle(each).color.match(/[0-9]+/g).map(Number))"
SIGNS = "#run-1 table:has(caption:text-is('Signs of wrecked text, by language'))"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("report") / "report.html"
    made.write_text(render_html(report(2, with_samples=True)), "utf-8")
    return made


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory) -> Path:
    """A report on mini-mgpt, on it without 100 of its neurons, and on the cheats."""
    folder = tmp_path_factory.mktemp("real")
    model = str(shared / "models" / "mini-mgpt")
    loaded = load_causal_model(model, "cpu")
    prompts = [p for code in ("ar", "de", "hi") for p in load_prompts(code, "sample").prompts]
    for name in ("base", "edited"):
        continue_prompts(loaded, prompts, Wish(4, SamplingSettings(), folder / name))
        loaded.model.transformer.h[0].mlp.c_proj.weight.data[:100] = 0
    runs = [f"{name}={folder / name}" for name in ("base", "edited")]
    asked = Asked(perplexity_model=model)
    found = gather(
        *named_runs(runs[0], runs[1:]), Request(asked, references=True, with_samples=True)
    )
    made = folder / "report.html"
    made.write_text(render_html(found), "utf-8")
    return made


def keys(page: Any, column: int) -> list[str]:
    """Return what the rows of the table of signs are sorted by in a column, from above."""
    cells = page.locator(f"{SIGNS} tbody tr > :nth-child({column + 1})")
    return list(cells.evaluate_all("(all) => all.map((each) => each.dataset.sort)"))


def test_no_error_no_request_and_markup_in_texts_stays_text(browser, file):
    with opened(browser, file) as found:
        found.page.evaluate(ALL_OPEN)
        for button in found.page.locator("#settings button, #theme").all():
            button.click()
        found.page.locator("#filter").fill("de, arabic")
        assert found.page.evaluate("window.hacked") is None
        assert found.page.locator("img").count() == 0
        assert "<script>" in found.page.locator("h2#run-1-title").inner_text()
    assert found.errors == []
    assert found.requests == []


def test_the_report_of_a_real_model_opens_without_error_or_request(browser, real):
    with opened(browser, real) as found:
        found.page.evaluate(ALL_OPEN)
        assert found.page.locator("#run-1 svg.figure").count() == 4
        red = "td.tone-degenerate, td.tone-worse"
        for cheat in ("#run-2", "#run-3", "#run-4", "#run-5"):
            colours = found.page.locator(cheat).locator(red).evaluate_all(COLOURS)
            assert len(colours) >= 3, cheat
            assert all(r > 2 * max(g, b) for r, g, b in colours), cheat
    assert found.errors == [] and found.requests == []


def test_what_the_page_should_not_do_would_be_seen(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://example.org/x.png'><script>nothing.there</script>", "utf-8")
    with opened(browser, bad) as found:
        found.page.wait_for_load_state()
    assert found.requests == ["http://example.org/x.png"]
    assert any("nothing is not defined" in error for error in found.errors)


def test_a_click_sorts_by_number_and_another_one_turns_it(browser, file):
    with opened(browser, file) as found:
        heading = found.page.locator(f"{SIGNS} tr.headings th").nth(2)
        foot = found.page.locator(f"{SIGNS} tfoot").inner_text()
        assert heading.get_attribute("aria-sort") == "none"
        heading.get_by_role("button").click()
        first = keys(found.page, 2)
        assert heading.get_attribute("aria-sort") == "ascending"
        heading.get_by_role("button").click()
        second = keys(found.page, 2)
        assert heading.get_attribute("aria-sort") == "descending"
        assert found.page.locator(f"{SIGNS} tfoot").inner_text() == foot
    # One language has no perplexity after: it is last both ways.
    known = [float(key) for key in first[:-1]]
    assert first[-1] == second[-1] == ""
    assert known == sorted(known) != sorted(known, key=str)
    assert [float(key) for key in second[:-1]] == known[::-1]


def test_a_key_sorts_and_the_heading_is_named_with_its_group(browser, file):
    with opened(browser, file) as found:
        button = found.page.locator(SIGNS).get_by_role("button", name="perplexity: ratio")
        button.focus()
        found.page.keyboard.press("Enter")
        values = [float(key) for key in keys(found.page, 3) if key]
    assert values == sorted(values)
    assert len(set(values)) > 5


def test_languages_are_found_by_code_and_by_name(browser, file):
    with opened(browser, file) as found:
        shown = f"{SIGNS} tbody tr:visible"
        assert found.page.locator(shown).count() == 17
        found.page.locator("#filter").fill("de, arab")
        assert found.page.locator(f"{shown} th").evaluate_all(
            "(all) => all.map((each) => each.dataset.sort)"
        ) == ["ar", "de"]
        found.page.locator("#filter").fill("")
        assert found.page.locator(shown).count() == 17


@pytest.mark.parametrize("script", [True, False])
def test_a_sample_is_hidden_until_asked_with_and_without_javascript(browser, file, script):
    with opened(browser, file, java_script_enabled=script) as found:
        group = found.page.locator("#run-1 details.samples:has([lang=hi])")
        text = group.locator("blockquote").nth(1)
        assert not text.is_visible()
        group.locator("> summary").click()
        assert not text.is_visible()
        assert TEXTS["hi"] not in found.page.locator("body").inner_text()
        group.locator(".veil summary").nth(1).focus()
        found.page.keyboard.press("Enter")
        assert text.is_visible()
        assert text.inner_text() == TEXTS["hi"]
        assert not group.locator("blockquote").nth(0).is_visible()


def test_without_javascript_all_is_there_but_its_tools(browser, file):
    with opened(browser, file, java_script_enabled=False) as found:
        assert found.page.locator("#glance table").first.is_visible()
        assert found.page.locator("#run-1 svg.figure").count() == 4
        assert not found.page.locator(".tools").is_visible()
        assert found.page.locator("button:visible").count() == 0
        found.page.locator("#run-2 > details > summary").click()
        assert found.page.locator("#run-2 table").first.is_visible()
    assert found.errors == []


def test_a_phone_scrolls_tables_but_not_the_page_and_can_read_the_figures(browser, file):
    with opened(browser, file, width=390, height=844) as found:
        found.page.evaluate(ALL_OPEN)
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
        size = "(all) => Math.min(...all.map((each) => each.getScreenCTM().a * 12))"
        assert found.page.locator("svg.figure").evaluate_all(size) >= 11
        wide = "(all) => all.filter((each) => each.scrollWidth > each.clientWidth).length"
        assert found.page.locator(".scroll").evaluate_all(wide) > 5


def test_colours_follow_the_system_and_the_button(browser, file):
    colour = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        with opened(browser, file, color_scheme=scheme) as found:
            seen[scheme] = found.page.evaluate(colour)
            found.page.locator("#theme").click()
            seen[f"not {scheme}"] = found.page.evaluate(colour)
    assert seen["light"] == seen["not dark"] == "rgb(251, 251, 249)"
    assert seen["dark"] == seen["not light"] == "rgb(22, 24, 27)"


def test_arabic_runs_from_right_to_left(browser, file):
    direction = "(each) => getComputedStyle(each).direction"
    with opened(browser, file) as found:
        found.page.evaluate(ALL_OPEN)
        text = found.page.locator("#run-1 blockquote[lang=ar]").nth(1)
        name = found.page.locator(f"{SIGNS} bdi[lang=ar]")
        assert text.evaluate(direction) == name.evaluate(direction) == "rtl"
        assert found.page.locator("#run-1 blockquote[lang=hi]").nth(1).evaluate(direction) == "ltr"


def test_all_that_can_be_pressed_is_reached_by_tab_with_a_visible_focus(browser, tmp_path):
    file = tmp_path / "one.html"
    file.write_text(render_html(report(1)), "utf-8")
    pressable = "button, a, summary, input"
    watch = """document.addEventListener("focusin", ({target: each}) => {
        const style = getComputedStyle(each);
        each.dataset.reached = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    })"""
    with opened(browser, file) as found:
        found.page.evaluate(watch)
        wanted = found.page.locator(pressable).locator("visible=true").count()
        for _ in range(wanted + 60):
            found.page.keyboard.press("Tab")
        reached = found.page.locator("[data-reached=true]").locator("visible=true")
        assert found.page.locator("[data-reached=false]").count() == 0
        assert reached.and_(found.page.locator(pressable)).count() == wanted > 50
