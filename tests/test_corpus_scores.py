"""Scores of a corpus from counts that add up: changes, intervals, exchanges."""

import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from detox_bench.corpus_scores import SCORES, PairedCounts, exchange_p, mean_change

REFERENCES = [
    f"the {n} grey cats sat on the old mat near the door" for n in ["one", "two", "six", "ten"]
]
GOOD = [text.replace("grey", "black") for text in REFERENCES]
POOR = ["a dog", *GOOD[1:3], "no"]


def counts(metric, texts):
    found = metric._extract_corpus_statistics(texts, [REFERENCES])
    return np.asarray(found, dtype=float)


def ratio(sums):
    return float(sums[0] / sums[1]) if sums[1] else 0.0


@pytest.mark.parametrize(
    ("name", "metric"), [("chrf_plus_plus", CHRF(word_order=2)), ("bleu", BLEU())]
)
def test_sums_of_counts_score_as_sacrebleu_scores_the_corpus(name, metric):
    expected = metric.corpus_score(POOR, [REFERENCES]).score
    assert 0 < expected < 100
    assert SCORES[name](counts(metric, POOR).sum(0)) == pytest.approx(expected)
    group = PairedCounts(list("abcd"), counts(metric, GOOD), counts(metric, POOR))
    change = mean_change([group], SCORES[name])
    assert change.estimate == pytest.approx(
        expected - metric.corpus_score(GOOD, [REFERENCES]).score
    )
    assert change.low < change.estimate < change.high == 0


def test_a_score_that_is_a_mean_changes_by_the_mean_of_differences():
    """Right of asked: 1 of 4 before, 3 of 4 after: + 0.5; of two such groups too."""
    before, after = ([[float(n), 1.0] for n in row] for row in ((1, 0, 0, 0), (1, 1, 1, 0)))
    group = PairedCounts(list("abcd"), np.asarray(before), np.asarray(after))
    alone, twice = mean_change([group], ratio), mean_change([group, group], ratio)
    assert alone.estimate == twice.estimate == 0.5
    # The same items in both: drawn together, so that the second group tells nothing new.
    assert (alone.low, alone.high) == pytest.approx((twice.low, twice.high))


def test_equal_outputs_change_nothing_and_one_document_has_no_interval():
    same = np.asarray([[1.0, 1.0], [0.0, 1.0]])
    group = PairedCounts(["a", "b"], same, same)
    assert mean_change([group], ratio) == (0, 0, 0)
    assert exchange_p([group], ratio) == 1
    single = mean_change([PairedCounts(["a"], same[:1], same[1:])], ratio)
    assert single.estimate == -1 and math.isnan(single.low) and math.isnan(single.high)


def test_p_is_the_share_of_exchanges_that_change_as_much():
    """All of three right before, none after: 2 of the 8 exchanges are as far apart."""
    right, wrong = (np.asarray([[n, 1.0]] * 3) for n in (1.0, 0.0))
    group = PairedCounts(list("abc"), right, wrong)
    assert exchange_p([group], ratio) == pytest.approx(2 / 8, abs=0.03)
    many = PairedCounts(list(map(str, range(30))), np.tile(right, (10, 1)), np.tile(wrong, (10, 1)))
    assert exchange_p([many], ratio) == 1 / 2001
