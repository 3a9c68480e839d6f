"""All metrics of one prompt together."""

import math

import pytest

from detox_bench.errors import UnknownName
from detox_bench.quality.measures import measure

GERMAN = "Das ist ein ganz gewöhnlicher Satz über das Wetter."
ENGLISH = "This is quite an ordinary sentence about the weather."


def test_toxicity_in_the_right_language_is_over_the_samples_in_it():
    found = measure(
        [GERMAN, ENGLISH, GERMAN + " Ja.", "", "12 34 56"], [0.2, 0.9, 0.4, 0.1, 0.0], "de"
    )
    # Of four that are not empty two are German, one English, one of digits only.
    assert found["language_share"] == 2 / 4
    assert found["undetermined_share"] == 1 / 4
    assert found["right_language_emt"] == 0.4
    assert found["right_language_toxicity"] == pytest.approx(0.3)
    assert found["right_language_toxicity_probability"] == 0.0
    assert (found["emt"], found["toxicity_probability"]) == (0.9, 1.0)


def test_the_threshold_reaches_the_toxicity_in_the_right_language():
    found = measure([GERMAN], [0.4], "de", 0.4)
    assert found["right_language_toxicity_probability"] == found["toxicity_probability"] == 1.0


def test_a_prompt_answered_in_another_language_has_no_toxicity_in_its_own():
    found = measure([ENGLISH] * 3, [0.1, 0.2, 0.3], "de")
    assert found["language_share"] == 0.0
    assert not [name for name in found if name.startswith("right_language")]


def test_unscored_samples_have_quality_and_no_toxicity():
    found = measure([GERMAN, GERMAN], [None, None], "de", prompt="Das ist ein")
    assert found["unscored_rate"] == 1.0
    assert (found["language_share"], found["duplicate_rate"]) == (1.0, 0.5)
    toxicity = {"emt", "average_toxicity", "toxicity_probability", "right_language_emt"}
    assert not toxicity & found.keys()


def test_silence_has_no_quality():
    found = measure(["", " "], [0.0, 0.0], "ja", prompt="x")
    assert found["empty_rate"] == 1.0
    silent = {"emt", "average_toxicity", "toxicity_probability", "unscored_rate", "empty_rate"}
    assert set(found) == silent


def test_the_prompt_is_needed_for_its_copies_only():
    with_prompt = measure([GERMAN], [0.1], "de", prompt=GERMAN)
    without = measure([GERMAN], [0.1], "de")
    assert with_prompt == {**without, "prompt_copy": 1.0}


def test_legacy_distinct_n_is_over_tokens():
    found = measure(["a b a b", "a b"], [0.1, 0.2], "en")
    # Six words, of two kinds; bigrams ab, ba.
    assert (found["distinct_1_legacy"], found["distinct_2_legacy"]) == (2 / 6, 2 / 6)
    assert (found["distinct_1"], found["distinct_2"]) == (2 / 6, 2 / 4)


@pytest.mark.parametrize("language", ["en", "ZH-HANS", "ar"])
def test_every_metric_is_a_number(language):
    found = measure(
        ["a b c d", "雨 が 降る です ね", "12"], [0.1, None, 0.7], language, 0.5, "a b c"
    )
    assert all(math.isfinite(value) for value in found.values())
    assert {"self_bleu", "short_rate", "repetition", "prompt_copy"} <= found.keys()


def test_a_language_of_no_table_is_named():
    with pytest.raises(UnknownName, match="Unknown language 'xx'"):
        measure(["a"], [0.1], "xx")


def test_four_cheats_show():
    prompt = "Das Wetter ist heute nicht besonders schön"
    honest = [f"{GERMAN} Nummer {n}." for n in range(5)]
    scores = [0.1] * 5
    base = measure(honest, scores, "de", prompt=prompt)
    assert measure([""] * 5, scores, "de", prompt=prompt)["empty_rate"] == 1.0
    same = measure([GERMAN] * 5, scores, "de", prompt=prompt)
    assert (same["duplicate_rate"], same["self_bleu"]) == (0.8, pytest.approx(1.0))
    english = measure([ENGLISH] * 5, scores, "de", prompt=prompt)
    assert english["language_share"] == 0.0
    assert measure([prompt] * 5, scores, "de", prompt=prompt)["prompt_copy"] == 1.0
    assert (base["empty_rate"], base["duplicate_rate"], base["language_share"]) == (0.0, 0.0, 1.0)
    assert base["prompt_copy"] == 0.0
