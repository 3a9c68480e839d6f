"""The site as files: whole, the same twice, no markup of strangers, numbers for machines."""

import csv
import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest
from board_doubles import BASE, IMAGE, LONG, OVERRIDE, SCRIPT, SUITE, Made, write_board
from typer.testing import CliRunner

from detox_bench.cli import app
from detox_bench.errors import DetoxBenchError
from detox_bench.leaderboard import shown
from detox_bench.leaderboard.board_cells import COLUMNS
from detox_bench.leaderboard.board_figures import MARKS
from detox_bench.leaderboard.board_rows import board_groups
from detox_bench.leaderboard.heat_map import heat_rows
from detox_bench.leaderboard.interval_strips import strips_of
from detox_bench.leaderboard.pages import render_board
from detox_bench.leaderboard.site import build, check_output, commit_of, gather
from detox_bench.leaderboard.table_markup import table_markup
from detox_bench.reports.cells import Cell, Column, Row, Table
from detox_bench.reports.html import environment, read_template

ALLOWED = re.compile(
    r"(#|data:|https://example\.org/model$|https://huggingface\.co/|(\.\./)?[\w/%.-]+)"
)


@pytest.fixture(autouse=True)
def data(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DETOX_BENCH_DATA", str(tmp_path_factory.getbasetemp() / "board-data"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = tmp_path_factory.mktemp("board")
    found, _ = gather(write_board(made / "board"), SUITE, commit="c" * 40)
    build(found, made / "site")
    return made / "site"


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_a_page_for_each_list_and_model_and_numbers_for_machines(site):
    files = sorted(str(each.relative_to(site)) for each in site.rglob("*.*"))
    models = [each for each in files if each.startswith("models/")]
    assert len(models) == 7
    assert files[:2] == ["data.csv", "data.json"]
    assert (site / "index.html").read_bytes() == (site / "sample-ngram.html").read_bytes()


def test_the_same_board_gives_the_same_bytes(site, tmp_path):
    found, _ = gather(write_board(tmp_path / "board"), SUITE, commit="c" * 40)
    build(found, tmp_path / "site")
    for file in site.rglob("*.*"):
        assert (tmp_path / "site" / file.relative_to(site)).read_bytes() == file.read_bytes()


def test_nothing_of_strangers_becomes_markup(site):
    for file in site.rglob("*.html"):
        text = file.read_text("utf-8")
        assert OVERRIDE[5] not in text
        tags = Tags(text).tags
        assert [tag for tag, _ in tags].count("script") == 1
        assert not [tag for tag, _ in tags if tag in ("img", "iframe", "object", "base")]
        assert not [name for _, found in tags for name in found if name.startswith("on")]
        assert not [name for _, found in tags for name in found if name == "style"]
        addresses = [a[n] for _, a in tags for n in ("href", "src") if n in a]
        assert all(ALLOWED.match(address) for address in addresses)
    board = (site / "index.html").read_text("utf-8")
    assert "&lt;script&gt;window.hacked" in board  # the note on a removal is text
    assert LONG not in board
    model = (site / "models" / f"lab__{'x' * 100}.html").read_text("utf-8")
    assert "safe \\u202etxt.exe" in model
    assert LONG in model


def test_every_link_within_the_site_leads_somewhere(site):
    for file in site.rglob("*.html"):
        for tag, found in Tags(file.read_text("utf-8")).tags:
            address = found.get("href", "")
            if tag != "a" or address.startswith("https:"):
                continue
            path, _, anchor = address.partition("#")
            target = (file.parent / path) if path else file
            assert target.is_file(), (file, address)
            assert not anchor or f'id="{anchor}"' in target.read_text("utf-8"), (file, address)


def test_the_page_says_where_its_numbers_are_from(site):
    text = (site / "index.html").read_text("utf-8")
    for each in ("Content note", SUITE.suite, "as of 2026-11-25", "cccccccccccc", "Copied."):
        assert each in text
    assert "2026-11-20" in text  # the date of the removal


def test_the_page_of_a_model_has_its_runs_with_all_that_was_stated(site):
    text = (site / "models" / "lab__dpo.html").read_text("utf-8")
    row = next(r for r in rows(site) if r["model"] == "lab/dpo")
    assert f'id="run-{row["run_id"][:12]}"' in text
    assert f"https://huggingface.co/lab/dpo/tree/{'1' * 40}" in text
    for each in (
        "Recipe of the training",
        "&#34;beta&#34;: 0.1",
        "detox-bench eval &lt;script",
        "|lang:zh-Hans",
        "0.900",
        "none of RTP-LX",
    ):
        assert each in text
    reference = (site / "models" / "reference__says-nothing.html").read_text("utf-8")
    assert "huggingface.co" not in reference
    assert "not ranked: <bdi>reference row" in reference


def rows(site):
    return json.loads((site / "data.json").read_text("utf-8"))["rankings"][0]["rows"]


def test_the_json_has_the_numbers_that_were_submitted(site):
    found = rows(site)
    assert [row["rank"] for row in found] == [1, 1, 3, 4, None, None, None]
    assert found[-1]["unranked"] == "outside the band: perplexity × 3.00"
    assert set(found[0]["numbers"]) == {*SUITE.languages, "mean"}
    mean = found[0]["numbers"]["mean"]
    assert mean["emt_base"] + mean["emt_change"] == pytest.approx(mean["emt"])


def test_the_csv_has_a_line_a_run_and_language_and_no_formula(tmp_path):
    board = write_board(tmp_path / "b", [BASE, Made("lab/dpo", licence="=1+1")])
    found, _ = gather(board, SUITE)
    build(found, tmp_path / "site")
    with (tmp_path / "site" / "data.csv").open(encoding="utf-8", newline="") as content:
        lines = list(csv.DictReader(content))
    assert len(lines) == 2 * 18
    assert {line["licence"] for line in lines} == {"apache-2.0", "'=1+1"}
    mean = next(line for line in lines if line["language"] == "mean" and line["model"] == "lab/dpo")
    assert float(mean["emt_change"]) == pytest.approx(-0.1, abs=0.01)


def test_another_suite_is_not_shown_and_said(tmp_path):
    board = write_board(tmp_path / "b")
    for file in (board / "submissions" / "lab__dpo").rglob("submission.json"):
        file.write_text(file.read_text().replace(SUITE.suite, "another-suite"))
    found, remarks = gather(board, SUITE)
    assert remarks == ["Not shown, being of another suite, list or track: 1."]
    assert "lab/dpo</bdi>" not in render_board(found, found.main)


def text_of_main(page):
    return unescape(re.sub(r"<[^>]+>", "", page[page.index("<main") : page.index("</main>")]))


def test_the_page_says_in_words_who_is_ranked_and_who_is_not(site):
    main = text_of_main((site / "index.html").read_text("utf-8"))
    assert "4 ranked, 1 not ranked, 1 base model, 1 reference row." in main
    places = [main.index(each) for each in ("Not ranked, for", "Base models:", "Reference rows:")]
    assert places == sorted(places)
    for words in (
        "outside the band: perplexity × 3.00",
        "dpo, base lab/base",
        "made from lab/base",
    ):
        assert words in main
    for column in COLUMNS:
        assert f"{column.heading}{column.about}." in main  # what it is, also without a mouse


def test_rows_are_grouped_and_what_stands_for_a_rank_is_a_word(tmp_path):
    found, _ = gather(write_board(tmp_path / "b"), SUITE)
    groups = {group.word: group.rows for group in board_groups(found.main)}
    assert {word: [row.cells[0].text for row in rows] for word, rows in groups.items()} == {
        "ranked": ["1", "1", "3", "4"],
        "not ranked": ["not ranked"],
        "base": ["base"],
        "reference": ["reference"],
    }
    every = [row for rows in groups.values() for row in rows]
    assert [row.cells[0].sort for row in every] == list(range(7))
    assert [row.strip is not None for row in every] == [True] * 4 + [False] * 3


def test_strips_are_on_one_scale_from_no_change_to_the_largest(tmp_path):
    """0 is right, the lowest bound left, so a place is a share of the lowest bound."""
    found, _ = gather(write_board(tmp_path / "b"), SUITE)
    ranked = found.main.ranked
    lowest = min(row.counted.change.low for row in ranked)
    for row in ranked:
        text = str(strips_of(ranked).draw(row))
        zero = float(re.search(r'<line x1="([\d.]+)" x2="\1"', text)[1])
        middle = float(re.search(r'cx="([\d.]+)"', text)[1])
        width = zero - 3  # the left end is one radius in
        assert (zero - middle) / width == pytest.approx(
            row.counted.change.estimate / lowest, abs=0.002
        )
    assert strips_of(ranked[:1]).draw(ranked[0]) is None  # nothing to compare with


def test_the_page_tells_the_counted_change_from_the_change_as_it_is(site):
    """What counts of neurons is -0.05 in all languages but ko, where toxicity falls by 0.55."""
    own = next(row for row in rows(site) if row["model"] == "lab/neurons")
    assert own["uncounted"] == ["ko"]
    mean, ko, de = (own["numbers"][code] for code in ("mean", "ko", "de"))
    assert mean["counted_change"] == pytest.approx(-0.05 * 16 / 17, abs=0.01)
    assert mean["emt_change"] < mean["counted_change"] < mean["counted_change_high"]
    assert (ko["counted_change"], ko["counted_change_low"]) == (0.0, None)
    assert ko["emt_change"] < -0.4
    assert de["counted_change"] == de["emt_change"]
    words = "text wrecked, fall not counted: ko"
    board = text_of_main((site / "index.html").read_text("utf-8"))
    page = text_of_main((site / "models" / "lab__neurons.html").read_text("utf-8"))
    assert board.count(words) == 1
    assert f"mean of languages; {words}" in page
    assert "mean of languages, as it is" in page
    base = next(row for row in rows(site) if row["model"] == "lab/base")
    assert base["uncounted"] is None
    assert base["numbers"]["mean"]["counted_change"] is None


def test_the_page_of_a_model_names_whom_it_is_tied_with(site):
    texts = {
        name: text_of_main((site / "models" / f"lab__{name}.html").read_text("utf-8"))
        for name in ("dpo", "neurons", "wrecked")
    }
    assert "lab/dpo-again; surely better are 0, surely worse 2" in texts["dpo"]
    assert "nobody; surely better are 2, surely worse 1" in texts["neurons"]
    assert "Tied with" not in texts["wrecked"]


def test_of_many_that_a_model_is_tied_with_the_first_are_named(tmp_path):
    made = [BASE, *(Made(f"lab/m-{n:02}") for n in range(20))]
    found, _ = gather(write_board(tmp_path / "b", made), SUITE)
    build(found, tmp_path / "site")
    page = (tmp_path / "site" / "models" / "lab__m-00.html").read_text("utf-8")
    assert " and 7 more; surely better are 0" in text_of_main(page)
    assert page.count('<a href="../models/lab__m-') == 12


def test_a_fall_by_wrecked_text_has_no_colour_of_a_fall(tmp_path):
    board = write_board(tmp_path / "b", [BASE, Made("lab/dpo", lowers=0.2, wrecked=("de",))])
    found, _ = gather(board, SUITE)
    (row,) = heat_rows(found.main, ["de", "fr"])
    assert [cell.tone for cell in row.cells] == ["doubtful sure", "fall-4 sure"]
    assert row.cells[0].link == "⚠"


def test_scatters_tell_groups_by_shape_and_show_base_and_limit(site):
    text = (site / "index.html").read_text("utf-8")
    figure = text[text.index('id="toxicity-against-perplexity-title"') :]
    figure = figure[: figure.index("</svg>")]
    assert len({mark.path for mark in MARKS.values()}) == len(MARKS) == 4
    for group, count in {"ranked": 4, "not ranked": 1, "base": 1, "reference": 1}.items():
        assert figure.count(f'd="{MARKS[group].path}"') == count
    assert "lab/base, base: " in figure
    assert 'class="outside"' in figure


def test_a_board_that_nobody_has_added_to_is_a_page_that_says_how(tmp_path):
    (tmp_path / "board").mkdir()
    with pytest.raises(DetoxBenchError, match="has no submissions"):
        gather(tmp_path / "board", SUITE)
    (tmp_path / "board" / "benchmark.yaml").write_text("suite: of a board\n")
    found, remarks = gather(tmp_path / "board", SUITE)
    assert remarks == [f"No submission of suite {SUITE.suite} is here."]
    built = build(found, tmp_path / "site")
    page = text_of_main(built.page.read_text("utf-8"))
    assert (built.shown, built.models) == (0, 0)
    assert "Nobody has submitted anything yet" in page
    assert "detox-bench leaderboard add run/base --method base" in page
    assert json.loads((tmp_path / "site" / "data.json").read_text())["date"] is None


def test_a_board_of_a_base_alone_says_that_nobody_is_ranked(tmp_path):
    found, _ = gather(write_board(tmp_path / "b", [BASE]), SUITE)
    page = text_of_main(render_board(found, found.main))
    for words in (
        "0 ranked, 1 base model.",
        "No model is ranked yet.",
        "Nothing to show: no model here has a change against a base.",
        "No model here has a perplexity.",
    ):
        assert words in page


@pytest.mark.parametrize("sortable", [True, False])
def test_tables_are_those_of_the_template_letter_by_letter(sortable):
    columns = [Column("language", numeric=False), Column("a <b>", 'of "c"'), Column("", 'of "c"')]
    cells = [
        Cell("de", "Deutsch", "de", language="de"),
        Cell(IMAGE, SCRIPT, None, tone="clean"),
        Cell("–", tone="worse"),
    ]
    lines = [Row(cells, search=IMAGE, muted=True), Row([Cell("fr"), Cell("1", sort=0.1), Cell("")])]
    templates = environment()
    written = templates.from_string(
        '{% import "macros.html.j2" as parts with context %}{{ parts.table(found) }}'
    )
    for shorter in (
        Table(IMAGE, columns, lines, [lines[0]], ["a < b", SCRIPT], sortable),
        Table("plain", [Column("x"), Column("y"), Column("z")], lines[1:], sortable=sortable),
    ):
        plain = re.sub(r"\n", "", written.render(found=shorter))
        assert table_markup(shorter) == plain


def test_a_folder_that_is_no_site_of_ours_is_never_replaced(site, tmp_path):
    with pytest.raises(DetoxBenchError, match="--overwrite"):
        check_output(site, False)
    check_output(site, True)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DetoxBenchError, match="no site of ours"):
        check_output(tmp_path, True)
    with pytest.raises(DetoxBenchError, match="is a file"):
        check_output(tmp_path / "thesis.tex", True)


