"""Maps of scores to an archive: fitted on one half, judged on the other, kept and applied."""

import json

import pytest
from doubles import HashScorer, hash_value
from test_stored_texts import run_folder

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.rescoring import rescore
from detox_bench.score_archives import ArchivedScore
from detox_bench.score_maps import fit_map, mapped, read_map, write_map

ROWS = [ArchivedScore(f"text {n}", "de", hash_value(f"text {n}") ** 2) for n in range(400)]


def test_a_rising_relation_is_found_and_its_error_is_of_the_other_half():
    """The archive has the square of our score, so that 0.5 is mapped to about 0.25."""
    found = fit_map(ROWS, HashScorer())
    (middle,) = found.functions["de"]([0.5])
    assert middle == pytest.approx(0.25, abs=0.02)
    error = found.errors["de"]
    assert error["n_fitted"] + error["n_tested"] == 400 and error["n_unscored"] == 0
    estimate, low, high = error["mae"]
    assert low <= estimate <= high < 0.01
    # |x - x²| over [0, 1] is 1/6 in the mean.
    assert error["mae_unmapped"][0] == pytest.approx(1 / 6, abs=0.03)
    assert error["rmse"][0] >= estimate


def test_copies_of_a_text_count_once_and_unscored_ones_are_counted():
    scorer = HashScorer(fails=lambda text: text == "text 3")
    error = fit_map([*ROWS, *ROWS], scorer).errors["de"]
    assert error["n_fitted"] + error["n_tested"] == 399 and error["n_unscored"] == 1


def test_too_few_texts_are_one_sentence():
    with pytest.raises(DetoxBenchError, match=r"needs 40 scored texts.*has de 39"):
        fit_map(ROWS[:39], HashScorer())


def test_a_map_is_read_as_it_was_written(tmp_path):
    found = fit_map(ROWS, HashScorer())
    write_map(tmp_path / "map.json", found)
    again = read_map(tmp_path / "map.json")
    assert again.functions == found.functions and again.hash == found.hash


def test_scores_are_recorded_as_mapped_by_a_scorer_of_its_own(tmp_path):
    write_map(tmp_path / "map.json", fit_map(ROWS, HashScorer()))
    run = run_folder(tmp_path / "run", [("s", "p", n, f"other {n}") for n in range(4)])
    scorer = HashScorer()
    named = mapped(scorer, tmp_path / "map.json")
    plain = rescore(run, scorer, run)
    found = rescore(run, scorer, run, recorded=named)
    assert found.scores != plain.scores and "+map#" in found.scores.name
    (line,) = map(json.loads, found.scores.read_text().splitlines())
    unmapped = [hash_value(f"other {n}") for n in range(4)]
    assert line["scores"] == read_map(tmp_path / "map.json").functions["de"](unmapped)
    stored = json.loads(found.summary.read_text())["scorer"]
    assert stored["id"] == named.id and stored["spec"] == "hash+map"
    assert stored["settings"] == {"map": named.map.hash}
    assert [each.value for each in named.score(["other 0"], "de")] == line["scores"][:1]


def test_another_scorer_or_language_is_refused(tmp_path):
    write_map(tmp_path / "map.json", fit_map(ROWS, HashScorer()))
    with pytest.raises(DetoxBenchError, match=r"maps the scores of hash@1#0+, not of other@1"):
        mapped(HashScorer(id="other@1"), tmp_path / "map.json")
    with pytest.raises(DetoxBenchError, match="no language 'en'; it has de"):
        mapped(HashScorer(), tmp_path / "map.json").put_on_scale([0.5], "en")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"scorer": "s", "languages": {"de": {"x": [0, 1], "y": [1, 0]}}}'],
)
def test_a_file_that_is_no_map(tmp_path, content):
    (tmp_path / "map.json").write_text(content)
    with pytest.raises(BadData, match="is not a map of scores"):
        read_map(tmp_path / "map.json")
