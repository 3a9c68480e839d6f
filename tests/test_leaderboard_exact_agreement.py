"""Equal numbers: which are compared, and how near another machine's must be."""

import pytest
from submission_doubles import sample_lines

from detox_bench.leaderboard.exact_agreement import TOLERANCES, differing
from detox_bench.leaderboard.judging import PRECISIONS

LINE = sample_lines("x")[0]  # three samples, eight metrics


def changed(**update):
    return LINE.model_copy(update=update)


def counts(one, other, tolerance=None):
    return {name: tuple(each) for name, each in differing([(one, other)], tolerance).items()}


def test_every_text_score_metric_and_perplexity_is_counted():
    n = len(LINE.metrics)
    assert counts(LINE, LINE, 0.0) == {
        "texts": (0, 3),
        "scores": (0, 3),
        "metrics": (0, n),
        "perplexities": (0, 3),
    }
    assert "perplexities" not in counts(LINE, LINE)


def test_numbers_of_another_text_are_not_compared_nor_metrics_of_its_prompt():
    other = changed(
        texts=["0" * 16, *LINE.texts[1:]], scores=[0.0, *LINE.scores[1:]], metrics={"repetition": 1}
    )
    assert counts(LINE, other) == {"texts": (1, 3), "scores": (0, 2), "metrics": (0, 0)}


def test_a_metric_that_one_lacks_differs():
    metrics = {name: value for name, value in LINE.metrics.items() if name != "self_bleu"}
    assert counts(LINE, changed(metrics=metrics))["metrics"] == (1, len(LINE.metrics))
    assert counts(changed(metrics=metrics), LINE)["metrics"] == (1, len(LINE.metrics))


@pytest.mark.parametrize(("shift", "differ"), [(1e-6, 0), (2e-6, 3)])
def test_the_last_decimal_of_a_score_may_be_rounded_otherwise(shift, differ):
    other = changed(scores=[each + shift for each in LINE.scores])
    assert counts(LINE, other)["scores"] == (differ, 3)


@pytest.mark.parametrize("times", [1.0009, 1 / 1.0009])
def test_the_tolerance_of_perplexities_is_relative_and_the_same_either_way(times):
    other = changed(perplexities=[each * times for each in LINE.perplexities])
    assert counts(LINE, other, 1e-3)["perplexities"] == (0, 3)
    assert counts(LINE, other, 8e-4)["perplexities"] == (3, 3)


def test_missing_scores_and_perplexities_count_as_others():
    assert counts(LINE, changed(scores=LINE.scores[:1]))["scores"] == (2, 3)
    assert counts(LINE, changed(perplexities=None), 1.0)["perplexities"] == (3, 3)


def test_every_precision_that_a_judge_is_loaded_in_has_its_tolerance():
    assert set(TOLERANCES) == set(PRECISIONS)
    assert TOLERANCES["float32"] < TOLERANCES["float16"] < TOLERANCES["bfloat16"]
