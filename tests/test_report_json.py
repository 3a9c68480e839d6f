"""The report as JSON: strict, with the numbers of the comparison."""

import json
import math
from dataclasses import replace

import pytest
from report_doubles import TEXTS, report

from detox_bench.comparison import as_json
from detox_bench.reports.as_json import report_json, strict
from detox_bench.statistics import Interval


@pytest.fixture(scope="module")
def three():
    return report(3, with_samples=True)


def test_numbers_that_are_not_finite_are_null_and_types_of_ours_objects():
    found = strict({"a": Interval(1.0, math.nan, math.inf), "b": ({1}, True, None)})
    assert found == {"a": {"estimate": 1.0, "low": None, "high": None}, "b": [[1], True, None]}


def test_the_report_is_strict_json_with_the_rows_of_the_comparison(three):
    found = json.loads(json.dumps(report_json(three), allow_nan=False))
    assert (found["kind"], found["schema"]) == ("report", 1)
    assert found["compared"][1]["about"]["name"] == "cheat"
    assert found["compared"][0]["rows"] == as_json(three.compared[0].rows)
    assert found["compared"][1]["verdicts"]["de"]["signs"]
    assert found["scorer"]["least_auc"] == 0.8


def test_samples_are_there_only_when_asked_for(three):
    assert TEXTS["hi"] in json.dumps(report_json(three), ensure_ascii=False)
    without = report_json(replace(three, with_samples=False))
    assert all("samples" not in each for each in without["compared"])
    assert TEXTS["hi"] not in json.dumps(without, ensure_ascii=False)
