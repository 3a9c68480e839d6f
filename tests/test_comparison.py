"""Before and after on the same prompts, by language."""

import json
import math

import numpy as np
import pytest

from detox_bench.comparison import (
    MEAN,
    OTHERS,
    SAMPLES,
    as_json,
    compare,
    verdict,
)
from detox_bench.errors import DetoxBenchError
from detox_bench.summary import MEAN as SUMMARY_MEAN

NAMES = ("emt", "toxicity_probability", "average_toxicity")


def run(shift=0.0, languages=("en", "de", "fr"), n=12, seed=0, k=25.0):
    """Return a run whose metrics are those of seed 0 plus ``shift``, by language a step more."""
    random = np.random.default_rng(seed)
    return {
        code: {
            f"{code}/{i}": {
                **{name: float(random.random() + shift * (step + 1)) for name in NAMES},
                SAMPLES: k,
            }
            for i in range(n)
        }
        for step, code in enumerate(languages)
    }


def by_language(rows):
    return {row.language: row for row in rows}


def test_a_run_compared_with_itself_differs_by_exactly_nothing():
    rows = compare([run()], [run()])
    assert [row.language for row in rows] == ["de", "en", "fr", MEAN, OTHERS]
    for row in rows:
        for change in row.changes.values():
            assert change.base == change.other
            assert change.difference == (0.0, 0.0, 0.0)
            assert change.p == 1.0
            assert change.by_run == (0.0,)
    assert verdict(rows) == (0, 2)


def test_differences_are_paired_and_means_of_languages_are_unweighted():
    before = run()
    after = run(-0.1)
    del before["fr"]["fr/0"], after["fr"]["fr/0"]
    rows = by_language(compare([before], [after]))
    # Shifts of -0.1, -0.2, -0.3: their mean is -0.2, that of the two but English -0.25.
    for code, expected in {"en": -0.1, "de": -0.2, "fr": -0.3, MEAN: -0.2, OTHERS: -0.25}.items():
        assert rows[code].changes["emt"].difference == pytest.approx([expected] * 3)
    assert [rows[code].n_prompts for code in ("fr", "de", MEAN, OTHERS)] == [11, 12, 35, 23]
    assert MEAN == SUMMARY_MEAN
    change = rows["de"].changes["emt"]
    assert change.other - change.base == pytest.approx(-0.2)


def test_p_values_are_corrected_over_the_languages():
    rows = by_language(compare([run()], [run(-0.1)]))
    # Twelve differences of one sign: 2 of 4096 patterns; three languages of equal p.
    for code in ("de", "en", "fr"):
        change = rows[code].changes["emt"]
        assert change.p == 2 / 4096
        assert change.p_holm == pytest.approx(3 * 2 / 4096)
    assert math.isnan(rows[MEAN].changes["emt"].p_holm)
    assert rows[MEAN].changes["emt"].p < 0.001


def test_languages_that_answer_alike_say_no_more_in_the_mean_than_one_of_them():
    random = np.random.default_rng(1)
    codes = ("de", "en", "es", "fr", "it", "ru")
    values = [[{"emt": float(random.random()), SAMPLES: 25.0} for _ in range(30)] for _ in range(2)]
    before, after = (
        {code: {f"rtplx/{code}/{n}": each for n, each in enumerate(found)} for code in codes}
        for found in values
    )
    rows = by_language(compare([before], [after]))
    alone = rows["de"].changes["emt"]
    for name, count in ((MEAN, 180), (OTHERS, 150)):
        change = rows[name].changes["emt"]
        assert change.difference == pytest.approx(alone.difference)
        assert change.p == pytest.approx(alone.p, abs=0.02)
        assert change.n_prompts == count


def test_the_verdict_counts_languages_where_all_three_are_lower():
    after = run(-0.1)
    for metrics in after["fr"].values():
        metrics["toxicity_probability"] += 1.0
    assert verdict(compare([run()], [after])) == (1, 2)


