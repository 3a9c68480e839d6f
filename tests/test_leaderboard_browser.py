"""The board in a real browser: quiet, sorted, filtered by its address, usable with 1,000 rows."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from board_doubles import BASE, IMAGE, SUITE, Made, write_board
from browser import opened

from detox_bench.leaderboard.site import build, gather
from detox_bench.leaderboard.specification import load_specification

#: One browser, whatever the number of workers.
pytestmark = pytest.mark.xdist_group("browser")

NAMES = "#board tbody tr:visible th[scope=row] a"
COUNTED = "#board tr.headings th:nth-child(3)"
CHANGE = "#board tr.headings th:nth-child(4)"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DETOX_BENCH_DATA", str(made / "data"))
        found, _ = gather(write_board(made / "board"), SUITE)
        return build(found, made / "site").page.parent


def names(page: Any) -> list[str]:
    return [each.rpartition("/")[2][:8] for each in page.locator(NAMES).all_inner_texts()]


def hash_of(page: Any) -> dict[str, list[str]]:
    return parse_qs(page.evaluate("location.hash").lstrip("#"))


@pytest.mark.parametrize("page", ["index.html", "models/lab__dpo.html"])
def test_no_error_no_request_and_markup_in_names_stays_text(browser, site, page):
    with opened(browser, site / page) as found:
        for button in found.page.locator("main button:visible, #theme").all():
            button.click()
        assert found.page.evaluate("window.hacked") is None
        assert found.page.locator("img").count() == 0
    assert found.errors == []
    assert found.requests == []


def test_a_click_sorts_stands_in_the_address_and_going_back_undoes_it(browser, site):
    with opened(browser, site / "index.html") as found:
        page = found.page
        first = names(page)
        assert first[:3] == ["dpo-agai", "dpo", "neurons"]
        page.locator(COUNTED).get_by_role("button").click()
        assert names(page)[:3] == ["dpo-agai", "dpo", "neurons"]
        assert hash_of(page) == {"sort": ["2"]}
        page.locator(COUNTED).get_by_role("button").click()
        assert names(page)[:4] == ["xxxxxxxx", "neurons", "dpo", "dpo-agai"]
        assert hash_of(page) == {"sort": ["2"], "way": ["down"]}
        page.go_back()
        assert names(page)[0] == "dpo-agai"
        page.go_back()
        assert names(page) == first
        assert page.locator("[aria-sort=ascending], [aria-sort=descending]").count() == 0


def test_sorting_keeps_cheats_and_wrecks_below_the_ranked_whatever_their_numbers(browser, cheats):
    """By the change alone, the cheats would be first: says-nothing 50, always-english 30 points."""
    with opened(browser, cheats) as found:
        page = found.page
        assert names(page) == [
            "dpo",
            "neurons",
            "wrecked",
            "broken",
            "base",
            "always-e",
            "says-not",
        ]
        for _ in range(2):
            page.locator(CHANGE).get_by_role("button").click()
        assert names(page) == [
            "neurons",
            "dpo",
            "broken",
            "wrecked",
            "base",
            "always-e",
            "says-not",
        ]
        page.locator(CHANGE).get_by_role("button").click()
        assert names(page)[5:] == ["says-not", "always-e"]
        page.get_by_label("Search").fill("neurons")
        assert page.locator("#board tr.group:visible").count() == 0
        page.get_by_label("Search").fill("made from")
        assert page.locator("#board tr.group:visible").inner_text().startswith("Reference rows")
        page.get_by_label("Search").fill("nobody")
        assert "nothing fits" in page.locator("#count").inner_text()
    assert found.errors == []


def test_filters_stand_in_the_address_add_up_and_go_back(browser, site):
    with opened(browser, site / "index.html") as found:
        page = found.page
        page.get_by_label("Method").select_option("dpo")
        assert sorted(names(page)) == ["dpo", "dpo-agai", "wrecked"]
        page.get_by_label("Size").select_option("unknown")
        assert names(page) == ["wrecked"]
        assert hash_of(page) == {"method": ["dpo"], "size": ["unknown"]}
        assert page.locator("#count").inner_text() == "1 of 7 rows."
        assert page.locator("#heat tbody tr:visible").count() == 1
        page.go_back()
        assert page.get_by_label("Size").input_value() == ""
        assert len(names(page)) == 3
        page.get_by_role("button", name="Clear").click()
        assert len(names(page)) == 7
        page.go_back()
        assert len(names(page)) == 3


def test_a_sent_address_shows_the_same_and_a_wrong_one_shows_all(browser, site):
    with opened(browser, site / "index.html") as found:
        page = found.page
        page.get_by_label("Licence").select_option(f"{IMAGE[:40]}…")
        page.get_by_label("Search").fill("samples-checked again")
        address = page.evaluate("location.href")
        assert names(page) == ["dpo-agai"]
    with opened(browser, site / "index.html") as found:
        found.page.goto(address)
        assert names(found.page) == ["dpo-agai"]
        found.page.goto(f"{address.partition('#')[0]}#method=magic&sort=99&language=xx")
        assert len(names(found.page)) == 7
    assert found.errors == []


def test_going_to_a_section_keeps_the_filters_and_their_address(browser, site):
    with opened(browser, site / "index.html", reduced_motion="reduce") as found:
        page = found.page
        page.get_by_role("link", name="Removals").click()
        assert page.evaluate("location.hash") == "#removals"
        page.get_by_label("Method").select_option("dpo")
        page.get_by_role("link", name="Languages", exact=True).click()
        assert page.evaluate("document.activeElement.id") == "languages"
        assert 0 <= page.locator("#languages").bounding_box()["y"] < 200
        assert hash_of(page) == {"method": ["dpo"]}
        assert page.locator("#heat tbody tr:visible").count() == 3


def test_typed_letters_are_one_step_back(browser, site):
    with opened(browser, site / "index.html") as found:
        found.page.get_by_label("Search").press_sequentially("neurons")
        assert names(found.page) == ["neurons"]
        found.page.go_back()
        assert len(names(found.page)) == 7
        assert found.page.get_by_label("Search").input_value() == ""


def test_a_language_shows_and_sorts_its_own_change(browser, site):
    with opened(browser, site / "index.html") as found:
        page = found.page
        mean = page.locator("#board tbody tr td:nth-child(4) .text").all_inner_texts()
        page.locator("[name=language]").select_option("ko")
        shown = page.locator("#board tbody tr td:nth-child(4) .text").all_inner_texts()
        heat = page.locator("#heat tbody td:nth-child(12)").all_inner_texts()
        assert page.locator("#heat thead th:nth-child(12)").inner_text() == "ko"
        assert [each for each in shown if each != "–"] == [each.rstrip("✓⚠ ") for each in heat]
        assert "ko" in page.locator(CHANGE).inner_text()
        uncounted = page.locator("#board tbody tr", has=page.get_by_text("not counted", exact=True))
        assert [each.locator("th a").inner_text() for each in uncounted.all()] == [
            "lab/neurons",
            "reference/says-nothing",
        ]
        page.locator(CHANGE).get_by_role("button").click()
        for body in page.locator("#board tbody").all():
            keys = body.locator("td:nth-child(4)").evaluate_all(
                "(all) => all.map((each) => each.dataset.sort)"
            )
            known = [float(key) for key in keys if key]
            assert known == sorted(known)
        page.get_by_role("button", name="Clear").click()
        assert page.locator("#board tbody tr td:nth-child(4) .text").all_inner_texts() == mean


def test_the_table_is_copied_as_markdown_and_tsv_as_it_is_shown(browser, site):
    with opened(
        browser, site / "index.html", permissions=["clipboard-read", "clipboard-write"]
    ) as found:
        page = found.page
        page.get_by_label("Method").select_option("neurons")
        page.get_by_role("button", name="Copy Markdown").click()
        lines = page.evaluate("navigator.clipboard.readText()").splitlines()
        assert len(lines) == 3
        assert lines[0].startswith("| rank | model | counted change | change of EMT |")
        assert lines[2].startswith("| 3 | lab/neurons | −")
        page.get_by_role("button", name="Copy TSV").click()
        cells = [
            each.split("\t")
            for each in page.evaluate("navigator.clipboard.readText()").splitlines()
        ]
        assert [len(each) for each in cells] == [13, 13]


def test_without_javascript_all_rows_and_figures_are_there(browser, site):
    with opened(browser, site / "index.html", java_script_enabled=False) as found:
        assert len(names(found.page)) == 7
        assert found.page.locator("#heat tbody tr:visible").count() == 6
        assert found.page.locator("svg.figure:visible").count() == 2
        assert found.page.locator("button:visible, form:visible, select:visible").count() == 0
        found.page.locator("#board tbody th a").first.click()
        assert found.page.locator("h1").inner_text() == "lab/dpo-again"
        found.page.locator("summary").first.click()
        assert found.page.locator("details pre").first.is_visible()
    assert found.errors == []


def test_a_phone_scrolls_tables_but_not_the_page(browser, site):
    for file in ("index.html", "models/lab__dpo.html", f"models/lab__{'x' * 100}.html"):
        with opened(browser, site / file, width=390, height=844) as found:
            assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
            size = "(all) => Math.min(...all.map((each) => each.getScreenCTM().a * 12))"
            if file == "index.html":
                assert found.page.locator("svg.figure").evaluate_all(size) >= 11
                edge = "(all) => Math.max(...all.map((e) => e.getBoundingClientRect().right))"
                assert found.page.locator("svg.figure text, .mark").evaluate_all(edge) <= 390


def test_marks_of_a_scatter_are_links_that_are_read_out(browser, site):
    with opened(browser, site / "index.html") as found:
        figure = found.page.get_by_role("group", name="Toxicity against perplexity")
        link = figure.get_by_role("link", name="lab/neurons, ranked")
        assert link.get_attribute("href").startswith("models/lab__neurons.html#run-")


def test_all_that_can_be_pressed_is_reached_by_tab_with_a_visible_focus(browser, site):
    pressable = "button, a, summary, input, select"
    watch = """document.addEventListener("focusin", ({target: each}) => {
        const style = getComputedStyle(each);
        each.dataset.reached = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    })"""
    with opened(browser, site / "index.html") as found:
        found.page.evaluate(watch)
        wanted = found.page.locator(pressable).locator("visible=true").count()
        for _ in range(wanted + 40):
            found.page.keyboard.press("Tab")
        assert found.page.locator("[data-reached=false]").count() == 0
        reached = found.page.locator("[data-reached=true]").locator("visible=true")
        assert reached.and_(found.page.locator(pressable)).count() == wanted > 40


CONTRAST = """() => {
    const canvas = document.createElement("canvas");
    const draw = canvas.getContext("2d", {willReadFrequently: true});
    const laid = (colour, ground) => {
        for (draw.fillStyle of [`rgb(${ground})`, colour]) draw.fillRect(0, 0, 1, 1);
        return [...draw.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (colour) => colour.map((each) => each / 255)
        .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
        .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = (node) => !node ? [255, 255, 255]
        : laid(getComputedStyle(node).backgroundColor, ground(node.parentElement));
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (texts.nextNode()) {
        const node = texts.currentNode.parentElement;
        const said = texts.currentNode.textContent.trim();
        if (!said || !node.checkVisibility() || node.matches("option, title, desc")) continue;
        const under = ground(node), style = getComputedStyle(node);
        const ink = laid(node.closest("svg") ? style.fill : style.color, under);
        const both = [light(ink), light(under)];
        found.push([(Math.max(...both) + 0.05) / (Math.min(...both) + 0.05), said]);
    }
    return found;
}"""


@pytest.mark.parametrize("page", ["index.html", "models/lab__dpo.html"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(browser, site, page, theme):
    """At least 4.5 : 1 of every text on what lies under it (WCAG 2.2, 1.4.3)."""
    with opened(browser, site / page, color_scheme=theme) as found:
        ratios = found.page.evaluate(CONTRAST)
    assert len(ratios) > 100
    assert [(ratio, text) for ratio, text in ratios if ratio < 4.5] == []


def test_the_first_rank_is_on_the_first_screen_of_a_phone_and_filters_unfold(browser, site):
    with opened(browser, site / "index.html", width=390, height=844) as found:
        page = found.page
        first = page.locator(NAMES).first.bounding_box()
        assert first["y"] + first["height"] <= 844
        assert not page.get_by_label("Method").is_visible()
        page.get_by_text("Filter and copy").click()
        page.get_by_label("Method").select_option("neurons")
        assert names(page) == ["neurons"]
        pressed = page.locator("#filters button, #filters select, thead button").locator(
            "visible=true"
        )
        assert all(each.bounding_box()["height"] >= 44 for each in pressed.all())


def test_headings_of_a_long_table_stay_in_sight(browser, many):
    with opened(browser, many) as found:
        region = found.page.get_by_role("region", name="Ranking")
        region.evaluate("(each) => { each.scrollTop = 3000; }")
        heading = found.page.locator(CHANGE).bounding_box()
        assert region.evaluate("(each) => each.scrollTop") == 3000
        assert heading["y"] == pytest.approx(region.bounding_box()["y"], abs=1)


def test_printed_all_is_on_the_paper(browser, site):
    """A4 across has 1,031 pixels between margins of 12 mm."""
    with opened(browser, site / "index.html", width=1031) as found:
        found.page.emulate_media(media="print")
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 1031
        assert found.page.locator("form:visible, nav:visible").count() == 0
        assert len(names(found.page)) == 7


@pytest.fixture(scope="module")
def cheats(tmp_path_factory) -> Path:
    rows = [
        BASE,
        Made("lab/dpo", lowers=0.2),
        Made("lab/neurons", "neurons", 0.05),
        Made("lab/wrecked", lowers=0.4, ratio=3.0),
        Made("lab/broken", lowers=0.3, ratio=3.0),
        Made("reference/says-nothing", "other", 0.5, signs=("empty_rate",)),
        Made("reference/always-english", "other", 0.3, signs=("language_share",)),
    ]
    return built(tmp_path_factory.mktemp("cheats"), rows)


def built(folder: Path, rows: Any) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DETOX_BENCH_DATA", str(folder / "data"))
        found, _ = gather(write_board(folder / "board", rows), SUITE)
        return build(found, folder / "site").page


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    rows = [BASE, *(Made(f"lab/m-{n:03}", "dpo" if n % 2 else "other") for n in range(130))]
    return built(tmp_path_factory.mktemp("many"), rows)


@pytest.mark.parametrize("script", [True, False])
def test_of_many_rows_a_hundred_are_laid_out_and_all_can_be_asked_for(browser, many, script):
    with opened(browser, many, java_script_enabled=script) as found:
        page = found.page
        assert page.locator(NAMES).count() == 101  # a hundred are ranked, and the base
        if script:
            page.get_by_label("Method").select_option("dpo")
            assert page.locator(NAMES).count() == 65
            page.get_by_label("Method").select_option("")
        page.get_by_label("Show all rows").check()
        assert page.locator(NAMES).count() == 131


def test_the_first_rows_are_painted_within_a_second(browser, many):
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    with opened(browser, many) as found:
        found.page.wait_for_function(paint)
        assert found.page.evaluate(paint) < 1000
        assert found.page.locator("#board tbody tr").first.bounding_box()["y"] < 900


def test_the_board_of_this_project_is_quiet_and_shows_its_models(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("DETOX_BENCH_DATA", str(tmp_path / "data"))
    board = Path(__file__).parents[1] / "leaderboard"
    if not (board / "submissions").is_dir():
        pytest.skip("needs a checkout: a wheel has no submissions")
    page = build(gather(board, load_specification())[0], tmp_path / "site").page
    with opened(browser, page) as found:
        shown = found.page.locator(NAMES).all_inner_texts()
        assert {"detox-bench/mini-mgpt", "reference/says-nothing"} <= set(shown)
        assert found.page.locator("figure svg a").count() > 0
        found.page.get_by_label("Method").select_option("dpo")
        assert all("dpo" in each for each in found.page.locator(NAMES).all_inner_texts())
    assert (found.errors, found.requests) == ([], [])
