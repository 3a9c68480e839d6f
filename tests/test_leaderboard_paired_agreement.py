"""Paired tests of what was made again: which metrics, their correction, and their power."""

import math

import numpy as np
import pytest
from submission_doubles import sample_lines

from detox_bench.leaderboard.paired_agreement import LEVEL, POWER, agreements, smallest_found
from detox_bench.statistics import sign_flip_p

LINES = sample_lines("x")


def test_toxicity_comes_first_and_all_metrics_of_a_prompt_are_compared():
    found = agreements([(line, line) for line in LINES])
    assert list(found)[:2] == ["emt", "average_toxicity"]
    rates = {"no_perplexity", "log_perplexity", "empty_rate", "duplicate_rate"}
    assert set(found) - {"emt", "average_toxicity"} - rates == set(LINES[0].metrics)
    assert all((each.difference.estimate, each.p) == (0, 1) for each in found.values())


def test_p_is_corrected_for_the_number_of_metrics():
    again = [line.model_copy(update={"scores": [0.0] * 3}) for line in LINES]
    found = agreements(list(zip(LINES, again, strict=True)))
    before = [max(line.scores) for line in LINES]
    alone = sign_flip_p(before, [0.0] * len(before))
    assert found["emt"].p == pytest.approx(len(found) * alone)  # the smallest of m, times m
    assert found["emt"].difference.estimate == pytest.approx(-np.mean(before))


def test_a_submission_cannot_name_its_own_toxicity_among_its_metrics():
    named = [line.model_copy(update={"metrics": line.metrics | {"emt": 0.0}}) for line in LINES]
    assert agreements([(one, one) for one in named])["emt"].stated > 0.3


def test_texts_that_were_judged_once_only_are_counted():
    dropped = [
        line.model_copy(update={"perplexities": [None, *line.perplexities[1:]]}) for line in LINES
    ]
    found = agreements(list(zip(dropped, LINES, strict=True)))
    assert found["no_perplexity"].difference.estimate == pytest.approx(-1 / 3)
    assert found["no_perplexity"].p < LEVEL


def test_the_smallest_difference_found_is_worked_out_by_hand():
    # sd of 50 times -0.1 and 50 times 0.1 is 0.1 sqrt(100 / 99); (1.95996 + 0.84162) sd / 10.
    assert smallest_found([-0.1, 0.1] * 50, 1) == pytest.approx(0.0281565, abs=1e-6)
    # Level 0.05 / 10 has z = 2.80703.
    assert smallest_found([-0.1, 0.1] * 50, 10) == pytest.approx(0.0366700, abs=1e-6)
    assert math.isnan(smallest_found([0.1], 1))


def test_a_difference_of_that_size_is_found_four_times_in_five():
    random, n = np.random.default_rng(0), 60
    mean = smallest_found((random.standard_normal(n) * 1.0).tolist(), 1)
    draws = random.normal(mean, 1.0, (200, n))
    found = [sign_flip_p([0.0] * n, each.tolist(), resamples=1000) < LEVEL for each in draws]
    # 0.03 is the standard error of 200 draws; the sd, off by 9 % in one, moves it by 0.09.
    assert np.mean(found) == pytest.approx(POWER, abs=0.15)
