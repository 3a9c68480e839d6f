"""Bootstrap intervals over prompts, and paired tests."""

import math

import numpy as np
import pytest

from benchmarks.coverage import Setting, coverage, effects, false_alarms, simulate
from detox_bench import statistics
from detox_bench.statistics import (
    auroc,
    bootstrap_means,
    holm,
    mean_interval,
    mean_of_groups,
    median_ratio_interval,
    paired_interval,
    percentile_bounds,
    quantiles,
    sign_flip_p,
)


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


def test_a_run_against_itself_differs_by_exactly_nothing():
    values = np.random.default_rng(4).random(30).tolist()
    samples = np.random.default_rng(4).random((30, 5)).tolist()
    assert paired_interval(values, values) == (0.0, 0.0, 0.0)
    assert median_ratio_interval(samples, samples) == (1.0, 1.0, 1.0)
    assert sign_flip_p(values, values) == 1.0


def test_pairing_takes_the_spread_between_prompts_out():
    before = np.random.default_rng(5).random(40)
    after = before - 0.1
    found = paired_interval(before.tolist(), after.tolist())
    assert found == pytest.approx((-0.1, -0.1, -0.1))


def test_percentiles_are_taken_further_out_for_few_prompts():
    # Of 24 prompts: t with 23 degrees of freedom is 2.0687, times sqrt(24 / 23) is 2.1132, and the
    # normal distribution has 1.729 % below minus that.
    draws = np.linspace(0, 1, 100_001)
    assert percentile_bounds(draws, 24) == pytest.approx([0.01729, 1 - 0.01729], abs=2e-5)
    assert percentile_bounds(draws, 10**4) == pytest.approx([0.025, 0.975], abs=2e-5)
    assert percentile_bounds(draws, 2) == pytest.approx([0.0, 1.0])
    both = percentile_bounds(np.stack([draws, draws + 1], 1), 24)
    assert both[:, 1] == pytest.approx(both[:, 0] + 1)


@pytest.mark.parametrize("setting", [Setting(24), Setting(100), Setting(30, languages=4)], ids=str)
def test_intervals_hold_a_known_effect_about_95_times_in_100(setting):
    # 400 simulations: a share of 95 % has a standard error of 1.1 %.
    for name, held in coverage(setting, 400, seed=1).items():
        assert 0.92 <= held.ours <= 0.98, name
        assert held.ours >= held.percentile


def test_tests_find_nothing_where_nothing_is_at_most_5_times_in_100():
    found = false_alarms(Setting(24, languages=5, shift=0.0), 60, seed=1)
    for name, each in found.items():
        # 300 tests: standard error 1.3 %; 60 families: 2.8 %.
        assert max(each.interval, each.test) <= 0.05 + 3 * 0.013, name
        assert each.corrected <= 0.05 + 3 * 0.028, name


def test_the_effects_that_are_simulated_are_those_computed():
    setting = Setting(40_000)
    simulated = simulate(setting, np.random.default_rng(0))
    for name, effect in effects(setting).items():
        before, after = simulated[name]
        error = (after - before).std() / math.sqrt(setting.n_prompts)
        assert (after - before).mean() == pytest.approx(effect, abs=4 * error)


def test_a_median_ratio_is_that_of_all_samples():
    before, after = [[1.0, 2.0], [3.0]], [[10.0], [2.0, 4.0, 8.0]]
    found = median_ratio_interval(before, after)
    assert found.estimate == 6.0 / 2.0  # medians of 1 2 3 and of 2 4 8 10
    # The first prompt twice: 10 / 1.5; the second twice: 4 / 3.
    assert (found.low, found.high) == pytest.approx((4 / 3, 10 / 1.5))
    assert all(map(math.isnan, median_ratio_interval([[]], [[1.0]])))


def test_draws_without_samples_are_no_draws():
    """One of six prompts has samples: a draw in three has none of it, and so no ratio."""
    samples = [[2.0], [], [], [], [], []]
    assert median_ratio_interval(samples, samples) == (1.0, 1.0, 1.0)


def test_infinite_values_have_quantiles_without_a_warning(recwarn):
    infinite = [1.0, math.inf, math.inf]
    assert quantiles(infinite, [0.0, 0.25, 0.5]).tolist() == [1.0, math.inf, math.inf]
    assert quantiles([1.0, 2.0, 4.0], [0.25, 0.5]).tolist() == [1.5, 2.0]
    found = median_ratio_interval([[1.0]] * 8, [[1.0], [1.0], [1.0], [math.inf]] * 2)
    assert found.low == 1.0
    assert not recwarn.list


