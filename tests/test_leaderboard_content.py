"""Digests, the run id, and aggregates that follow from samples alone."""

import gzip
import json
import math

import pytest
from leaderboard_runs import everyday, make_run, small_suite

from detox_bench.comparison import SAMPLES, compare
from detox_bench.errors import DetoxBenchError
from detox_bench.leaderboard.aggregates import TOXICITY, Measuring, aggregate, prompt_metrics
from detox_bench.leaderboard.band import outside_band
from detox_bench.leaderboard.content import (
    EMPTY,
    canonical_json,
    digest_of_asked,
    digest_of_ids,
    pack_lines,
    run_id,
    text_digest,
)
from detox_bench.leaderboard.hash_rates import hash_rates, prompts_by_hash
from detox_bench.leaderboard.measures_of_run import lines_of_run
from detox_bench.leaderboard.specification import load_specification
from detox_bench.leaderboard.submission import (
    ChangeOfMetric,
    Estimate,
    LanguageChange,
    SampleLine,
)
from detox_bench.metrics import empty_rate
from detox_bench.quality.degeneration import common_rate, duplicate_rate
from detox_bench.quality.degeneration import prompts_by_text as by_text
from detox_bench.run_metrics import measure_samples
from detox_bench.scorers.table import load_scorer
from detox_bench.stored_texts import read_samples

TEXTS = [
    ["a b c", " a b c", "", "d"],
    ["a b c", "  ", "\n", ""],
    ["e", "f", "g", "h"],
    ["", " ", "", "\t"],
]


def line(prompt: int, scores: list[float | None], texts: list[str], language: str = "en", **more):
    return SampleLine(
        language=language,
        prompt_id=f"sample/{language}/{prompt}",
        asked="0" * 16,
        texts=[text_digest(text) for text in texts],
        scores=scores,
        metrics={"distinct_2": 1.0, "language_share": 1.0},
        **more,
    )


def measuring(**options) -> Measuring:
    suite = small_suite()
    return Measuring(suite, "sample-1-all", "ngram@1", 0.5, {"temperature": 0.9}, "0.1.0")


def test_digests_of_prompts_do_not_depend_on_their_order():
    assert digest_of_ids(["a", "b"]) == digest_of_ids(["b", "a"]) != digest_of_ids(["a", "c"])
    pairs = [("a", "1"), ("b", "2")]
    assert digest_of_asked(pairs) == digest_of_asked(pairs[::-1])
    assert digest_of_asked(pairs) != digest_of_asked([("a", "2"), ("b", "1")])


def test_canonical_json_is_one_form_and_refuses_what_is_no_number():
    assert canonical_json({"b": 0.1, "a": [1, None]}) == '{"a":[1,null],"b":0.1}'
    with pytest.raises(ValueError):
        canonical_json({"a": math.nan})


def test_the_run_id_is_over_everything_but_itself():
    one = {"a": 1.0, "run_id": "x"}
    assert run_id(one) == run_id({"a": 1.0}) == run_id({"run_id": "y", "a": 1.0})
    assert run_id(one) != run_id({"a": 1.0000000001})


def test_white_space_around_a_text_does_not_count():
    assert text_digest(" a b\n") == text_digest("a b") != text_digest("a  b")
    assert text_digest(" \n\t") == EMPTY


def test_packed_lines_depend_on_nothing_but_the_lines():
    lines = [line(2, [0.1], ["a"]), line(1, [0.2], ["b"]), line(1, [0.3], ["c"], "de")]
    packed = pack_lines(lines)
    assert packed == pack_lines(lines[::-1])
    ids = [json.loads(each)["prompt_id"] for each in gzip.decompress(packed).splitlines()]
    assert ids == ["sample/de/1", "sample/en/1", "sample/en/2"]
    assert packed[4:8] == bytes(4), "the time in the header"


def test_rates_from_hashes_are_those_of_the_texts():
    hashes = [[text_digest(text) for text in texts] for texts in TEXTS]
    prompts, texts_of = prompts_by_hash(hashes), by_text(TEXTS)
    for found, texts in zip(hashes, TEXTS, strict=True):
        wanted = {
            "empty_rate": empty_rate(texts),
            "duplicate_rate": duplicate_rate(texts),
            "common_rate": common_rate(texts, texts_of),
        }
        assert hash_rates(found, prompts) == {k: v for k, v in wanted.items() if v is not None}
    assert "common_rate" not in hash_rates(hashes[0], None)


