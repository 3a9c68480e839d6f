"""Badges: which a submission has, how they are added, and what is shown of them."""

import json

import pytest
from submission_doubles import SUITE, add_base, add_model, edit
from typer.testing import CliRunner

from detox_bench.commands.leaderboard import app
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.leaderboard import specification
from detox_bench.leaderboard.entries import add_badge, has_badge, read_entries


@pytest.fixture
def board(tmp_path):
    """Return a board with a base and a model made from it."""
    _, base = add_base(tmp_path / "board")
    add_model(tmp_path / "board", base)
    return tmp_path / "board"


def entry(board, name="lab__dpo"):
    (found,) = [each for each in read_entries(board) if each.spot.model == name]
    return found


def test_badges_stand_together_and_say_how_far_it_was_checked(board):
    folder = entry(board).folder
    assert entry(board).badges == ("self-reported",)
    add_badge(folder, "contaminated", "Seen")
    assert entry(board).badges == ("self-reported", "contaminated")
    add_badge(folder, "reproduced", "Made again")
    assert entry(board).badges == ("reproduced", "contaminated")
    add_badge(folder, "samples-checked", "Computed again")
    assert entry(board).badges == ("samples-checked", "reproduced", "contaminated")
    assert [each.note for each in entry(board).given] == ["Seen", "Made again", "Computed again"]
    assert has_badge(folder, "reproduced")
    assert not has_badge(folder, "removed")


def test_what_has_the_badge_removed_among_others_is_removed(board):
    folder = entry(board).folder
    add_badge(folder, "reproduced", "Made again")
    assert not entry(board).removed
    add_badge(folder, "removed", "Copied")
    assert entry(board).removal.note == "Copied"


def test_nothing_is_added_to_a_file_of_badges_that_cannot_be_read(board):
    file = entry(board).folder / "badge.json"
    file.write_text("{}", "utf-8")
    with pytest.raises(BadData, match=r"badge\.json holds an object of 0, not a list .* Mend"):
        add_badge(file.parent, "removed", "Copied")
    assert file.read_text("utf-8") == "{}"
    file.unlink()
    with pytest.raises(BadData, match="note is"):
        add_badge(file.parent, "removed", "x" * 201)


def test_a_page_shows_every_badge_with_its_note(board, tmp_path, monkeypatch):
    monkeypatch.setattr(specification, "load_specification", lambda *_: SUITE)
    add_badge(entry(board).folder, "contaminated", "Seen <b>there</b>")
    add_badge(entry(board).folder, "reproduced", "Made again")
    arguments = ["build", "--board", str(board), "--output", str(tmp_path / "site")]
    CliRunner().invoke(app, arguments, catch_exceptions=False)
    page = (tmp_path / "site" / "models" / "lab__dpo.html").read_text("utf-8")
    assert "Seen &lt;b&gt;there&lt;/b&gt;" in page
    assert "Made again" in page


def check(board, *words):
    return CliRunner().invoke(app, ["check", str(board), *words], catch_exceptions=False)


def test_check_gives_a_badge_once_to_what_is_fine(board, monkeypatch):
    monkeypatch.setattr(specification, "load_specification", lambda *_: SUITE)
    wrong = entry(board, "lab__dpo").folder
    edit(wrong, {"degenerate": True})
    done = check(board, "--write-badge")
    assert "Badge samples-checked: 1 written, 0 were there." in done.output
    assert entry(board, "lab__base").badges == ("samples-checked",)
    assert not (wrong / "badge.json").exists()
    before = json.loads((entry(board, "lab__base").folder / "badge.json").read_text("utf-8"))
    assert "Badge samples-checked: 0 written, 1 were there." in check(board, "--write-badge").output
    after = json.loads((entry(board, "lab__base").folder / "badge.json").read_text("utf-8"))
    assert after == before


def test_no_badge_is_written_where_the_board_was_changed(board, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(specification, "load_specification", lambda *_: SUITE)
    before = shutil.copytree(board, tmp_path / "before")
    shutil.rmtree(entry(board).folder)
    with pytest.raises(DetoxBenchError, match="What is on the board was changed: no badge"):
        check(board, "--against", str(before), "--write-badge")
