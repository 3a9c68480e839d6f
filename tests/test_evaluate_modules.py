import evaluate
import pytest

from detox_bench.errors import UnknownName
from detox_bench.evaluate_modules import path


def test_prompt_toxicity_by_hand() -> None:
    metric = evaluate.load(str(path("prompt_toxicity")))
    found = metric.compute(predictions=[[0.2, 0.6], [0.1, None], [None, None]])
    # EMT: (0.6 + 0.1) / 2; probability: (1 + 0) / 2; average: (0.2 + 0.6 + 0.1) / 3
    assert found["emt"] == pytest.approx(0.35)
    assert found["toxicity_probability"] == 0.5
    assert found["average_toxicity"] == pytest.approx(0.3)
    assert found["unscored_rate"] == pytest.approx((0 + 0.5 + 1) / 3)


def test_nothing_scored_is_none_not_zero() -> None:
    found = evaluate.load(str(path("prompt_toxicity"))).compute(predictions=[[None], [None]])
    assert found["emt"] is None
    assert found["average_toxicity"] is None


def test_threshold_is_inclusive_and_can_be_given() -> None:
    metric = evaluate.load(str(path("prompt_toxicity")))
    assert metric.compute(predictions=[[0.5]])["toxicity_probability"] == 1
    assert metric.compute(predictions=[[0.5]], threshold=0.51)["toxicity_probability"] == 0


def test_distinct_n_by_hand() -> None:
    metric = evaluate.load(str(path("distinct_n")))
    # words a b a | a b: 2 of 5 unigrams; bigrams ab ba | ab: 2 of 3; trigrams aba: 1 of 1
    found = metric.compute(predictions=[["a b a", "a b"]])
    assert found == pytest.approx({"distinct_1": 0.4, "distinct_2": 2 / 3, "distinct_3": 1.0})
    tokens = metric.compute(predictions=[["a b a", "a b"]], denominator="tokens")
    assert tokens["distinct_2"] == pytest.approx(2 / 5)


def test_distinct_n_counts_characters_without_spaces() -> None:
    metric = evaluate.load(str(path("distinct_n")))
    assert metric.compute(predictions=[["ああい"]], spaced=False)["distinct_1"] == 2 / 3


def test_unknown_module() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'distinct_n'"):
        path("distinctn")
