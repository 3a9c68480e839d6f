"""``detox-bench score``: several scorers, several runs, a map, and what cannot be."""

import json

import pytest
from doubles import HashScorer
from test_stored_texts import run_folder
from typer.testing import CliRunner

from detox_bench.commands import score
from detox_bench.errors import DetoxBenchError
from detox_bench.score_archives import ArchivedScore
from detox_bench.score_maps import fit_map, write_map


@pytest.fixture(autouse=True)
def hash_scorers(monkeypatch):
    """Names are those of hash scorers; ``texts_per_call`` is an option of theirs."""
    monkeypatch.setattr(
        score,
        "load_scorer",
        lambda name, **options: HashScorer(name=name, id=f"{name}@1", **options),
    )


@pytest.fixture
def runs(tmp_path):
    return [
        run_folder(tmp_path / name, [("s", f"p{n % 2}", n // 2, f"{name} {n}") for n in range(6)])
        for name in ("one", "two")
    ]


def invoke(*arguments):
    result = CliRunner().invoke(score.app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_scorer_writes_its_file_beside_every_run(runs):
    printed = invoke(*runs, "--scorer", "a", "--scorer", "b", "--scorer", "a")
    assert printed.count("Every score:") == 4
    for run in runs:
        names = {file.name for file in run.glob("*scores-*")}
        assert names == {f"scores-{name}@1.{end}" for name in "ab" for end in ("json", "jsonl")}
    summary = json.loads((runs[0] / "scores-b@1.json").read_text())
    assert summary["scorer"]["id"] == "b@1" and summary["store"] == "one"


def test_json_is_an_object_of_one_and_a_list_of_several(runs):
    found = json.loads(invoke(runs[0], "--scorer", "a", "--json"))
    assert found["scorer"]["id"] == "a@1"
    found = json.loads(invoke(*runs, "--scorer", "a", "--json"))
    assert [each["store"] for each in found] == list(map(str, runs))


def test_options_reach_the_scorer(runs):
    assert json.loads(invoke(runs[0], "-o", "threshold=0.25", "--json"))["threshold"] == 0.25


def test_a_map_gives_scores_of_their_own(runs, tmp_path):
    rows = [ArchivedScore(f"text {n}", "de", 0.125) for n in range(50)]
    write_map(tmp_path / "map.json", fit_map(rows, HashScorer(name="a", id="a@1")))
    found = json.loads(invoke(runs[0], "--scorer", "a", "--map", tmp_path / "map.json", "--json"))
    assert found["scorer"]["id"].startswith("a@1+map#")
    assert found["languages"][0]["emt"]["estimate"] == 0.125


def test_strict_refuses_a_scorer_that_is_not_validated(runs):
    with pytest.raises(DetoxBenchError, match=r"--strict: scorer ngram@1 is not validated.*de"):
        invoke(*runs, "--strict")
    assert not list(runs[0].glob("scores-*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scorer", "a", "--scorer", "b", "-o", "x=1"), "--option is for one scorer"),
        (("second", "--output", "there"), "--output is for one run"),
    ],
)
def test_what_is_for_one_is_refused_for_several(runs, arguments, said):
    arguments = [runs[1] if each == "second" else each for each in arguments]
    with pytest.raises(DetoxBenchError, match=said):
        invoke(runs[0], *arguments)


def test_ray_and_a_launcher_are_not_for_one_command(runs, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DetoxBenchError, match="--ray has processes of its own"):
        invoke(runs[0], "--ray", "local")
