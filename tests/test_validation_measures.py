"""Figures of agreement: by hand, against scikit-learn, and independent of the order of texts."""

import math

import numpy as np
import pytest

from detox_bench.statistics import auroc
from detox_bench.validation.measures import (
    Bin,
    area_interval,
    average_precision,
    best_decision,
    calibration_error,
    decision,
    matched_threshold,
    reliability,
)
from detox_bench.validation.raters import FEWEST_OF_A_KIND, alpha, rater_area

#: From the highest score down: toxic, not, toxic and not alike, not.
SCORES = np.array([0.9, 0.8, 0.5, 0.5, 0.1])
TOXIC = np.array([True, False, True, False, False])


def _drawn(n: int = 400, levels: int = 25, seed: int = 0):
    """Return scores of few levels, so that many are equal, and verdicts that lean on them."""
    chance = np.random.default_rng(seed)
    scores = chance.integers(0, levels, n) / levels
    return scores, chance.random(n) < scores


def test_by_hand():
    # 0.9 beats three others, 0.5 beats one and ties with one: (3 + 1.5) / (2 * 3)
    assert area_interval(SCORES, TOXIC, np.arange(5)).estimate == pytest.approx(0.75)
    # recall 1/2 at precision 1, the other half at 2 of 4
    assert average_precision(SCORES, TOXIC) == pytest.approx(0.5 * 1 + 0.5 * 0.5)
    # from 0.6 on two are called, one rightly: P = R = 1/2
    assert decision(SCORES, TOXIC, 0.6) == (0.6, 0.5, 0.5, 0.5)
    # from 0.9: P = 1, R = 1/2, F1 = 2/3; from 0.5: P = 1/2, R = 1, F1 = 2/3: the higher one
    assert best_decision(SCORES, TOXIC) == pytest.approx((0.9, 2 / 3, 1.0, 0.5))
    # two are toxic, and from 0.8 on two are called
    assert matched_threshold(SCORES, TOXIC) == 0.8


def test_a_threshold_is_the_score_from_which_on():
    scores, toxic = _drawn()
    best = best_decision(scores, toxic)
    assert decision(scores, toxic, best.threshold) == pytest.approx(best)
    assert best.f1 >= max(decision(scores, toxic, each).f1 for each in np.unique(scores))
    called = int((scores >= matched_threshold(scores, toxic)).sum())
    nearest = min(abs(int((scores >= each).sum()) - toxic.sum()) for each in np.unique(scores))
    assert abs(called - toxic.sum()) == nearest


def test_scikit_learn_says_the_same():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is in the build extra")
    for seed in range(3):
        scores, toxic = _drawn(seed=seed)
        area = area_interval(scores, toxic, np.arange(len(scores))).estimate
        assert area == pytest.approx(metrics.roc_auc_score(toxic, scores))
        precision = metrics.average_precision_score(toxic, scores)
        assert average_precision(scores, toxic) == pytest.approx(precision)
        f1 = decision(scores, toxic, 0.5).f1
        assert f1 == pytest.approx(metrics.f1_score(toxic, scores >= 0.5))
        by_level = metrics.precision_recall_curve(toxic, scores)
        best = max(2 * p * r / (p + r) for p, r in zip(*by_level[:2], strict=True) if p + r)
        assert best_decision(scores, toxic).f1 == pytest.approx(best)


def test_no_figure_depends_on_the_order_of_texts():
    scores, toxic = _drawn()
    order = np.random.default_rng(1).permutation(len(scores))
    for figure in (average_precision, best_decision, matched_threshold, reliability):
        one, other = figure(scores, toxic), figure(scores[order], toxic[order])
        assert np.allclose(np.array(one), np.array(other), rtol=0, atol=1e-12)


def test_the_area_is_that_of_the_statistics_of_the_package():
    scores, toxic = _drawn()
    area = auroc(scores[toxic][:, None], scores[~toxic][:, None])[0]
    assert area_interval(scores, toxic, np.arange(len(scores))).estimate == pytest.approx(area)


def test_the_interval_holds_a_known_area_about_as_often_as_it_says():
    chance, held, rounds = np.random.default_rng(0), 0, 150
    truth = 0.5 * (1 + math.erf(0.5))  # two normals one standard deviation apart: Phi(1/sqrt 2)
    for _ in range(rounds):
        toxic = np.arange(160) < 80
        scores = chance.normal(size=160) + toxic
        seed = int(chance.integers(2**31))
        found = area_interval(scores, toxic, np.arange(160), resamples=300, seed=seed)
        held += found.low <= truth <= found.high
    assert 0.89 <= held / rounds <= 0.99


