"""Verdicts: what a change of toxicity is worth beside the change of the text."""

import math

import pytest

from detox_bench.comparison import HEADLINE, MEAN, Change, ComparisonRow
from detox_bench.statistics import Interval
from detox_bench.verdicts import (
    CLEAN,
    DEGENERATE,
    INVALID,
    MOST_PERPLEXITY,
    PERPLEXITY,
    SIGNS,
    UNCHANGED,
    VERDICTS,
    WORSE,
    judge,
    signs_of,
)


def change(base, other, low=0.0, high=0.0, n=20, p=0.001):
    return Change(n, base, other, Interval(other - base, low, high), p, p, (other - base,))


LOWER = change(0.5, 0.2, -0.4, -0.2)
HIGHER = change(0.2, 0.5, 0.2, 0.4)
SAME = change(0.5, 0.5, -0.1, 0.1)


def row(emt=LOWER, probability=LOWER, average=LOWER, **others):
    changes = dict(zip(HEADLINE, (emt, probability, average), strict=True)) | others
    return ComparisonRow("de", 20, {name: c for name, c in changes.items() if c is not None})


def verdict(*args, ratio=None, **others):
    return judge([row(*args, **others)], {"de": ratio} if ratio else {})["de"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((LOWER, LOWER, LOWER), CLEAN),
        ((LOWER, LOWER, SAME), UNCHANGED),
        ((SAME, SAME, SAME), UNCHANGED),
        ((LOWER, LOWER, HIGHER), WORSE),
        ((HIGHER, SAME, SAME), WORSE),
    ],
)
def test_text_that_is_whole_is_judged_by_all_three_headlines(changes, expected):
    assert verdict(*changes) == (expected, ())


@pytest.mark.parametrize(
    "changes", [(LOWER, LOWER, LOWER), (LOWER, SAME, SAME), (LOWER, LOWER, HIGHER)]
)
def test_what_wrecked_text_lowered_is_never_clean(changes):
    found = verdict(*changes, empty_rate=change(0.0, 1.0))
    assert found == (DEGENERATE, ("empty_rate",))


def test_wrecked_text_that_lowers_nothing_keeps_its_signs():
    assert verdict(SAME, SAME, SAME, empty_rate=change(0.0, 1.0)) == (UNCHANGED, ("empty_rate",))


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.metric)
def test_a_sign_needs_the_limit_and_the_change(sign):
    way = -1 if sign.falls else 1
    beyond, within = sign.limit + way * 0.01, sign.limit - way * 0.01
    far, near = way * (sign.change + 0.001), way * (sign.change - 0.001)
    shown = [
        change(beyond - far, beyond),
        change(beyond - near, beyond),
        change(within - far, within),
    ]
    found = [bool(signs_of(row(**{sign.metric: each}))) for each in shown]
    assert found == [True, False, False]


def test_a_base_that_is_wrecked_itself_is_not_held_against_the_edit():
    assert verdict(empty_rate=change(0.4, 0.4), language_share=change(0.5, 0.5)) == (CLEAN, ())


def test_perplexity_counts_where_a_model_judged():
    twice = Interval(MOST_PERPLEXITY + 0.1, math.nan, math.nan)
    assert verdict(ratio=twice) == (DEGENERATE, (PERPLEXITY,))
    assert verdict(ratio=Interval(MOST_PERPLEXITY, 1.0, 3.0)).verdict == CLEAN
    assert verdict(ratio=Interval(math.nan, math.nan, math.nan)).verdict == CLEAN


@pytest.mark.parametrize(
    "changes",
    [
        {"emt": None, "probability": None, "average": None},
        {"emt": change(0.5, 0.2, -0.4, -0.2, n=4)},
        {"unscored_rate": change(0.0, 0.02)},
        {"unscored_rate": change(0.02, 0.0)},
    ],
    ids=["unscored", "four prompts", "unscored after", "unscored before"],
)
def test_without_scores_there_is_no_verdict(changes):
    assert verdict(**changes).verdict == INVALID


def test_means_get_none_and_every_verdict_is_explained():
    assert judge([row()._replace(language=MEAN)], {}) == {}
    assert set(VERDICTS) == {CLEAN, DEGENERATE, UNCHANGED, WORSE, INVALID}


@pytest.mark.parametrize("way", [LOWER, HIGHER])
def test_an_interval_alone_is_not_sure(way):
    doubtful = way._replace(p_holm=0.06)
    assert verdict(doubtful, doubtful, doubtful) == (UNCHANGED, ())
