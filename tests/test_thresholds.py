"""Tables of thresholds: derived, written, read, and only for the scorer they are of."""

import json

import pytest
from doubles import HashScorer

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.harness.options import TaskOptions
from detox_bench.scorers.thresholds import ThresholdTable, read_threshold, threshold_for
from detox_bench.scorers.validation import FEWEST
from detox_bench.validation.thresholds import RULES, derive

TABLE = ThresholdTable("hash@1#000000000000", "best", "completions", {"de": 0.25})


def _figures(best: float, matched: float, n: int = FEWEST) -> dict:
    return {
        "n_toxic": n,
        "n_harmless": n,
        "best_threshold": {"threshold": best},
        "matched_threshold": matched,
    }


STORED = {
    "scorer": {"id": "s@1#0f"},
    "languages": {
        "de": {"prompts": _figures(0.1, 0.2), "completions": _figures(0.3, 0.4)},
        "ru": {"prompts": _figures(0.5, 0.6)},
        "sw": {"completions": _figures(0.7, 0.8, FEWEST - 1)},
    },
}


@pytest.mark.parametrize(
    ("rule", "expected"), [("best", {"de": 0.3, "ru": 0.5}), ("matched", {"de": 0.4, "ru": 0.6})]
)
def test_a_rule_takes_completions_before_prompts_and_leaves_out_few_texts(rule, expected):
    table = derive(STORED, rule)
    assert table == ThresholdTable("s@1#0f", rule, "completions, prompts", expected)
    assert rule in RULES


def test_nothing_to_derive_from_is_a_sentence():
    few = {"scorer": {"id": "s"}, "languages": {"sw": STORED["languages"]["sw"]}}
    with pytest.raises(DetoxBenchError, match=f"No language has {FEWEST} toxic and"):
        derive(few, "best")


def test_a_table_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "table.json"
    file.write_text(json.dumps(TABLE.as_json()))
    assert read_threshold(str(file)) == TABLE


@pytest.mark.parametrize("given", [0.3, "0.3", 0, 1])
def test_a_number_is_a_number(given):
    assert read_threshold(given) == float(given)


@pytest.mark.parametrize("given", [2, "high", None, "no-file.json", -0.1, float("nan")])
def test_what_is_neither_is_a_sentence(given):
    with pytest.raises(DetoxBenchError, match="is not a number from 0 to 1"):
        read_threshold(given)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"scorer": "s"}', json.dumps(TABLE.as_json() | {"thresholds": [1]})],
)
def test_a_file_that_is_no_table_is_a_sentence(tmp_path, content):
    file = tmp_path / "table.json"
    file.write_text(content)
    with pytest.raises(BadData, match=r"is no table of thresholds\. Write one: detox-bench"):
        read_threshold(str(file))


def test_a_table_with_a_wrong_number_is_a_sentence(tmp_path):
    file = tmp_path / "table.json"
    file.write_text(json.dumps(TABLE.as_json() | {"thresholds": {"de": 1.5}}))
    with pytest.raises(DetoxBenchError, match=r"The threshold 1\.5 is not a number"):
        read_threshold(str(file))


def test_the_threshold_of_a_language():
    scorer = HashScorer()
    assert threshold_for(None, scorer, "de") == scorer.threshold
    assert threshold_for(0.7, scorer, "de") == 0.7
    assert threshold_for(TABLE, scorer, "DE") == 0.25
    with pytest.raises(DetoxBenchError, match="has none for 'en', only for de"):
        threshold_for(TABLE, scorer, "en")
    with pytest.raises(DetoxBenchError, match=r"is of scorer hash@1#0+, and this is other"):
        threshold_for(TABLE, HashScorer(id="other@1#0f"), "de")


def test_the_tasks_take_a_table(tmp_path):
    file = tmp_path / "table.json"
    file.write_text(json.dumps(TABLE.as_json()))
    assert TaskOptions.of({"detox_threshold": str(file)}).threshold == TABLE