def test_aggregates_by_hand():
    # Prompt 1: EMT .6, toxic, mean .4. Prompt 2: EMT .2, not toxic, mean .2 of the one scored.
    lines = [line(1, [0.6, 0.2], ["a", "b"]), line(2, [0.2, None], ["c", ""])]
    found = aggregate(lines, None, measuring())
    metrics = {name: each.estimate for name, each in found.languages["en"].metrics.items()}
    assert metrics["emt"] == pytest.approx((0.6 + 0.2) / 2)
    assert metrics["toxicity_probability"] == 0.5
    assert metrics["average_toxicity"] == pytest.approx((0.4 + 0.2) / 2)
    assert metrics["unscored_rate"] == metrics["empty_rate"] == 0.25
    assert found.change is None and not found.degenerate
    assert found.languages["en"].perplexity is None
    assert "|lang:en|n:2|k:2|" in found.languages["en"].signature


def test_the_mean_is_that_of_languages_not_of_prompts():
    lines = [line(n, [0.2], ["a"]) for n in (1, 2, 3)] + [line(1, [0.8], ["b"], "de")]
    assert aggregate(lines, None, measuring()).mean["emt"].estimate == pytest.approx(0.5)


def test_perplexities_are_compared_by_their_medians():
    base = [line(n, [0.2], ["a"], perplexities=[10.0]) for n in range(6)]
    after = [line(n, [0.2], ["a"], perplexities=[30.0]) for n in range(5)]
    after.append(line(5, [0.2], [""], perplexities=[None]))
    found = aggregate(after, base, measuring())
    assert found.languages["en"].perplexity.median == 30
    assert found.languages["en"].perplexity.n_empty == 1
    assert found.languages["en"].perplexity.n_dropped == 0
    assert found.change["en"].perplexity_ratio.estimate == pytest.approx(3)
    assert found.change["mean"].perplexity_ratio.estimate == pytest.approx(3)
    assert found.degenerate, "three times as surprising"


def test_aggregates_are_the_same_for_lines_in_any_order():
    lines = [line(n, [n / 10, None], ["a", f"{n}"]) for n in range(6)]
    lines += [line(n, [n / 20, 0.5], ["a", f"{n}"], "de") for n in range(6)]
    base = [each.model_copy(update={"scores": [0.9, 0.1]}) for each in lines]
    assert aggregate(lines, base, measuring()) == aggregate(lines[::-1], base[::-1], measuring())


def test_prompts_the_base_lacks_are_refused():
    with pytest.raises(DetoxBenchError, match="no prompt in common"):
        aggregate([line(1, [0.1], ["a"])], [line(2, [0.1], ["a"])], measuring())


def test_metrics_and_change_are_those_of_compare(tmp_path):
    suite, scorer = small_suite(), load_scorer("ngram")
    runs = [make_run(tmp_path / f"{n}", suite, everyday(n)) for n in (0, 1)]
    samples = [list(read_samples(run)) for run in runs]
    prompts = {}
    measured = [measure_samples(each, scorer, 0.5, "run").metrics for each in samples]
    lines = [lines_of_run(each, scorer, None, prompts, suite.quality) for each in samples]
    names = {*TOXICITY, *suite.quality, SAMPLES} - {"prompt_copy"}
    for run, own in zip(measured, lines, strict=True):
        found = prompt_metrics(own, measuring())
        for code, metrics_of in run.items():
            for prompt, metrics in metrics_of.items():
                wanted = {name: value for name, value in metrics.items() if name in names}
                assert found[code][prompt] == pytest.approx(wanted, abs=1e-6)
    (row, *_) = compare([measured[0]], [measured[1]])
    change = aggregate(lines[1], lines[0], measuring()).change[row.language].metrics["emt"]
    assert change.difference.estimate == pytest.approx(row.changes["emt"].difference[0], abs=2e-6)
    assert change.p_holm == pytest.approx(row.changes["emt"].p_holm)


@pytest.mark.parametrize(
    ("ratio", "share", "signs", "words"),
    [
        (2.0, 0.9, [], []),
        (2.1, 1.0, [], ["perplexity × 2.10"]),
        (None, 1.0, [], ["has no perplexity"]),
        (1.0, 0.8, [], ["distinct-2 × 0.80"]),
        (1.0, 1.0, ["empty_rate"], ["empty"]),
        (2.5, 0.5, ["perplexity_ratio"], ["perplexity × 2.50", "distinct-2 × 0.50"]),
    ],
)
def test_the_band(ratio, share, signs, words):
    difference = Estimate(estimate=0.8 * share - 0.8, low=None, high=None)
    change = LanguageChange(
        metrics={"distinct_2": ChangeOfMetric(base=0.8, difference=difference, p=1.0, p_holm=None)},
        perplexity_ratio=ratio and Estimate(estimate=ratio, low=None, high=None),
        signs=signs,
    )
    assert outside_band(change, load_specification()) == words
