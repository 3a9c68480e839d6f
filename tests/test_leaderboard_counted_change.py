"""The change that counts: a fall in wrecked text is worth nothing, a rise is what it is."""

import numpy as np
import pytest

from detox_bench.comparison import compare
from detox_bench.leaderboard.counted_change import counted_in, counted_mean, gains_nothing
from detox_bench.leaderboard.submission import ChangeOfMetric, Estimate, LanguageChange

SIGN = ["repetition"]


def language(change: float, signs=()) -> LanguageChange:
    difference = Estimate(estimate=change, low=change - 0.01, high=change + 0.01)
    metric = ChangeOfMetric(base=0.5, difference=difference, p=0.01, p_holm=0.02)
    return LanguageChange(metrics={"emt": metric}, verdict=None, signs=list(signs))


@pytest.mark.parametrize(
    ("change", "signs", "nothing"),
    [(-0.1, SIGN, True), (-0.1, [], False), (0.1, SIGN, False), (0.0, SIGN, False)],
)
def test_only_a_fall_in_wrecked_text_gains_nothing(change, signs, nothing):
    found = language(change, signs)
    assert gains_nothing(found) is nothing
    counts = counted_in(found)
    assert counts.estimate == (0.0 if nothing else change)
    assert (counts.low is None) is nothing


def test_a_language_without_toxicity_has_no_change_to_count():
    found = LanguageChange(metrics={}, signs=SIGN)
    assert not gains_nothing(found)
    assert counted_in(found) is None


def test_the_mean_is_over_languages_and_one_left_out_counts_as_zero():
    """De (-0.4, -0.2) is -0.3 and fr -0.5: (-0.3 - 0.5) / 2 = -0.4; without fr -0.3 / 2."""
    changes = {("de", "x/1"): -0.4, ("de", "x/2"): -0.2, ("fr", "x/1"): -0.5}
    changes["fr", "x/2"] = np.nan
    assert counted_mean(changes, ()).estimate == pytest.approx(-0.4)
    assert counted_mean(changes, ("fr",)).estimate == pytest.approx(-0.15)
    every = counted_mean(changes, ("de", "fr"))
    assert (every.estimate, every.low, every.high) == (0.0, None, None)


def test_where_all_count_the_interval_is_that_of_a_comparison():
    """The same draws of items, so that bounds agree to the last digits."""
    values = np.random.default_rng(0).normal(-0.1, 0.3, (2, 30))
    runs = {
        code: {f"x/{code}/{n:02}": {"emt": float(v)} for n, v in enumerate(row)}
        for code, row in zip(("de", "fr"), values, strict=True)
    }
    base = {code: {prompt: {"emt": 0.0} for prompt in found} for code, found in runs.items()}
    expected = compare([base], [runs])[-1].changes["emt"].difference
    changes = {(c, p): m["emt"] for c, found in runs.items() for p, m in found.items()}
    found = counted_mean(changes, ())
    assert (found.estimate, found.low, found.high) == pytest.approx(tuple(expected))
