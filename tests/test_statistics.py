"""Bootstrap intervals over prompts."""

import math

import numpy as np
import pytest

from detox_bench.statistics import bootstrap_means, mean_interval


def test_the_estimate_is_the_mean_and_lies_in_the_interval():
    values = [0.0, 0.25, 0.5, 1.0]
    interval = mean_interval(values)
    assert interval.estimate == 0.4375
    assert 0.0 <= interval.low < interval.estimate < interval.high <= 1.0


def test_the_interval_agrees_with_the_normal_one_on_many_values():
    values = np.random.default_rng(1).random(2000)
    interval = mean_interval(values.tolist(), resamples=4000)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, abs=half / 10)
    assert interval.high == pytest.approx(values.mean() + half, abs=half / 10)


def test_a_lower_level_is_a_narrower_interval():
    values = np.random.default_rng(2).random(50).tolist()
    wide, narrow = mean_interval(values, 0.95), mean_interval(values, 0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_equal_values_have_no_width():
    assert mean_interval([0.25] * 9) == (0.25, 0.25, 0.25)


def test_the_same_seed_gives_the_same_interval_and_another_another():
    values = np.random.default_rng(3).random(40).tolist()
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values, seed=1) != mean_interval(values)


def test_one_value_has_no_bounds_and_none_no_estimate():
    one, nothing = mean_interval([0.5]), mean_interval([])
    assert one.estimate == 0.5 and math.isnan(one.low) and math.isnan(one.high)
    assert all(map(math.isnan, nothing))


def test_bootstrap_means_are_those_of_resampled_values():
    # Two values: a mean of two draws is 0, 1/2 or 1, with probabilities 1/4, 1/2, 1/4.
    means = bootstrap_means(np.array([0.0, 1.0]), resamples=4000, seed=0)
    shares = [(means == value).mean() for value in (0.0, 0.5, 1.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert sum(shares) == 1.0
