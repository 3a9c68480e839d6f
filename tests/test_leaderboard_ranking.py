"""Rankings: who is ranked, who is listed beside and why, badges, and the arrays that are kept."""

import gzip
import json

import numpy as np
import pytest
from board_doubles import BASE, MADE, SUITE, Made, write_board

from detox_bench.errors import BadData
from detox_bench.leaderboard import prompt_toxicity as toxicity
from detox_bench.leaderboard.entries import read_entries
from detox_bench.leaderboard.ranking import prompt_changes, rankings
from detox_bench.leaderboard.submission import SAMPLES


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("DETOX_BENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def board(tmp_path):
    return write_board(tmp_path / "board")


@pytest.fixture
def ranking(board):
    (found,) = rankings(read_entries(board), SUITE)
    return found


def name(row):
    return row.entry.submission.model.name


def test_ranked_is_by_the_change_against_the_own_base_and_equal_models_share_a_rank(ranking):
    assert [name(row) for row in ranking.ranked[:3]] == ["lab/dpo-again", "lab/dpo", "lab/neurons"]
    assert [row.standing.rank for row in ranking.ranked] == [1, 1, 3, 4]
    assert [row.standing.lowest for row in ranking.ranked] == [2, 2, 3, 4]


def test_base_reference_and_wrecked_rows_stand_beside_with_the_reason(ranking):
    assert [(name(row), row.reason) for row in ranking.unranked] == [
        ("lab/base", "base model"),
        ("reference/says-nothing", "reference row"),
        ("lab/wrecked", "outside the band: perplexity × 3.00"),
    ]
    # Each of them is less toxic than the best ranked row, but for the base.
    assert all(row.change < ranking.ranked[0].change for row in ranking.unranked[1:])


def test_what_was_removed_is_in_no_ranking(ranking, board):
    assert "lab/gone" not in map(name, ranking.rows)
    assert [e.submission.model.name for e in read_entries(board) if e.removed] == ["lab/gone"]


def test_a_row_whose_base_is_not_on_the_board_is_not_ranked(tmp_path):
    bases = (BASE._replace(badge={"badge": "removed"}), Made("lab/dpo", wrecked=("de",)))
    (found,) = rankings(read_entries(write_board(tmp_path / "b", bases)), SUITE)
    assert not found.ranked
    assert [row.reason for row in found.unranked] == ["its base model is not on the board"]


@pytest.mark.parametrize("badge", [None, "samples-checked", "contaminated"])
def test_a_row_whose_base_no_maintainer_reproduced_is_not_ranked(tmp_path, badge):
    """Whoever submits a worse base wins by as much as it was made worse."""
    given = {"badge": badge} if badge else None
    made = (BASE._replace(badge=given), Made("lab/dpo"), Made("lab/wrecked", ratio=3.0))
    (found,) = rankings(read_entries(write_board(tmp_path / "b", made)), SUITE)
    assert not found.ranked
    assert {name(row): row.reason for row in found.unranked} == {
        "lab/base": "base model",
        "lab/dpo": "its base was not reproduced by a maintainer",
        "lab/wrecked": "its base was not reproduced by a maintainer; "
        "outside the band: perplexity × 3.00",
    }


def test_a_base_that_is_reproduced_and_contaminated_is_the_base_of_a_ranked_row(tmp_path):
    board = write_board(tmp_path / "b", (BASE, Made("lab/dpo")))
    (file,) = (board / "submissions" / "lab__base").rglob("badge.json")
    given = json.loads(file.read_text())
    file.write_text(json.dumps([{**given[0], "badge": "contaminated"}, *given]))
    (found,) = rankings(read_entries(board), SUITE)
    assert list(map(name, found.ranked)) == ["lab/dpo"]
    assert found.unranked[0].entry.badges == ("reproduced", "contaminated")


@pytest.fixture
def ruined(tmp_path):
    """Two models that fall by 0.1 everywhere; of one, ja and ko are wrecked and fall by 0.6."""
    made = (
        BASE,
        Made("lab/whole", lowers=0.1, noise=0.0),
        Made("lab/ruins", lowers=0.1, noise=0.0, wrecked=("ja", "ko")),
    )
    (found,) = rankings(read_entries(write_board(tmp_path / "b", made)), SUITE)
    return {name(row): row for row in found.ranked}


def test_what_ranks_is_the_counted_change_where_a_wrecked_language_gains_nothing(ruined):
    """As it is, ruins fall further; what counts is -0.1 in 15 of 17 languages, 0 in two."""
    whole, ruins = ruined["lab/whole"], ruined["lab/ruins"]
    assert ruins.change < whole.change == pytest.approx(-0.1)
    assert whole.counted.left_out == ()
    assert whole.counted.change.estimate == whole.change
    assert ruins.counted.left_out == ("ja", "ko")
    assert ruins.counted.change.estimate == pytest.approx(-0.1 * 15 / 17)
    assert ruins.counted.change.low <= ruins.counted.change.estimate <= ruins.counted.change.high
    assert [row.standing.rank for row in (whole, ruins)] == [1, 2]


def test_the_prompts_of_a_wrecked_language_are_compared_as_zero(ruined):
    changes, prompts = prompt_changes([ruined["lab/ruins"]])
    wrecked = np.isin(prompts.languages, ("ja", "ko"))
    assert (changes[0, wrecked] == 0.0).all()
    assert changes[0, ~wrecked] == pytest.approx(-0.1)


def test_of_several_runs_of_a_model_the_first_is_ranked_not_the_best(tmp_path):
    """A removed run and one outside the band are not the first, another revision is another."""
    runs = [
        Made("lab/dpo", lowers=0.3, submitted="2026-11-20", badge={"badge": "removed"}),
        Made("lab/dpo", lowers=0.31, submitted="2026-11-20", ratio=3.0),
        Made("lab/dpo", lowers=0.1, submitted="2026-11-21"),
        Made("lab/dpo", lowers=0.2, submitted="2026-11-22"),
        Made("lab/dpo", lowers=0.25, submitted="2026-11-22", revision="2" * 40),
    ]
    (found,) = rankings(read_entries(write_board(tmp_path / "b", [BASE, *runs])), SUITE)
    assert [row.change for row in found.ranked] == pytest.approx([-0.25, -0.1], abs=0.01)
    assert [(round(row.change, 1), row.reason) for row in found.unranked[1:]] == [
        (-0.3, "outside the band: perplexity × 3.00"),
        (-0.2, "another run of this model is ranked"),
    ]


def test_a_row_names_whom_it_is_tied_with(ranking):
    tied = [[each.submission.model.name for each in row.tied] for row in ranking.ranked]
    assert tied == [["lab/dpo"], ["lab/dpo-again"], [], []]


def test_badges_say_how_far_it_was_checked_and_what_is_wrong(ranking):
    badges = {name(row): row.entry.badges for row in ranking.rows}
    assert badges["lab/dpo"] == ("self-reported",)
    assert badges["lab/dpo-again"] == ("samples-checked",)
    assert badges["lab/neurons"] == ("reproduced",)
    assert badges["lab/" + "x" * 100] == ("self-reported", "contaminated")
    assert badges["lab/wrecked"] == ("self-reported", "degenerate")


def test_lists_are_never_mixed(tmp_path):
    other = [BASE, Made("lab/dpo")]
    board = write_board(tmp_path / "b", other)
    write_board(board, [each._replace(prompt_list="quick", revision="2" * 40) for each in other])
    found = rankings(read_entries(board), SUITE)
    assert [each.prompt_list for each in found] == ["quick", "sample"]
    assert [len(each.rows) for each in found] == [2, 2]


def test_the_changes_of_prompts_have_the_mean_that_ranks(ranking):
    changes, prompts = prompt_changes(ranking.ranked)
    assert changes.shape == (4, 17 * 12)
    # A prompt's item is the last part of its id, which languages share.
    assert sorted(set(prompts.items), key=int) == [str(n) for n in range(12)]
    counted = [row.counted.change.estimate for row in ranking.ranked]
    assert changes.mean(-1) == pytest.approx(counted, abs=1e-12)
    assert [row.counted.left_out for row in ranking.ranked] == [(), (), ("ko",), ()]


def test_an_array_is_kept_and_made_again_where_samples_or_array_changed(board, data):
    folder = read_entries(board)[0].folder
    first = toxicity.prompt_toxicity(folder)
    (kept,) = (data / "leaderboard" / "emt-1").iterdir()
    kept.write_bytes(b"no array")
    assert np.array_equal(toxicity.prompt_toxicity(folder).emt, first.emt)
    lines = gzip.decompress((folder / SAMPLES).read_bytes()).replace(
        b'"scores":[0.', b'"scores":[0.9'
    )
    (folder / SAMPLES).write_bytes(gzip.compress(lines))
    assert (toxicity.prompt_toxicity(folder).emt >= 0.9).all()


def test_lines_written_otherwise_and_missing_scores_are_read_alike(board):
    folder = read_entries(board)[0].folder
    lines = [
        json.loads(line) for line in gzip.decompress((folder / SAMPLES).read_bytes()).splitlines()
    ]
    lines[0]["scores"], lines[1]["scores"] = [None, 0.25], [None, None]
    for text in (
        [json.dumps(line) for line in lines],
        [json.dumps(line, sort_keys=True, separators=(",", ":")) for line in lines],
    ):
        (folder / SAMPLES).write_bytes(gzip.compress("".join(f"{t}\n" for t in text).encode()))
        found = toxicity.prompt_toxicity(folder)
        assert found.emt[0] == 0.25
        assert np.isnan(found.emt[1])
        assert found.prompts[2] == lines[2]["prompt_id"]


def test_many_new_submissions_are_measured_in_several_processes(board, data, monkeypatch):
    folders = [entry.folder for entry in read_entries(board)]
    monkeypatch.setattr(toxicity, "_MANY", 4)
    toxicity.read_ahead(folders)
    assert len(list((data / "leaderboard" / "emt-1").iterdir())) == len(MADE)


def test_a_submission_that_cannot_be_read_is_named_in_a_sentence(board):
    entry = read_entries(board)[0]
    (entry.folder / "submission.json").write_text("{")
    with pytest.raises(BadData, match=r"lab__base.* is not JSON.*leaderboard check"):
        read_entries(board)
    with pytest.raises(BadData, match="elsewhere does not exist"):
        read_entries(board / "elsewhere")
    (entry.folder / SAMPLES).unlink()
    with pytest.raises(BadData, match="cannot be read"):
        toxicity.prompt_toxicity(entry.folder)
