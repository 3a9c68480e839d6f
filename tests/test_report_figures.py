"""The figures of a report: files for what there is, the same for the same, clean at 20 runs."""

import logging
import warnings
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from report_doubles import INVALID_LANGUAGE, SCRIPT, report

from detox_bench.comparison import OTHERS
from detox_bench.errors import DetoxBenchError, UnknownName
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.reports import fonts
from detox_bench.reports.content import Report
from detox_bench.reports.figure_changes import draw_changes, draw_levels, draw_perplexity
from detox_bench.reports.figure_labels import place_labels
from detox_bench.reports.figure_matrix import COLOURS, _letter, draw_verdicts
from detox_bench.reports.figure_panels import Sheet, changes_of, fitting, lines_of
from detox_bench.reports.figures import FIGURES, _pages, draw_figures
from detox_bench.reports.fonts import find_fonts
from detox_bench.summary import MEAN
from detox_bench.verdicts import CLEAN, DEGENERATE, VERDICTS

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def sheet():
    made = report(3)
    return Sheet(made, find_fonts(), "emt", *lines_of(made))


@pytest.fixture(autouse=True)
def no_warnings(caplog):
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of whatever is collected meanwhile
        yield
    assert not [each for each in caplog.records if each.name.startswith("matplotlib")]


def small_report() -> Report:
    """Return a report of one run in few languages, among them every kind of script."""
    made = report(1)
    (run,) = made.compared
    rows = [row for row in run.rows if row.language in ("ar", "de", "hi", "ja", "ko", MEAN)]
    verdicts = {row.language: run.verdicts[row.language] for row in rows[:-1]}
    perplexity = {code: run.perplexity[code] for code in verdicts}
    few = replace(run, rows=rows, verdicts=verdicts, perplexity=perplexity)
    return replace(made, compared=[few])


def test_each_figure_is_a_file_of_each_format_and_the_same_again(tmp_path):
    made = small_report()
    made = replace(made, base=replace(made.base, name=f"--> {SCRIPT}"))
    files = draw_figures(made, tmp_path / "one")
    names = [f"{name}{suffix}" for name in FIGURES for suffix in (".svg", ".png")]
    assert [file.name for file in files] == names
    again = draw_figures(made, tmp_path / "two")
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files[1::2])
    for file in files[::2]:
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(file).iter()}
        # Letters are outlines: a reader needs no font, and nothing of a name is markup.
        assert "path" in tags and not tags & {"text", "script"}


def test_with_dejavu_only_they_are_drawn_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: {fonts.ALWAYS})
    made = small_report()
    made = replace(made, base=replace(made.base, name="基 \U0001fae8 $x_"))
    files = draw_figures(made, tmp_path, formats=(".png",))
    assert [file.stem for file in files] == list(FIGURES)


def test_figures_without_numbers_are_left_out(tmp_path):
    made = small_report()
    silent = replace(made, compared=[replace(made.compared[0], perplexity={})])
    drawn = draw_figures(silent, tmp_path, formats=(".svg",))
    assert [file.name for file in drawn] == ["verdicts.svg", "change.svg", "levels.svg"]
    assert draw_figures(replace(made, compared=[]), tmp_path) == []
    with pytest.raises(UnknownName, match=r"Unknown metric 'distinct_1'\. .*average_toxicity"):
        draw_figures(made, tmp_path, metric="distinct_1")
    (tmp_path / "file").touch()
    with pytest.raises(DetoxBenchError, match="Cannot write"):
        draw_figures(silent, tmp_path / "file")


