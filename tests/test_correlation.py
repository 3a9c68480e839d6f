"""Correlations: equal to scipy's, to the paper's, and to counting orders by hand."""

import math
from itertools import permutations

import numpy as np
import pytest

from detox_bench.correlation import orders_tried, pearson, pearson_p, spearman


@pytest.mark.parametrize(
    ("r", "p"), [(0.732, 0.0013), (0.59, 0.016), (0.66, 0.0054), (0.78, 0.0004)]
)
def test_p_of_the_correlations_of_the_paper(r, p):
    """arXiv 2406.16235, n = 16, whose "p < .01" does not hold for .59."""
    assert pearson_p(r, 16) == pytest.approx(p, abs=0.5 * 10 ** -len(str(p).split(".")[1]))
    assert pearson_p(-r, 16) == pearson_p(r, 16)


@pytest.mark.parametrize("n", [5, 16])
def test_coefficients_are_those_of_scipy(n):
    stats = pytest.importorskip("scipy.stats")
    chance = np.random.default_rng(n)
    x = chance.normal(size=n)
    y = np.round(x + chance.normal(size=n))  # rounded: ties
    found, ranked = pearson(x, y), spearman(x, y)
    expected = stats.pearsonr(x, y)
    assert found.coefficient.estimate == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert ranked.coefficient.estimate == pytest.approx(stats.spearmanr(x, y).statistic)


def test_p_counts_all_orders_of_few_items():
    x, y = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]
    found = spearman(x, y)
    # rho = 1 - 6 * (0 + 0 + 1 + 1) / (4 * 15) = .8; of 24 orders 4 reach .8 up (1, and .8 thrice)
    # and 4 down.
    assert found.coefficient.estimate == pytest.approx(0.8)
    assert found.p == pytest.approx(8 / 24)
    reached = [abs(np.corrcoef(x, order)[0, 1]) >= 0.8 - 1e-9 for order in permutations(y)]
    assert pearson(x, y).p_permutation == pytest.approx(np.mean(reached))
    assert orders_tried(4) == "all 24 orders" and orders_tried(16) == "100,000 random orders"


def test_random_orders_come_near_students_p():
    x = np.random.default_rng(0).normal(size=16)
    y = x + 2.5 * np.random.default_rng(1).normal(size=16)
    found = pearson(x, y)
    assert 0.001 < found.p < 0.5
    assert found.p_permutation == pytest.approx(found.p, rel=0.15)
    assert pearson(x, y) == found, "the same orders each time"


def test_perfect_and_no_correlation():
    x = np.arange(16.0)
    perfect = pearson(x, 3 - 2 * x)
    assert perfect.coefficient == pytest.approx((-1, -1, -1))
    assert perfect.p == pytest.approx(0, abs=1e-12)
    assert perfect.p_permutation == pytest.approx(1 / 100_001)
    assert math.isnan(pearson(x, np.full(16, 0.1)).coefficient.estimate)
    assert math.isnan(spearman(x, np.full(16, 0.1)).p)


def test_spearman_does_not_see_how_far_apart_values_are():
    chance = np.random.default_rng(4)
    x, y = chance.normal(size=12), chance.normal(size=12)
    assert spearman(x, y) == spearman(np.exp(3 * x), y**3)
    assert pearson(x, y) != pearson(np.exp(3 * x), y**3)
    assert pearson(x, y).coefficient == pytest.approx(pearson(5 * x + 1, 0.1 * y).coefficient)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    chance, hits = np.random.default_rng(5), 0
    for _ in range(60):
        pairs = chance.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=40)
        interval = pearson(*pairs.T).coefficient
        hits += interval.low < 0.6 < interval.high
    assert 50 <= hits < 60  # 57 expected