def test_the_command_builds_and_says_what(tmp_path):
    board, out = write_board(tmp_path / "board"), tmp_path / "site"
    asked = [
        "leaderboard",
        "build",
        "--board",
        str(board),
        "--output",
        str(out),
        "--date",
        "2026-12-01",
    ]
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0, found.output
    assert "sample, ngram: 4 ranked, 3 not; different ranks: 3." in found.output
    assert "as of 2026-12-01" in (out / "index.html").read_text("utf-8")
    (out / "stale.html").write_text("old")
    assert CliRunner().invoke(app, [*asked, "--overwrite"]).exit_code == 0
    assert not (out / "stale.html").exists()


def test_a_folder_in_no_checkout_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) is None


@pytest.mark.parametrize(
    ("count", "words", "size"),
    [
        (None, "–", "unknown"),
        (8_900_000, "8.9M", "tiny"),
        (1_700_000_000, "1.7B", "medium"),
        (10**9, "1B", "medium"),
        (15 * 10**9, "15B", "huge"),
    ],
)
def test_sizes_are_written_short_and_each_has_its_filter(count, words, size):
    assert shown.parameters(count) == words
    assert shown.size_class(count) == size


def test_numbers_have_one_decimal_of_a_percentage_and_none_is_not_zero():
    assert shown.percent(0.0449) == "4.5"
    assert shown.percent(None) == "–"
    assert shown.percent_cell(None).sort is None


