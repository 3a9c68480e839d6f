"""Ties: what is the same is tied, what is clearly apart is not, and chance seldom separates."""

import numpy as np
import pytest

from benchmarks.ties import board
from detox_bench.comparison import compare
from detox_bench.leaderboard.ties import Prompts, Standing, compare_rows, standings

LANGUAGES = ("de", "fr")
ITEMS = 40
PROMPTS = Prompts(
    [code for code in LANGUAGES for _ in range(ITEMS)],
    [str(item) for _ in LANGUAGES for item in range(ITEMS)],
)


def rows(*means: float, noise: float = 0.1, seed: int = 0):
    random = np.random.default_rng(seed)
    return np.array(means)[:, None] + random.normal(0, noise, (len(means), len(PROMPTS.items)))


def test_rows_far_apart_are_ranked_and_near_ones_share_a_rank():
    found = standings(rows(-0.5, -0.2, -0.201, 0.1), PROMPTS)
    # One row is surely better than the two in the middle; each of these may be second or third.
    assert found == [Standing(1, 1), Standing(2, 3, (2,)), Standing(2, 3, (1,)), Standing(4, 4)]


def test_the_order_of_rows_does_not_change_where_they_stand():
    changes = rows(-0.5, -0.2, -0.201, 0.1)
    turned = [
        each._replace(tied=tuple(3 - place for place in each.tied))
        for each in standings(changes[::-1], PROMPTS)
    ]
    assert turned[::-1] == standings(changes, PROMPTS)


def test_the_same_row_twice_is_tied_and_no_row_is_better_than_itself():
    changes = rows(-0.3, noise=0.1)
    found = compare_rows(np.vstack([changes, changes]), PROMPTS)
    assert not found.better.any()
    assert found.differences[0, 1] == 0.0


def test_prompts_that_are_hard_for_all_do_not_count():
    """Two rows 0.02 apart on every prompt, whose prompts are 0.5 apart: pairing separates them."""
    common = np.random.default_rng(1).normal(0, 0.5, len(PROMPTS.items))
    noise = np.random.default_rng(2).normal(0, 0.01, (2, len(PROMPTS.items)))
    changes = common + noise + np.array([[0.0], [-0.02]])
    assert compare_rows(changes, PROMPTS).better.tolist() == [[False, False], [True, False]]


def test_one_row_and_none_and_one_item_have_no_rival():
    assert standings(rows(-0.1), PROMPTS) == [Standing(1, 1)]
    assert standings(np.empty((0, 80)), PROMPTS) == []
    one = Prompts(["de"], ["1"])
    assert standings(np.array([[0.0], [-1.0]]), one) == [
        Standing(1, 2, (1,)),
        Standing(1, 2, (0,)),
    ]


def test_the_better_the_worse_and_the_tied_are_all_others():
    """Of n rows: rank - 1 better, n - lowest worse, the others but the row itself are tied."""
    for each in standings(rows(-0.4, -0.35, -0.34, -0.3, -0.1, 0.0), PROMPTS):
        assert (each.rank - 1) + (6 - each.lowest) + len(each.tied) == 5


def test_the_difference_is_that_of_the_means_over_languages_and_a_missing_prompt_is_left_out():
    """De has 3 prompts and fr 1: (mean of 3 + the one) / 2, not the mean of 4.

    Row one: de (1, 2, nan) -> 1.5, fr 4: 2.75. Row two: de (0, 0, 3) -> 1, fr 0: 0.5.
    """
    prompts = Prompts(["de", "de", "de", "fr"], ["1", "2", "3", "1"])
    changes = np.array([[1.0, 2.0, np.nan, 4.0], [0.0, 0.0, 3.0, 0.0]])
    assert compare_rows(changes, prompts).differences[0, 1] == pytest.approx(2.25)


def test_one_pair_has_the_interval_of_a_comparison_of_two_runs():
    """Of two rows alone nothing is corrected: width and centre are those of ``compare``.

    There, draws are quantiles; here, standard errors. 40 items and 2,000 draws agree to a tenth.
    """
    one, two = rows(-0.1, -0.15)
    found = compare_rows(np.array([one, two]), PROMPTS)
    runs = [
        {
            code: {f"x/{code}/{n}": {"emt": float(v)} for n, v in enumerate(values)}
            for code, values in zip(LANGUAGES, row.reshape(len(LANGUAGES), ITEMS), strict=True)
        }
        for row in (one, two)
    ]
    expected = compare([runs[0]], [runs[1]])[-1].changes["emt"].difference
    assert found.differences[1, 0] == pytest.approx(expected.estimate)
    width = (expected.high - expected.low) / 2
    assert found.half_widths[1, 0] == pytest.approx(width, rel=0.1)


def test_more_rows_make_every_interval_wider():
    few, many = (compare_rows(rows(*[-0.1] * n), PROMPTS).critical for n in (2, 20))
    assert many > few + 1


def test_equal_models_are_seldom_told_apart_and_a_better_one_is_found():
    """60 boards of 10 equal models: at a true rate of 5 %, more than 8 false ones in 1 of 300."""
    random = np.random.default_rng(0)
    assert sum(board(10, 0.0, random)[0] for _ in range(60)) <= 8
    assert np.mean([board(10, 0.05, random)[1] for _ in range(20)]) > 0.75