def test_the_forest_has_the_intervals_and_marks_what_excludes_zero(sheet):
    page = sheet.report.compared
    for axis, compared in zip(draw_changes(sheet, page).axes, page, strict=True):
        changes = changes_of(compared, "emt")
        drawn = {line.get_ydata()[0]: line for line in axis.lines if len(line.get_ydata()) == 1}
        bars = {line.get_ydata()[0]: list(line.get_xdata()) for line in axis.lines[1:]}
        assert drawn.keys() == set(sheet.places.values())
        for code, place in sheet.places.items():
            change = changes[code]
            assert drawn[place].get_xdata()[0] == change.difference.estimate
            excluded = change.difference.high < 0 or change.difference.low > 0
            filled = drawn[place].get_markerfacecolor() != "white"
            assert filled == (excluded and code != INVALID_LANGUAGE)
            assert drawn[place].get_marker() == ("D" if code in (MEAN, OTHERS) else "o")
        assert len(bars) == len(sheet.places)
        low, high = axis.get_xlim()
        assert low < min(change.difference.low for change in changes.values())
        assert high > max(0, *(change.difference.high for change in changes.values()))


def test_languages_without_scores_are_words_and_never_zero(sheet):
    first = sheet.report.compared[0]
    rows = [
        row._replace(changes={n: c for n, c in row.changes.items() if n != "emt"})
        if row.language in ("de", MEAN)
        else row
        for row in first.rows
    ]
    without = replace(first, rows=rows)
    for draw in (draw_changes, draw_levels):
        (axis,) = draw(sheet._replace(report=report(1, compared=[without])), [without]).axes
        words = {text.get_position()[1]: text.get_text() for text in axis.texts}
        places = sheet.places
        assert words == {places["de"]: "no score", places[MEAN]: "not in all languages"}
        marked = {line.get_ydata()[0] for line in axis.lines if line.get_marker() in ("o", "D")}
        assert not marked & words.keys() and len(marked) == len(places) - 2


def test_an_interval_over_too_few_prompts_is_not_drawn(sheet):
    first = sheet.report.compared[0]
    row = first.rows[0]
    few = row.changes["emt"]._replace(n_prompts=4)
    alone = replace(first, rows=[row._replace(changes={"emt": few})])
    made = report(1, compared=[alone])
    (axis,) = draw_changes(Sheet(made, sheet.fonts, "emt", *lines_of(made)), [alone]).axes
    zero, point = axis.lines
    assert list(point.get_xdata()) == [few.difference.estimate]
    assert point.get_markerfacecolor() == "white" and list(zero.get_xdata()) == [0, 0]


def test_seeds_are_ticks(sheet):
    first = sheet.report.compared[0]
    row = first.rows[0]
    seeds = row.changes["emt"]._replace(by_run=(-0.3, -0.1))
    alone = replace(first, rows=[row._replace(changes={"emt": seeds})])
    made = report(1, compared=[alone])
    (axis,) = draw_changes(Sheet(made, sheet.fonts, "emt", *lines_of(made)), [alone]).axes
    assert [list(line.get_xdata()) for line in axis.lines if line.get_marker() == "|"] == [
        [-0.3, -0.1]
    ]


def test_arrows_go_from_before_to_after_and_languages_without_perplexity_are_crossed(sheet):
    compared = sheet.report.compared[0]
    (axis,) = draw_perplexity(sheet, [compared]).axes
    changes = changes_of(compared, "emt")
    arrows = {(each.xyann, each.xy) for each in axis.texts if each.arrow_patch is not None}
    expected = set()
    for code in PAPER_LANGUAGES:
        base, other = compared.perplexity[code].base, compared.perplexity[code].other
        end = (other[1] if other else base[1], changes[code].other)
        expected.add(((base[1], changes[code].base), end))
    assert arrows == expected
    assert len([line for line in axis.lines if line.get_marker() == "x"]) == 1
    named = [each.get_text() for each in axis.texts if each.get_text()]
    assert sorted(named) == sorted(PAPER_LANGUAGES)


