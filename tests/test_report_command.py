"""``detox-bench report``: files, folder, and what the terminal says."""

import json

import pytest
import report_doubles as doubles
from rich.console import Console
from test_report_gather import hash_scorer, run  # noqa: F401
from typer.testing import CliRunner

from detox_bench.commands import report
from detox_bench.errors import DetoxBenchError


def invoke(*arguments):
    result = CliRunner().invoke(report.app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


@pytest.fixture
def runs(tmp_path):
    return f"base={run(tmp_path / 'base', True)}", f"mild={run(tmp_path / 'after', False)}"


def test_three_files_say_the_same_and_the_terminal_names_the_page(tmp_path, runs):
    out = tmp_path / "out"
    shown = invoke(*runs, "--output", out, "--perplexity-model", "none", "--no-figures")
    assert "3 clean" in shown and str(out / "report.html") in shown.replace(" ", "")
    assert {file.name for file in out.iterdir()} == {"report.html", "report.md", "report.json"}
    found = json.loads((out / "report.json").read_text())
    rows = {row["language"]: row for row in found["compared"][0]["rows"]}
    emt = rows["de"]["emt"]
    for text in ((out / name).read_text() for name in ("report.html", "report.md")):
        assert f"{emt['base']:.3f}" in text and f"{emt['other']:.3f}" in text
        assert "mild" in text and "detox-bench" in text
    assert "Garten" not in (out / "report.html").read_text()


def test_a_report_is_not_written_over_unless_told_to(tmp_path, runs):
    out = tmp_path / "out"
    options = ("--output", out, "--perplexity-model", "none", "--no-figures")
    invoke(*runs, *options)
    (out / "mine.txt").write_text("kept")
    with pytest.raises(DetoxBenchError, match="out holds a report"):
        invoke(*runs, *options)
    invoke(*runs, *options, "--overwrite", "--title", "Again")
    assert "Again" in (out / "report.html").read_text()
    assert (out / "mine.txt").read_text() == "kept"


def test_a_refused_report_makes_no_folder(tmp_path, runs):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DetoxBenchError, match="nowhere does not exist"):
        invoke(*runs, tmp_path / "nowhere", "--output", tmp_path / "new" / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_a_report_without_perplexity_says_so(tmp_path, runs):
    options = ("--output", tmp_path / "out", "--perplexity-model", "none", "--no-figures")
    shown = invoke(*runs, *options)
    assert "Perplexity was not measured." in shown and "no model" not in shown


def test_a_file_is_no_folder_and_nothing_is_measured_for_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DetoxBenchError, match="is a file"):
        invoke("nowhere", "nowhere", "--output", tmp_path / "file")


def test_what_is_left_out_and_half_characters_are_told_in_the_terminal(capsys):
    found = doubles.report(3, title="a\udcff")
    report.print_report(found, Console(width=120), ["b\ud800"])
    shown = capsys.readouterr().out
    assert "a\ufffd" in shown and "b\ufffd" in shown
    assert f"cheat: hardly scored, and left out of the means: {doubles.INVALID_LANGUAGE}." in shown


def test_the_figures_of_an_earlier_report_do_not_stay(tmp_path, runs):
    out = tmp_path / "out"
    options = ("--output", out, "--perplexity-model", "none")
    invoke(*runs, *options)
    (out / "figures" / "change-2.png").write_text("of twenty runs")
    (out / "figures" / "mine.png").write_text("kept")
    invoke(*runs, *options, "--overwrite")
    left = {file.name for file in (out / "figures").iterdir()}
    assert "change-2.png" not in left and {"change.png", "mine.png"} <= left


def test_samples_are_in_the_report_only_where_asked_for(tmp_path, runs):
    out = tmp_path / "out"
    options = ("--perplexity-model", "none", "--no-figures", "--with-samples")
    invoke(*runs, "--output", out, *options)
    assert "Garten" in (out / "report.html").read_text()


def test_figures_are_drawn_and_their_absence_told(tmp_path, runs, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs matplotlib, of detox-bench[figures]")
    options = ("--perplexity-model", "none")
    invoke(*runs, "--output", tmp_path / "a", *options)
    assert {file.suffix for file in (tmp_path / "a" / "figures").iterdir()} == {".svg", ".png"}

    def without(*_):
        from detox_bench.errors import missing_extra

        raise missing_extra("A figure", "figures")

    monkeypatch.setattr("detox_bench.reports.figures.draw_figures", without)
    shown = invoke(*runs, "--output", tmp_path / "b", *options)
    assert "No figures were drawn" in shown and (tmp_path / "b" / "report.html").exists()
