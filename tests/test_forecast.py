"""The forecast: lines, what they miss, prediction intervals, and p-values of all that was tried."""

import json
import math

import numpy as np
import pytest

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.forecast import (
    fit_line,
    forecast,
    line_from_json,
    line_json,
    try_predictors,
)
from detox_bench.languages import PAPER_LANGUAGES

CODES = [code for code in PAPER_LANGUAGES if code != "en"]


def values(numbers):
    return dict(zip(CODES, map(float, numbers), strict=False))


def test_a_line_through_four_points_by_hand():
    # Means 1.5 and 3; products -1.5 * -2 + -.5 * -1 + .5 * 0 + 1.5 * 3 = 8, squares 5: slope 1.6.
    line = fit_line([0, 1, 2, 3], [1, 2, 3, 6])
    assert (line.slope, line.mean_x, line.mean_y) == pytest.approx((1.6, 1.5, 3.0))
    # At .6, 2.2, 3.8, 5.4: residuals .4, -.2, -.8, .6; squares .16 + .04 + .64 + .36 = 1.2, by 2.
    assert line.residual == pytest.approx(math.sqrt(0.6))
    # Left out, the residual grows by 1 / (1 - leverage), 1 - (.7, .3, .3, .7) = .3, .7, .7, .3.
    missed = [0.4 / 0.3, 0.2 / 0.7, 0.8 / 0.7, 0.6 / 0.3]
    assert line.error == pytest.approx(np.mean(missed))
    # The mean of the others misses by 4/3 of the distance to the mean: (2, 1, 0, 3).
    assert line.error_of_mean == pytest.approx(4 / 3 * 6 / 4)
    assert line.gain.estimate == pytest.approx(2 - np.mean(missed)) and line.better
    # t for 2 degrees of freedom: 4.3027. At the mean of x, the variance is .6 * (1 + 1/4).
    half = 4.302653 * math.sqrt(0.6 * 1.25)
    assert line.predict(1.5) == pytest.approx((3, 3 - half, 3 + half), abs=1e-5)
    wider = 4.302653 * math.sqrt(0.6 * (1.25 + 1.5**2 / 5))
    assert line.predict(3) == pytest.approx((5.4, 5.4 - wider, 5.4 + wider), abs=1e-5)
    assert line.outside(3.1) and not line.outside(3)


def test_no_better_than_the_mean_forecasts_the_mean():
    line = fit_line([0, 1, 2, 3], [1, 0, 0, 1])
    assert not line.better and not line.surely_better
    # Mean .5, squares 4 * .25 = 1, by 3; t for 3 degrees of freedom: 3.1824.
    half = 3.182446 * math.sqrt(1 / 3 * 1.25)
    for x in (0, 100):
        assert line.predict(x) == pytest.approx((0.5, 0.5 - half, 0.5 + half), abs=1e-5)
    found = forecast(line, {"de": 1.0, "fr": 9.0, "it": math.nan})
    assert [(each.language, each.reached, each.outside) for each in found] == [
        ("fr", None, True),
        ("de", None, False),
    ]


def test_exact_lines_reach_where_they_are_above_zero():
    line = fit_line([1, 2, 3, 4, 5], [10, 20, 30, 40, 50])
    assert line.error == pytest.approx(0, abs=1e-9) and line.surely_better
    found = {each.language: each for each in forecast(line, {"de": 3.5, "fr": -1.0})}
    assert found["de"].drop.estimate == pytest.approx(35) and found["de"].reached is True
    assert found["fr"].drop.estimate == pytest.approx(-10) and found["fr"].reached is False


def test_prediction_intervals_hold_one_more_language_as_often_as_they_say():
    chance, hits = np.random.default_rng(0), 0
    for _ in range(400):
        x = chance.normal(size=9)
        y = 2 * x + chance.normal(size=9)
        interval = fit_line(x[:8], y[:8]).predict(x[8])
        hits += interval.low < y[8] < interval.high
    assert 0.92 < hits / 400 < 0.98


def test_all_predictors_are_corrected_for_their_number():
    chance = np.random.default_rng(1)
    drops = values(chance.normal(size=16))
    good = {code: drop + 0.3 * chance.normal() for code, drop in drops.items()}
    predictors = {"good": good} | {f"noise{n}": values(chance.normal(size=16)) for n in range(9)}
    found = try_predictors(predictors, drops)
    assert [each.name for each in found] == list(predictors)
    assert found[0].pearson_p_holm == pytest.approx(10 * found[0].pearson.p)
    assert found[0].spearman_p_holm == pytest.approx(10 * found[0].spearman.p)
    assert found[0].line.surely_better
    assert all(each.pearson_p_holm >= each.pearson.p for each in found)
    (alone,) = try_predictors({"good": good}, drops)
    assert alone.pearson_p_holm == alone.pearson.p == found[0].pearson.p


def test_languages_of_one_side_only_are_left_out():
    drops = values([1, 2, 3, 4, 5, math.nan])
    given = values([5, 4, 3, 2, math.nan, 1, 7])
    (found,) = try_predictors(
        {"one": given, "few": values([1, 2, 3]), "flat": values([1] * 6)}, drops
    )
    assert found.name == "one"
    assert list(found.values) == CODES[:4] and found.line.n == found.pearson.n == 4
    assert found.pearson.coefficient.estimate == pytest.approx(-1)


@pytest.mark.parametrize("given", [{}, {"few": values([1, 2, 3])}, {"flat": values([1] * 16)}])
def test_nothing_to_forecast_with_is_a_sentence(given):
    with pytest.raises(DetoxBenchError, match=r"in 4 languages whose drop is known: ar, cs"):
        try_predictors(given, values(range(16)))


def test_a_line_survives_json_and_damage_is_a_sentence():
    line = fit_line([0, 1, 2, 3], [1, 2, 3, 6])
    written = json.loads(json.dumps(line_json(line)))
    assert line_from_json(written) == line
    for broken in (None, [], {**written, "slope": None}, {"n": 4}, {**written, "more": 1}):
        with pytest.raises(BadData, match="damaged"):
            line_from_json(broken)
    with pytest.raises(BadData, match="through 3 points"):
        line_from_json({**written, "n": 3})
