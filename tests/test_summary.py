"""The table by language: means, intervals, and the unweighted mean of languages."""

import json

import pytest

from detox_bench.metrics import prompt_metrics
from detox_bench.statistics import mean_interval
from detox_bench.summary import COLUMNS, MEAN, as_json, summarise

# de: 2 prompts with EMT 0 and 1; en: 4 prompts, all .25. The unweighted mean is (.5 + .25) / 2,
# not the (0 + 1 + 4 * .25) / 6 over all prompts.
METRICS = {
    "en": [{"emt": 0.25, "empty_rate": 0.0}] * 4,
    "de": [{"emt": 0.0, "empty_rate": 0.5}, {"emt": 1.0, "empty_rate": 0.0}],
}


def test_a_row_a_language_in_order_and_the_unweighted_mean_last():
    rows = summarise(METRICS)
    assert [(row.language, row.n_prompts) for row in rows] == [("de", 2), ("en", 4), (MEAN, 6)]
    assert [row.values["emt"].estimate for row in rows] == [0.5, 0.25, 0.375]
    assert rows[1].values["emt"] == (0.25, 0.25, 0.25)
    assert rows[0].values["emt"] == mean_interval([0.0, 1.0])


def test_the_interval_of_the_mean_draws_each_language_anew():
    mean = summarise(METRICS)[-1].values["emt"]
    # de alone moves between 0 and 1, en not at all: the mean between .125 and .625.
    assert (mean.low, mean.high) == (0.125, 0.625)
    wide = [{"emt": float(n % 2)} for n in range(100)]
    one = summarise({"de": wide})[0].values["emt"]
    four = summarise({code: wide for code in ("de", "en", "fr", "it")})[-1].values["emt"]
    # Four independent languages: half the width of one.
    assert (four.high - four.low) == pytest.approx((one.high - one.low) / 2, rel=0.1)


def test_one_language_has_no_mean_and_none_no_row():
    assert [row.language for row in summarise({"de": METRICS["de"]})] == ["de"]
    assert summarise({}) == []


def test_prompts_without_a_value_are_left_out_and_counted():
    prompts = [prompt_metrics(scores, ["a"]) for scores in ([0.5], [None])]
    (row,) = summarise({"de": prompts})
    assert row.n_prompts == 2
    assert row.values["emt"].estimate == 0.5
    assert row.values["unscored_rate"].estimate == 0.5


def test_a_column_that_a_language_lacks_has_no_mean():
    rows = summarise({"de": [{"emt": 0.5}], "en": [{"empty_rate": 0.0, "emt": 0.1}]})
    assert set(rows[-1].values) == {"emt"}


def test_every_metric_of_a_prompt_is_a_column():
    assert set(prompt_metrics([0.5], ["a b c"])) == set(COLUMNS)


def test_as_json_has_null_where_there_is_no_bound():
    (row,) = as_json(summarise({"de": [{"emt": 0.5}]}))
    assert row == {
        "language": "de",
        "n_prompts": 1,
        "emt": {"estimate": 0.5, "low": None, "high": None},
    }
    json.dumps(as_json(summarise(METRICS)), allow_nan=False)