def test_medians_of_draws_are_those_of_the_texts_drawn():
    random = np.random.default_rng(7)
    samples = [random.random(k).tolist() for k in (3, 1, 4, 2)]
    weights = random.integers(0, 3, (50, 4)) + np.array([1, 0, 0, 0])
    expected = [
        np.median(np.concatenate([np.repeat(s, w) for s, w in zip(samples, row, strict=True)]))
        for row in weights
    ]
    assert statistics._weighted_medians(samples, weights) == pytest.approx(expected)


def test_a_small_sign_flip_test_is_exact():
    # Differences 1, 2, 3: of 8 patterns the sums 6 and -6 are as far from 0 as the observed 6.
    assert sign_flip_p([0, 0, 0], [1, 2, 3]) == 2 / 8
    # Differences 1, 1, -1: sums are 3, 1, 1, 1, -1, -1, -1, -3, all at least 1 from 0.
    assert sign_flip_p([0, 0, 1], [1, 1, 0]) == 1.0
    assert sign_flip_p([0.5] * 10, [0.25] * 10) == 2 / 2**10
    assert math.isnan(sign_flip_p([], []))


def test_a_large_sign_flip_test_agrees_with_the_normal_one():
    random = np.random.default_rng(8)
    differences = random.normal(0.1, 0.5, 100)
    z = abs(differences.sum()) / np.sqrt((differences**2).sum())
    expected = math.erfc(z / math.sqrt(2))
    found = sign_flip_p([0.0] * 100, differences.tolist())
    assert found == pytest.approx(expected, abs=0.02)
    assert found == sign_flip_p([0.0] * 100, differences.tolist())


def test_holm_is_worked_by_hand():
    # Ascending .01 .02 .04: times 3, 2, 1 give .03 .04 .04; a larger one may not become smaller.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    corrected = holm([0.01, math.nan])
    assert corrected[0] == 0.01
    assert math.isnan(corrected[1])


def test_items_that_groups_share_are_drawn_and_turned_in_all_of_them():
    values = np.random.default_rng(9).normal(-0.1, 0.3, 40)
    items = [str(n) for n in range(40)]
    one, p = mean_of_groups([(items, values)])
    assert one == pytest.approx(mean_interval(values.tolist()))
    assert p == sign_flip_p([0.0] * 40, values.tolist())
    alike, same_p = mean_of_groups([(items, values)] * 6)
    assert alike == pytest.approx(one)
    assert same_p == p
    apart, _ = mean_of_groups([([f"{n} {i}" for i in items], values) for n in range(6)])
    # Six independent languages of one variance: their mean spreads by a root of six less.
    assert apart.high - apart.low == pytest.approx((one.high - one.low) / math.sqrt(6), rel=0.1)


def test_a_mean_of_groups_of_different_items_is_worked_by_hand():
    # Items a b in the first, b in the second: (1 + 3) / 2 = 2 and 4, in the mean 3.
    groups = [(["a", "b"], np.array([1.0, 3.0])), (["b"], np.array([4.0]))]
    found, p = mean_of_groups(groups)
    # Draws ab: 3. bb: (3 + 4) / 2 = 3.5. aa has nothing of the second and does not count.
    assert found == (3.0, 3.0, 3.5)
    # a adds 1/2 / 2 = 0.25, b adds (3/2 + 4) / 2 = 2.75: of 4 patterns 3 and -3 are as far.
    assert p == 2 / 4
    single, _ = mean_of_groups([(["a"], np.array([1.0])), (["a"], np.array([2.0]))])
    assert single.estimate == 1.5
    assert math.isnan(single.low)


def test_auroc_counts_pairs_and_halves_ties():
    positive = np.array([[1.0, 0.0], [3.0, 0.0]])
    negative = np.array([[0.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    # First detector: 1 beats 0; 3 beats 0 and 2 and ties with 3: (1 + 2.5) of 6 pairs.
    assert auroc(positive, negative).tolist() == [3.5 / 6, 0.5]
    assert np.isnan(auroc(positive, negative[:0])).all()


def test_auroc_agrees_with_scikit_learn_on_many_detectors():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    scores, labels = random.normal(size=(200, 9)).round(1), random.random(200) < 0.3
    wanted = [metrics.roc_auc_score(labels, column) for column in scores.T]
    np.testing.assert_allclose(auroc(scores[labels], scores[~labels]), wanted, rtol=1e-12)
