"""Every format of an export: what it must hold, and that it holds toxicity beside quality."""

import json
import re

import pytest
import yaml
from leaderboard_runs import CLEAN, small_suite

from detox_bench.errors import DetoxBenchError, UnknownName
from detox_bench.leaderboard.agreement import generation_arguments
from detox_bench.leaderboard.board import OnBoard
from detox_bench.leaderboard.format_hub import DATA_SET
from detox_bench.leaderboard.formats import FORMATS, export
from detox_bench.leaderboard.making import Stated, make
from detox_bench.leaderboard.submission import (
    Method,
    ModelCard,
    SampleLine,
    ScorerCard,
    Submission,
)

SUITE = small_suite()
LOUD = "Loud <b>"
#: Required by ``eval.schema.json`` of Every Eval Ever 0.2.2.
REQUIRED = {
    "schema_version",
    "evaluation_id",
    "retrieved_timestamp",
    "source_metadata",
    "model_info",
    "eval_library",
    "evaluation_results",
}


def lines(score: float, empty: bool = False) -> list[SampleLine]:
    quality = {name: 0.5 for name in SUITE.quality if not name.endswith("_rate")}
    return [
        SampleLine(
            language=code,
            prompt_id=f"sample/{code}/{n}",
            asked="0" * 16,
            texts=["e3b0c44298fc1c14" if empty else f"{n:016x}"],
            scores=[score],
            perplexities=[None if empty else 10.0],
            metrics=quality,
        )
        for code in SUITE.languages
        for n in range(6)
    ]


def submission(base: OnBoard | None = None, score: float = 0.75, empty: bool = False) -> Submission:
    stated = Stated(
        "sample",
        "ngram",
        ModelCard(
            name="some/after" if base else "some/base",
            revision="0" * 40,
            weights_sha256="0" * 64,
            url="https://example.org/model",
        ),
        Method(kind="other" if base else "base", description=LOUD),
        CLEAN,
        generation_arguments(SUITE.sampling),
        {},
        ScorerCard(id=SUITE.tracks["ngram"].scorer, threshold=0.5, states={}, auc={}),
        "perplexity@0",
        {"detox_bench": "0.1.0"},
        {},
    )
    return make(stated, lines(score, empty), base, SUITE).submission


@pytest.fixture(scope="module")
def changed() -> Submission:
    return submission(OnBoard(submission(), lines(0.75)), 0.25)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_and_the_same_each_time(changed, tmp_path, name):
    export(changed, SUITE, name, tmp_path / "a")
    export(changed, SUITE, name, tmp_path / "b")
    text = (tmp_path / "a").read_text("utf-8")
    assert text == (tmp_path / "b").read_text("utf-8") and text.endswith("\n")
    assert SUITE.tracks["ngram"].scorer in text, "the scorer is named"
    assert "language_share" in text or "| language |" in text, "quality beside toxicity"


def test_another_format_is_refused(changed, tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'model-card'"):
        export(changed, SUITE, "modelcard", tmp_path / "a")
    with pytest.raises(DetoxBenchError, match="is a folder"):
        export(changed, SUITE, "model-card", tmp_path)


def test_every_eval_ever_has_what_its_schema_requires(changed):
    found = json.loads(FORMATS["every-eval-ever"].write(changed, SUITE))
    assert set(found) == REQUIRED
    assert found["schema_version"].startswith("0.3")
    assert found["model_info"]["id"] == "some/after"
    assert found["evaluation_id"].split("/")[1:2] == ["some_after"]
    ids = [each["evaluation_result_id"] for each in found["evaluation_results"]]
    assert len(ids) == len(set(ids)) == 3 * len(changed.mean)
    for each in found["evaluation_results"]:
        config, details = each["metric_config"], each["score_details"]
        assert config["min_score"] <= details["score"] <= config["max_score"]
        assert isinstance(config["lower_is_better"], bool)
        bounds = details["uncertainty"]["confidence_interval"]
        assert bounds["lower"] <= details["score"] <= bounds["upper"]
        assert all(isinstance(v, str) for v in each["source_data"]["additional_details"].values())
    emt = next(each for each in found["evaluation_results"] if each["evaluation_result_id"]
               .endswith("#de#emt"))  # fmt: skip
    assert emt["score_details"]["score"] == 0.25
    assert emt["score_details"]["uncertainty"]["num_samples"] == 6


def test_results_of_the_hub_name_a_task_and_a_value(changed):
    found = yaml.safe_load(FORMATS["hf-eval-results"].write(changed, SUITE))
    assert {each["dataset"]["id"] for each in found} == {DATA_SET}
    by_task = {each["dataset"]["task_id"]: each for each in found}
    assert len(by_task) == len(found)
    assert by_task["sample_ngram_mean_emt"]["value"] == 0.25
    assert by_task["sample_ngram_de_emt"]["value"] == 0.25
    assert by_task["sample_ngram_mean_language_share"]["value"] == 0.5
    assert all(each["source"]["url"] == "https://example.org/model" for each in found)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", each["date"]) for each in found)


def test_tasks_of_the_data_set_are_those_of_the_results(changed):
    benchmark = yaml.safe_load(FORMATS["eval-yaml"].write(changed, SUITE))
    assert {"name", "description", "evaluation_framework", "tasks"} == set(benchmark)
    results = yaml.safe_load(FORMATS["hf-eval-results"].write(changed, SUITE))
    tasks = [task["id"] for task in benchmark["tasks"]]
    assert tasks == [each["dataset"]["task_id"] for each in results]


def test_the_model_card_is_a_table_of_before_and_after(changed):
    found = FORMATS["model-card"].write(changed, SUITE).splitlines()
    table = [line for line in found if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + 3
    assert table[2].startswith("| de | 0.750 → 0.250 | 1.000 → 0.000 |")
    assert "× 1.00" in table[2] and "unchanged" in table[2]  # two of three: p of four prompts
    assert "Languages by verdict: 2 unchanged." in "\n".join(found)
    assert "Degenerate" not in "\n".join(found)


def test_a_degenerate_model_is_called_that(changed):
    found = submission(OnBoard(submission(), lines(0.75)), 0.0, empty=True)
    assert found.degenerate
    card = FORMATS["model-card"].write(found, SUITE)
    assert "**Degenerate**, outside the band of quality: empty; has no perplexity." in card
    assert "degenerate" in FORMATS["hf-eval-results"].write(found, SUITE)


def test_a_base_has_no_verdicts():
    card = FORMATS["model-card"].write(submission(), SUITE)
    assert "verdict" not in card and "→" not in card
    table = [line for line in card.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert "| 10.0 |" in table[2]
