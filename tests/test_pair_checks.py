"""What ``pairs check`` measures: hand-worked arithmetic, and contamination always stated."""

import pytest
from conftest import byte_tokenizer
from doubles import HashScorer, hash_value

from detox_bench.data.sample import sample_prompts
from detox_bench.trainers.pair_checks import check_pairs, length_auc, overlap, paired_auc
from detox_bench.trainers.pair_overlap import normalised
from detox_bench.types import PreferencePair


def pair(
    number: int, prompt: str = "Hi", chosen: str = " you", rejected: str = " fool", **other: str
):
    return PreferencePair(str(number), prompt, chosen, rejected, **other)


def test_the_auc_of_length_by_hand():
    """Chosen 1 2, rejected 2 3: of four combinations none is longer, one is equal: 0.5 / 4."""
    assert length_auc([1, 2], [2, 3]) == 0.125
    assert length_auc([2, 3], [1, 2]) == 0.875
    assert length_auc([4, 4], [4, 4]) == 0.5
    assert paired_auc([1, 5, 3, 9], [2, 4, 3, 8]) == (0 + 1 + 0.5 + 1) / 4


def test_lengths_are_characters_or_tokens():
    pairs = [pair(0, chosen=" ä", rejected=" fool")]
    assert check_pairs(pairs).groups[0].chosen_length == 2
    assert check_pairs(pairs).groups[0].unit == "characters"
    assert check_pairs(pairs, byte_tokenizer()).groups[0].chosen_length == 3


def test_a_telling_length_is_warned_of_and_a_matched_one_is_not():
    short = [pair(n, chosen=" kind", rejected=" you old fool") for n in range(3)]
    warned = [text for text in check_pairs(short).warnings if "length alone" in text]
    assert "rejected texts are longer" in warned[0]
    assert "pairs 0.00" in warned[0]
    fair = [pair(n, chosen=" kind", rejected=" fool") for n in range(3)]
    assert not [text for text in check_pairs(fair).warnings if "length alone" in text]


def test_lengths_that_tell_only_within_a_pair_are_warned_of():
    """Every chosen text is one character shorter than its rejected one; lengths vary widely."""
    pairs = [pair(n, chosen=" " + "a" * n, rejected=" " + "b" * (n + 1)) for n in range(1, 40)]
    report = check_pairs(pairs)
    assert 0.4 < report.groups[0].length_auc < 0.5
    assert report.groups[0].paired_auc == 0
    assert any("length alone" in text for text in report.warnings)


def test_groups_are_languages_and_sources_and_the_whole():
    pairs = [
        pair(0, source="a"),
        pair(1, source="a"),
        pair(2, source="b", chosen=" это", language="ru"),
        pair(3, prompt="", source="b"),
    ]
    groups = {(row.language, row.source): row for row in check_pairs(pairs).groups}
    assert {of: row.pairs for of, row in groups.items()} == {
        ("en", "a"): 2,
        ("ru", "b"): 1,
        ("en", "b"): 1,
        ("all", "all"): 4,
    }
    assert groups["en", "a"].repeated == 1
    assert groups["en", "b"].empty_prompts == 1
    assert groups["ru", "b"].chosen_in_script == 1.0
    assert groups["ru", "b"].rejected_in_script == 0.0


def test_toxicity_margins_are_those_of_the_scorer():
    pairs = [pair(0, chosen=" a", rejected=" b"), pair(1, chosen=" c", rejected=" d")]
    row = check_pairs(pairs, scorer=HashScorer()).groups[0]
    margins = [hash_value(" b") - hash_value(" a"), hash_value(" d") - hash_value(" c")]
    assert row.margin == pytest.approx(sum(margins) / 2)
    assert row.reversed == sum(margin < 0 for margin in margins) / 2
    assert check_pairs(pairs).groups[0].margin is None


def test_what_cannot_be_scored_is_counted_never_zero():
    pairs = [pair(0, chosen=" a", rejected=" b"), pair(1, chosen=" c", rejected=" d")]
    report = check_pairs(pairs, scorer=HashScorer(fails=lambda text: text == " a"))
    assert report.groups[0].unscored == 1
    assert report.groups[0].chosen_toxicity == pytest.approx(hash_value(" c"))
    assert any("could not be scored" in text for text in report.warnings)


def test_contamination_is_found_and_told_by_subset():
    even = sample_prompts("en")[2]
    pairs = [
        pair(0, prompt=even.text),
        pair(1, prompt=f"  {even.text.upper()} "),
        pair(2, prompt="", chosen=even.text + " and more"),
        pair(3, prompt="Something else"),
    ]
    found = {each.source: each for each in overlap(pairs)}
    row = found["sample"]
    assert row.pairs == 3
    assert sum(row.normalised[name] for name in ("odd", "even")) == row.normalised["all"] == 1
    assert row.exact["all"] == 1
    clean = "odd" if row.normalised["even"] else "even"
    assert "CONTAMINATED" in row.sentence()
    assert f"--subset {clean} only" in row.sentence()


def test_no_contamination_and_no_data_are_stated_too():
    found = {each.source: each for each in overlap([pair(0)])}
    assert "none of the" in found["sample"].sentence()
    assert "overlap unknown" in found["rtplx"].sentence()
    assert "No RTP-LX has been prepared" in found["rtplx"].sentence()
    danish = {each.source: each for each in overlap([pair(0, language="da")])}
    assert "overlap unknown" in danish["sample"].sentence()


def test_normalisation_keeps_letters_marks_and_digits():
    assert normalised("Ｈello,  World—2!") == "helloworld2"
    assert normalised("कि") != normalised("क")
    assert normalised("…!") == ""