def test_seeds_are_averaged_prompt_by_prompt_and_their_range_is_told():
    rows = by_language(compare([run()], [run(-0.1), run(-0.3)]))
    change = rows["en"].changes["emt"]
    assert change.difference == pytest.approx((-0.2, -0.2, -0.2))
    assert change.by_run == pytest.approx((-0.1, -0.3))
    assert rows[OTHERS].changes["emt"].by_run == pytest.approx((-0.25, -0.75))


def test_runs_over_different_prompts_are_refused_by_number_or_cut_to_what_they_share():
    with pytest.raises(DetoxBenchError, match=r"not in all of them: de 2 of 12, fr 12 of 12\."):
        compare([run()], [{"en": run()["en"], "de": dict(list(run()["de"].items())[2:])}])
    after = {"en": run(-0.1)["en"], "de": dict(list(run(-0.1)["de"].items())[2:])}
    rows = by_language(compare([run()], [after], common=True))
    assert list(rows) == ["de", "en", MEAN]
    assert rows["de"].n_prompts == 10
    assert rows["de"].changes["emt"].difference.estimate == pytest.approx(-0.2)


def test_runs_without_a_common_prompt_are_refused_whatever_is_asked():
    with pytest.raises(DetoxBenchError, match="no prompt in common"):
        compare([run(languages=["en"])], [run(languages=["de"])], common=True)


def test_another_number_of_samples_is_refused():
    with pytest.raises(DetoxBenchError, match="with 10 and 25"):
        compare([run()], [run(k=10.0)])


def test_a_prompt_without_a_metric_is_left_out_of_that_metric_only():
    after = run(-0.1)
    del after["en"]["en/3"]["emt"]
    changes = by_language(compare([run()], [after]))["en"].changes
    assert changes["emt"].n_prompts == 11
    assert changes["average_toxicity"].n_prompts == 12
    assert changes["emt"].difference.estimate == pytest.approx(-0.1)


def test_a_language_without_any_score_is_compared_by_what_it_has():
    before, after = run(), run(-0.1)
    for found in (before, after):
        for metrics in found["fr"].values():
            for name in NAMES:
                del metrics[name]
            metrics["empty_rate"] = 0.5
    rows = by_language(compare([before], [after]))
    assert set(rows["fr"].changes) == {"empty_rate"}
    assert not rows[MEAN].changes  # no metric that all languages have
    assert verdict(rows.values()) == (1, 2)


def test_a_language_that_is_hardly_scored_is_left_out_of_means_and_of_the_verdict():
    before, after = run(), run(-0.1)
    for prompts in (*before.values(), *after.values()):
        for metrics in prompts.values():
            metrics["unscored_rate"] = 0.0
    for metrics in after["fr"].values():  # 90 % unscored, the rest without any toxicity
        metrics.update(dict.fromkeys(NAMES, 0.0), unscored_rate=0.9)
    rows = by_language(compare([before], [after]))
    # The shifts of en and de alone: -0.1 and -0.2.
    assert rows[MEAN].changes["emt"].difference.estimate == pytest.approx(-0.15)
    assert rows[MEAN].left_out == ("fr",) and rows["de"].left_out == ()
    assert verdict(rows.values()) == (1, 1)
    assert as_json([rows[MEAN]])[0]["left_out"] == ["fr"]


def test_where_no_language_is_scored_there_is_no_mean():
    found = run()
    for prompts in found.values():
        for metrics in prompts.values():
            metrics["unscored_rate"] = 0.5
    assert list(by_language(compare([found], [found]))) == ["de", "en", "fr"]


def test_one_language_has_no_means_and_one_prompt_no_interval():
    (row,) = compare([run(languages=["de"], n=1)], [run(-0.1, ["de"], n=1)])
    assert row.changes["emt"].difference.estimate == pytest.approx(-0.1)
    assert not row.changes["emt"].lower
    (written,) = json.loads(json.dumps(as_json([row]), allow_nan=False))
    assert written["emt"]["difference"]["low"] is None
    assert written["emt"]["by_run"] == pytest.approx([-0.1])