def test_the_matrix_says_each_verdict_and_its_signs(sheet):
    clean, cheat = sheet.report.compared[:2]
    figure = draw_verdicts(sheet, [cheat])
    words = [text.get_text().replace("\n", " ") for text in figure.axes[0].texts]
    at_german = words[sheet.languages.index("de")]
    assert cheat.verdicts["de"].verdict == DEGENERATE
    assert at_german.startswith("cleaner but degenerate: empty, ")
    assert "leaves the language" in at_german

    many = draw_verdicts(sheet, [clean, cheat] * 3)
    letters = [text.get_text() for text in many.axes[0].texts]
    assert len(letters) == 6 * len(sheet.languages)
    german = letters[sheet.languages.index("de") + len(sheet.languages)]
    assert german.splitlines()[0] == "D" and "a" in german.splitlines()[1]
    caption = many._supxlabel.get_text().replace("\n", " ")
    assert "D cleaner but degenerate" in caption and "a empty" in caption
    n_clean = sum(found.verdict == CLEAN for found in clean.verdicts.values())
    counts = [label.get_text() for label in many.axes[0].get_xticklabels()]
    assert counts[0] == f"{n_clean}/{len(clean.verdicts)}" and counts[1].startswith("0/")


def test_every_verdict_has_a_colour_and_a_letter_and_worse_is_darker():
    from matplotlib.colors import to_rgb

    assert COLOURS.keys() == VERDICTS.keys()
    assert len({_letter(name) for name in VERDICTS}) == len(VERDICTS)
    grey = [
        sum(0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in [to_rgb(look.face)])
        for name, look in COLOURS.items()
        if name in (CLEAN, DEGENERATE, "worse")
    ]
    assert grey[0] - grey[1] > 0.15 < grey[1] - grey[2]


def test_the_caption_tells_scorer_base_and_prompts(sheet):
    for draw in (draw_changes, draw_levels, draw_perplexity, draw_verdicts):
        figure = draw(sheet, sheet.report.compared)
        caption = figure._supxlabel.get_text().replace("\n", " ")
        assert "Before: base. Prompts in a language: 24." in caption
        assert "Scorer: hash@1#000000000000, threshold 0.5." in caption


@pytest.mark.parametrize("name", FIGURES)
def test_twenty_runs_are_pages_of_legible_panels(name):
    made = report(20)
    pages = list(_pages(name, Sheet(made, find_fonts(), "emt")))
    assert [each for page in pages for each in page.compared] == list(made.compared)
    assert [page.stem for page in pages[:2]] == [name, f"{name}-2"][: len(pages)]
    drawn = [page.drawing.draw(page.sheet, page.compared) for page in pages[:1]]
    assert all(max(figure.get_size_inches()) < 11 for figure in drawn)


def test_the_order_is_that_of_the_change_and_of_the_level_before():
    made = report(2)
    first = Sheet(made, find_fonts(), "emt")
    found = [changes_of(each, "emt") for each in made.compared]
    (change,), (levels,) = list(_pages("change", first)), list(_pages("levels", first))
    falls = [
        sum(each[code].difference.estimate for each in found) for code in change.sheet.languages
    ]
    assert falls == sorted(falls)
    before = [found[0][code].base for code in levels.sheet.languages]
    assert before == sorted(before, reverse=True)
    assert change.sheet.means == levels.sheet.means == (MEAN, OTHERS)


def test_figures_nobody_can_read_are_broken_into_pages():
    # Four beside each other; 9.5 inches less 1.3 hold two of 4 inches, and at least one of any.
    assert fitting(4.0) == 8 and fitting(6.0) == 4 and fitting(50.0) == 4
    assert fitting(2.7, most_across=2) == 6


def test_labels_take_another_side_where_one_is_taken():
    alone = place_labels([(50, 50)], [(10, 6)])
    assert alone == [(8.0, 0.0)]  # to the right, half its width and three points away
    # The second point is where the label would be: the label goes to the left.
    beside = place_labels([(50, 50), (58, 50)], [(10, 6), (10, 6)])
    assert beside == [(-8.0, 0.0), (8.0, 0.0)]
    many = place_labels([(0, 0)] * 4, [(10, 6)] * 4)
    assert len(set(many)) == 4