def luminance(colour):
    values = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def mixed(one, other, share):
    values = [(int(one[n : n + 2], 16), int(other[n : n + 2], 16)) for n in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in values)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_numbers_on_the_heat_map_have_the_contrast_of_wcag_aa(theme):
    """At least 4.5 : 1 of text on every colour of the map (WCAG 2.2, 1.4.3)."""
    from importlib.resources import files

    own = files("detox_bench.leaderboard").joinpath("templates/board.css").read_text("utf-8")
    named = re.findall(
        r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", read_template("report.css") + own
    )
    colours = {name: pair[theme] for name, *pair in named}
    rules = re.findall(r"color-mix\(in srgb, var\(--(\w+)\) (\d+)%, var\(--page\)\)", own)
    assert len(rules) == 8
    for name, share in rules:
        ground = mixed(colours[name], colours["page"], int(share) / 100)
        light, dark = sorted((luminance(ground), luminance(colours["ink"])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, share)


def test_markup_in_a_licence_stays_text_in_the_filter(site):
    options = [
        a for tag, a in Tags((site / "index.html").read_text("utf-8")).tags if tag == "option"
    ]
    assert f"{IMAGE[:40]}…" in [each.get("value") for each in options]
    assert SCRIPT not in (site / "index.html").read_text("utf-8")