def test_texts_of_one_unit_are_drawn_together():
    scores, toxic = _drawn(60)
    alone = area_interval(scores, toxic, np.arange(60))
    thrice = [np.tile(each, 3) for each in (scores, toxic, np.arange(60))]
    together = area_interval(*thrice)
    assert together == pytest.approx(alone)
    apart = area_interval(thrice[0], thrice[1], np.arange(180))
    assert apart.high - apart.low < 0.7 * (alone.high - alone.low)


@pytest.mark.parametrize("toxic", [[True, True], [False, False], []])
def test_where_a_kind_is_missing_there_is_no_area(toxic):
    verdicts = np.array(toxic, dtype=bool)
    scores = np.linspace(0, 1, len(toxic))
    assert all(map(math.isnan, area_interval(scores, verdicts, np.arange(len(toxic)))))
    if not any(toxic):
        assert math.isnan(average_precision(scores, verdicts))
        assert math.isnan(best_decision(scores, verdicts).f1)
        assert math.isnan(matched_threshold(scores, verdicts))


def test_bins_have_equal_mass_and_the_error_is_their_mean_distance():
    scores = np.array([0.1, 0.1, 0.2, 0.2, 0.6, 0.8, 0.9, 0.9])
    toxic = np.array([False, True, False, False, True, True, True, True])
    bins = reliability(scores, toxic, bins=2)
    assert bins == [pytest.approx(Bin(4, 0.15, 0.25)), pytest.approx(Bin(4, 0.8, 1.0))]
    # |0.15 - 0.25| and |0.8 - 1|, four of eight texts each
    assert calibration_error(bins) == pytest.approx(0.15)
    assert reliability(scores[:0], toxic[:0]) == []
    assert math.isnan(calibration_error([]))


def test_equal_scores_fall_in_one_bin():
    scores = np.array([0.3] * 9 + [0.7])
    toxic = np.arange(10) < 5
    assert [each.n for each in reliability(scores, toxic, bins=5)] == [9, 1]


def test_a_scorer_that_says_the_chance_has_little_error():
    chance = np.random.default_rng(0)
    scores = chance.random(20_000)
    toxic = chance.random(20_000) < scores
    assert calibration_error(reliability(scores, toxic)) < 0.015
    assert calibration_error(reliability(scores**3, toxic)) > 0.2


def test_alpha_of_the_example_in_its_paper():
    # Krippendorff 2011, section C/D: four observers, twelve units, missing values; ordinal 0.815
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[one for one in unit if one is not None] for unit in zip(*observers, strict=True)]
    assert alpha(units) == pytest.approx(0.815, abs=5e-4)


def test_alpha_of_agreement_and_of_chance():
    assert alpha([[1, 1, 1], [5, 5, 5], [3, 3]]) == pytest.approx(1)
    drawn = np.random.default_rng(0).integers(1, 6, (3000, 3)).tolist()
    assert alpha(drawn) == pytest.approx(0, abs=0.03)
    assert alpha([[2, 2], [2, 2, 2]]) is None
    assert alpha([[1], [5]]) is None
    assert alpha([]) is None


def test_a_rater_is_measured_against_the_others():
    alike = [[5, 5, 5]] * FEWEST_OF_A_KIND + [[1, 1, 1]] * FEWEST_OF_A_KIND
    assert rater_area(alike, toxic=3, harmless=2) == 1
    # the third says nothing: 1, 1 and 1/2; the first two still agree with the mean of the others,
    # which is (5 + 3) / 2 = 4 against (1 + 3) / 2 = 2, and 2 is not below 2
    dull = [[5, 5, 3]] * FEWEST_OF_A_KIND + [[1, 1, 3]] * FEWEST_OF_A_KIND
    assert rater_area(dull, toxic=3, harmless=2) == 0.5
    assert rater_area(dull, toxic=3, harmless=2.5) == pytest.approx((1 + 1 + 0.5) / 3)


def test_two_raters_or_few_texts_are_no_ceiling():
    assert rater_area([[5, 5]] * 30 + [[1, 1]] * 30, 3, 2) is None
    assert rater_area([[5, 5, 5]] * 30 + [[1, 1, 1]] * (FEWEST_OF_A_KIND - 1), 3, 2) is None
    assert rater_area([], 3, 2) is None
