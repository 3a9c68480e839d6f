"""``detox-bench compare-scorers``: from stored scores, with a base, with an archive."""

import json

import pytest
from doubles import HashScorer, hash_value
from test_stored_texts import run_folder
from typer.testing import CliRunner

from detox_bench import stored_scores
from detox_bench.commands import compare_scorers
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.rescoring import rescore
from detox_bench.types import ToxicityScore

#: Texts by how toxic the scorer "up" finds them, worst first; "down" says the opposite.
TEXTS = sorted((f"text {n}" for n in range(400)), key=hash_value, reverse=True)
BOTH = ("--scorer", "up", "--scorer", "down")


class Opposite(HashScorer):
    """Scores 1 minus what the hash scorer says."""

    def score(self, texts, language):
        return [ToxicityScore(1 - hash_value(text)) for text in texts]


SCORERS = {
    "up": HashScorer(name="up", id="up@1"),
    "same": HashScorer(name="same", id="same@1"),
    "down": Opposite(name="down", id="down@1"),
}


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """Return the names of the scorers that were loaded."""
    names = []

    def load(name):
        names.append(name)
        return SCORERS[name]

    monkeypatch.setattr(stored_scores, "load_scorer", load)
    monkeypatch.setattr(compare_scorers, "load_scorer", load)
    return names


def store(path, texts):
    """Write ten prompts of three texts each."""
    return run_folder(path, [("s", f"p{n // 3}", n % 3, text) for n, text in enumerate(texts[:30])])


