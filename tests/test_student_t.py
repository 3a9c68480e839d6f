"""Student's t: equal to scipy's."""

import pytest

from detox_bench.student_t import t_p, t_quantile


def test_students_t_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 8, 14, 15, 27):
        for t in (0.0, 0.3, 1.0, 2.1, 9.0):
            assert t_p(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), abs=1e-12)
        assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom))


def test_quantiles_are_those_of_printed_tables():
    assert t_quantile(23) == pytest.approx(2.069, abs=5e-4)
    assert t_quantile(9, 0.99) == pytest.approx(3.250, abs=5e-4)
