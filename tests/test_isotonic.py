"""Isotonic regression: hand-worked, and equal to scikit-learn's."""

import numpy as np
import pytest

from detox_bench.isotonic import fit_isotonic


def test_a_falling_pair_is_pooled_to_its_mean():
    """1, 3, 2, 4: the middle two fall, and become (3 + 2) / 2."""
    found = fit_isotonic([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 2.0, 4.0])
    assert found([0, 1, 2, 3]) == [1.0, 2.5, 2.5, 4.0]
    assert found([0.5, -9, 9]) == [1.75, 1.0, 4.0]


def test_equal_places_are_one_with_their_mean():
    """At 0 the mean of 1 and 3 with weight 2; pooled with 0.5 it is (1 + 3 + 0.5) / 3."""
    found = fit_isotonic([0.0, 0.0, 1.0], [1.0, 3.0, 0.5])
    assert found([0, 1]) == [1.5, 1.5]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_regression_of_scikit_learn(seed):
    sklearn = pytest.importorskip("sklearn.isotonic", reason="scikit-learn is not installed")
    random = np.random.default_rng(seed)
    x = random.random(300).round(2)
    y = np.clip(x**2 + 0.3 * random.standard_normal(300), 0, 1)
    theirs = sklearn.IsotonicRegression(out_of_bounds="clip").fit(x, y)
    places = np.linspace(-0.1, 1.1, 200)
    assert np.allclose(fit_isotonic(x, y)(places), theirs.predict(places), atol=1e-12)