def invoke(*arguments):
    result = CliRunner().invoke(
        compare_scorers.app, list(map(str, arguments)), catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_equal_scorers_agree_and_opposite_ones_do_not(tmp_path):
    run, file = store(tmp_path / "run", TEXTS[::13]), tmp_path / "out.json"
    shown = invoke(run, "--scorer", "same", *BOTH, "--json", file)
    found = json.loads(file.read_text())
    texts = {tuple(p["scorers"]): p["languages"]["de"]["texts"] for p in found["pairs"]}
    assert texts["same@1", "up@1"]["spearman"]["estimate"] == pytest.approx(1)
    assert texts["up@1", "down@1"]["kendall"]["estimate"] == pytest.approx(-1)
    assert found["scorers"][0] == {"id": "same@1", "threshold": 0.5}
    assert "up@1 and down@1" in shown and "needs 3 runs, given 1" in shown
    disputed = found["pairs"][2]["disagreements"]
    assert len(disputed) == 3 and set(disputed[0]["ranks"]) == {0.0, 1.0}
    assert disputed[0]["scores"][0] + disputed[0]["scores"][1] == pytest.approx(1)


def test_texts_are_shown_only_when_asked_for(tmp_path):
    run = store(tmp_path / "run", TEXTS)
    hidden, shown = invoke(run, *BOTH), invoke(run, *BOTH, "--with-texts", "--top", "1")
    assert "text " + TEXTS[0][5:] not in hidden and "The texts are hidden" in hidden
    assert TEXTS[0] in shown or TEXTS[29] in shown


def test_stored_scores_are_read_and_not_made_again(tmp_path, loaded):
    run = store(tmp_path / "run", TEXTS)
    invoke(run, *BOTH)
    assert loaded == ["up", "down"]
    invoke(run, "--scorer", "up@1", "--scorer", "down")
    assert loaded == ["up", "down"]


def test_whether_the_conclusion_holds_under_each(tmp_path):
    """The run after has the mildest texts by "up", which are the worst by "down"."""
    base, after = store(tmp_path / "base", TEXTS), store(tmp_path / "after", TEXTS[::-1])
    file = tmp_path / "out.json"
    shown = invoke(after, "--base", base, "--scorer", "same", *BOTH, "--json", file)
    (found,) = json.loads(file.read_text())["conclusions"].values()
    words = {scorer: each["conclusion"] for scorer, each in found["de"]["scorers"].items()}
    assert words == {"same@1": "lower", "up@1": "lower", "down@1": "higher"}
    assert found["de"]["holds"] is False
    assert "All scorers conclude the same in 0 of 1 languages." in shown
    shown = invoke(after, "--base", base, "--scorer", "same", "--scorer", "up")
    assert "All scorers conclude the same in 1 of 1 languages." in shown


def test_three_runs_are_ordered_by_each_scorer(tmp_path):
    """By "up" their EMT falls, by "down" it rises: -1, in 2 of 3! orders as far from 0."""
    runs = [store(tmp_path / f"{n}", TEXTS[n * 100 :]) for n in range(3)]
    file = tmp_path / "out.json"
    shown = invoke(*runs, *BOTH, "--json", file)
    model = json.loads(file.read_text())["pairs"][0]["models"]["de"]
    assert model["spearman"]["coefficient"]["estimate"] == pytest.approx(-1)
    assert model["kendall"] == pytest.approx(-1)
    assert model["spearman"]["p_permutation"] == pytest.approx(2 / 6)
    assert "Order of 3 models by EMT in de" in shown


def test_unscored_texts_are_left_out_and_counted(tmp_path):
    run, file = store(tmp_path / "run", TEXTS), tmp_path / "out.json"
    rescore(run, HashScorer(name="up", id="up@1", fails=lambda text: text == TEXTS[3]), run)
    invoke(run, *BOTH, "--json", file)
    (pair,) = json.loads(file.read_text())["pairs"]
    assert pair["languages"]["de"]["n_unscored"] == 1 and pair["languages"]["de"]["n_texts"] == 29


def test_a_base_that_another_version_or_threshold_scored_is_refused(tmp_path):
    base, run = store(tmp_path / "a", TEXTS), store(tmp_path / "b", TEXTS[30:])
    rescore(base, SCORERS["up"], base)
    rescore(base, SCORERS["down"], base)
    rescore(run, SCORERS["up"], run, threshold=0.1)
    rescore(run, SCORERS["down"], run)
    with pytest.raises(
        DetoxBenchError, match=r"from 0.1, .* by up@1 from 0.5|from 0.5, .* from 0.1"
    ):
        invoke(run, "--base", base, *BOTH)


def test_a_run_that_has_grown_is_scored_again(tmp_path, loaded):
    run = store(tmp_path, TEXTS[:15])
    for name in ("up", "down"):
        rescore(run, SCORERS[name], run)
    run_folder(
        run, [("s", f"q{n // 3}", n % 3, text) for n, text in enumerate(TEXTS[30:45])], rank=1
    )
    invoke(run, *BOTH)
    assert loaded == ["up", "down"]


def test_scores_of_two_versions_are_not_chosen_from(tmp_path):
    run = store(tmp_path / "run", TEXTS)
    for version in (1, 2):
        rescore(run, HashScorer(name="up", id=f"up@{version}"), run)
    with pytest.raises(DetoxBenchError, match=r"scores of several up: up@1, up@2\. Name one"):
        invoke(run, *BOTH)


def test_a_broken_file_of_scores_is_named(tmp_path):
    run = store(tmp_path / "run", TEXTS)
    rescore(run, SCORERS["up"], run).scores.write_text("{}\n")
    with pytest.raises(BadData, match=r"scores-up@1\.jsonl line 1 is not what detox-bench score"):
        invoke(run, *BOTH)


def test_a_map_is_fitted_to_an_archive(tmp_path):
    rows = [{"text": t, "language": "de", "score": hash_value(t) / 2} for t in TEXTS]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = ("--map", tmp_path / "map.json", "--json", tmp_path / "out.json")
    shown = invoke("--archive", tmp_path / "a.jsonl", "--scorer", "up", *files)
    assert "put on the scale of" in shown and "detox-bench score RUN" in shown
    stored = json.loads((tmp_path / "map.json").read_text())
    assert stored["scorer"] == "up@1" and stored["languages"]["de"]["mae"][0] < 0.01
    assert json.loads((tmp_path / "out.json").read_text())["languages"]["de"]["n_tested"] > 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--scorer", "up"), "two scorers or more.*1 runs and 1 scorers"),
        (("--scorer", "up", "--scorer", "down"), "0 runs and 2 scorers"),
        (("run", *BOTH, "--map", "map.json"), "--map is fitted to an --archive"),
        (("--archive", "a.jsonl", "--scorer", "up"), "of one scorer and no run"),
        (("missing", *BOTH), "missing does not exist"),
    ],
)
def test_what_cannot_be_compared(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "run", TEXTS)
    with pytest.raises(DetoxBenchError, match=said):
        invoke(*arguments)
