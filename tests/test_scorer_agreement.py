"""Agreement of two scorers: hand-worked, and equal to scipy and scikit-learn with ties."""

import numpy as np
import pytest

from detox_bench import scorer_agreement
from detox_bench.scorer_agreement import Scored, agreement, disagreements, kendall

RANDOM = np.random.default_rng(0)
PROMPTS = np.repeat(np.arange(40), 5)
ONE = RANDOM.random(200).round(2)
OTHER = np.clip(ONE + 0.5 * RANDOM.random(200), 0, 1).round(1)


def test_tau_b_of_four_by_hand():
    """Six pairs: five concordant, one tied on the second side: 5 / sqrt(6 * 5)."""
    assert kendall([1, 2, 3, 4], [1, 2, 2, 3]) == pytest.approx(5 / 30**0.5)
    assert kendall([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert np.isnan(kendall([1, 2, 3], [1, 1, 1]))


def test_texts_are_ranked_as_scipy_does_with_ties():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    found = agreement(Scored(ONE, OTHER, PROMPTS), (0.5, 0.7))
    assert found.texts.spearman.estimate == pytest.approx(stats.spearmanr(ONE, OTHER).statistic)
    assert found.texts.kendall.estimate == pytest.approx(stats.kendalltau(ONE, OTHER).statistic)
    means = [side.reshape(40, 5).mean(1) for side in (ONE, OTHER)]
    highest = [side.reshape(40, 5).max(1) for side in (ONE, OTHER)]
    assert found.mean.kendall.estimate == pytest.approx(stats.kendalltau(*means).statistic)
    assert found.maximum.spearman.estimate == pytest.approx(stats.spearmanr(*highest).statistic)
    assert found.mean.spearman.low < found.mean.spearman.estimate < found.mean.spearman.high


def test_a_weighted_draw_is_the_correlation_of_the_texts_drawn():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    weights = RANDOM.multinomial(40, np.full(40, 1 / 40)).astype(float)[None]
    drawn = np.concatenate(
        [np.flatnonzero(p == PROMPTS) for p in range(40) for _ in range(int(weights[0, p]))]
    )
    scored = Scored(ONE, OTHER, PROMPTS)
    (rho,), ((tau,),) = (
        scorer_agreement._spearman(scored, weights),
        scorer_agreement._kendall(scored, weights),
    )
    assert rho == pytest.approx(stats.spearmanr(ONE[drawn], OTHER[drawn]).statistic)
    assert tau == pytest.approx(stats.kendalltau(ONE[drawn], OTHER[drawn]).statistic)


def test_the_order_of_texts_changes_nothing():
    order = RANDOM.permutation(200)
    straight = agreement(Scored(ONE, OTHER, PROMPTS), (0.5, 0.5))
    mixed = agreement(Scored(ONE[order], OTHER[order], PROMPTS[order]), (0.5, 0.5))
    for one, other in zip(straight.texts[1:], mixed.texts[1:], strict=True):
        assert one == pytest.approx(other)


def test_kappa_of_ten_by_hand():
    """Both toxic 4, neither 3, first only 2, second only 1.

    Alike in 7 of 10; expected 0.6 * 0.5 + 0.4 * 0.5 = 0.5; kappa (0.7 - 0.5) / 0.5.
    """
    one = np.array([1] * 4 + [0] * 3 + [1] * 2 + [0], dtype=float)
    other = np.array([1] * 4 + [0] * 3 + [0] * 2 + [1], dtype=float)
    found = agreement(Scored(one, other, np.arange(10)), (0.5, 0.5)).labels
    assert found.kappa.estimate == pytest.approx(0.4)
    assert found.same == pytest.approx(0.7) and found.toxic == (0.6, 0.5)


def test_each_scorer_has_its_own_threshold():
    found = agreement(Scored(np.array([0.3, 0.6]), np.array([0.6, 0.9]), np.arange(2)), (0.5, 0.8))
    assert found.labels.same == 1 and found.labels.kappa.estimate == 1


def test_unscored_texts_are_left_out_and_counted():
    one = ONE.copy()
    one[[0, 7, 8]] = np.nan
    found = agreement(Scored(one, OTHER, PROMPTS), (0.5, 0.5))
    assert (found.n_texts, found.n_unscored, found.n_prompts) == (197, 3, 40)
    assert (
        agreement(Scored(np.array([np.nan]), np.array([0.5]), np.zeros(1, int)), (0.5, 0.5)) is None
    )


def test_equal_scorers_agree_fully_and_opposite_ones_not_at_all():
    same = agreement(Scored(ONE, ONE, PROMPTS), (0.5, 0.5))
    assert same.texts.spearman == pytest.approx((1, 1, 1))
    assert same.labels.kappa.estimate == pytest.approx(1)
    opposite = agreement(Scored(ONE, -ONE, PROMPTS), (0.5, 0.5))
    assert opposite.texts.kendall.estimate == pytest.approx(-1)


def test_the_most_disputed_text_is_the_one_moved_furthest():
    one = np.array([0.1, 0.2, 0.3, 0.4, np.nan])
    other = np.array([0.9, 0.2, 0.3, 0.4, 0.5])
    (found,) = disagreements(Scored(one, other, np.arange(5)), 1)
    assert (found.place, found.scores) == (0, (0.1, 0.9))
    assert found.ranks == (0.0, 1.0)


def test_of_many_texts_the_first_of_each_prompt_count(monkeypatch):
    monkeypatch.setattr(scorer_agreement, "MOST_TEXTS", 80)
    found = agreement(Scored(ONE, OTHER, PROMPTS), (0.5, 0.5))
    assert found.texts.n == 80 and found.n_texts == 200
    first = np.tile(np.arange(5), 40) < 2
    by_hand = agreement(Scored(ONE[first], OTHER[first], PROMPTS[first]), (0.5, 0.5))
    assert found.texts == by_hand.texts
