"""Which texts judge a scorer: their verdicts, their lengths, and that none was fitted on."""

import pytest
from rtplx_doubles import EVEN, ZIP, folder_of, needs_both, real_password, v03, v1

from detox_bench.data.rtplx import read_language, save_rtplx
from detox_bench.data.rtplx_files import open_rtplx
from detox_bench.errors import BadData
from detox_bench.scorers.held_out import (
    HeldOutRule,
    continuation_length,
    cut_alike,
    held_out,
    parallel_id,
    rule_of,
)
from detox_bench.validation.texts import Judged, judge_rows, labelled, prepared, published


def _parts(path, code, rule=None):
    return published(path, None, rule).parts(code)


def test_prompts_are_judged_by_the_mean_of_the_raters(tmp_path):
    rows = [
        v03(0, "toxic", (3, 3, 3)),
        v03(1, "between", (2, 3, 3)),
        v03(2, "on the edge", (2, 2, 2)),
        v03(3, "harmless", (1, 2, 1)),
    ]
    parts = _parts(folder_of(tmp_path, EN=rows), "en")
    assert parts["prompts"] == [
        Judged("toxic", "rtplx/en/0", True, True, (3, 3, 3)),
        Judged("between", "rtplx/en/1", False, False, (2, 3, 3)),
        Judged("on the edge", "rtplx/en/2", False, False, (2, 2, 2)),
        Judged("harmless", "rtplx/en/3", False, True, (1, 2, 1)),
    ]
    assert parts["completions"] == []


def _rated(index: int, toxicity: list[int], completion: str, benign: str = "All well.") -> dict:
    row = v1(index, "A prompt that goes on")
    row["CompletionAnnotationsRaw"] |= {"Toxicity": toxicity}
    return row | {"Completion": completion, "BenignCompletion": benign}


def test_completions_are_cut_to_the_length_of_their_benign_counterpart(tmp_path):
    rows = [_rated(0, [4, 4, 5], "x" * 300, "y" * 50), _rated(1, [1, 1, 2], "z" * 9, "y" * 300)]
    parts = _parts(folder_of(tmp_path, EN=rows), "en")
    assert [(each.text, each.toxic, each.clear) for each in parts["completions"]] == [
        ("x" * 50, True, True),
        ("y" * 50, False, True),
        ("z" * 9, False, False),
        ("y" * 9, False, False),
    ]
    assert len({each.unit for each in parts["completions"]}) == 2
    assert [len(each.text) for each in parts["completions_whole"]] == [300, 50, 9, 300]
    assert [(each.toxic, each.clear) for each in parts["rated_completions"]] == [
        (True, True),
        (False, True),
    ]
    assert parts["completions"][0].ratings == (4, 4, 5)
    assert parts["completions"][1].ratings == ()


def test_a_completion_that_repeats_its_prompt_is_judged_without_it(tmp_path):
    rows = [_rated(0, [4, 4, 4], "A prompt that goes on and on.", "Fine.")]
    parts = _parts(folder_of(tmp_path, EN=rows), "en")
    assert parts["completions_whole"][0].text == "and on."


def test_cut_alike_is_at_most_a_continuation_long():
    assert cut_alike("a" * 500, "b" * 400, "en") == ("a" * 80, "b" * 80)
    assert [*map(len, cut_alike("a" * 500, "b" * 400, "ja", 2.0))] == [60, 60]
    assert continuation_length("th") == 60


def test_the_prepared_release_is_read_and_asked_for(tmp_path):
    with pytest.raises(BadData, match="No RTP-LX has been prepared: run `detox-bench data rtplx"):
        prepared(None)
    opened = open_rtplx(folder_of(tmp_path, EN=[v03(7, "a text", (4, 4, 4))]))
    save_rtplx(opened, [read_language(language, file) for language, file in opened.files])
    source = prepared(None)
    assert source.languages == ("en",)
    assert source.parts("en")["prompts"] == [Judged("a text", "rtplx/en/7", True, True, (4, 4, 4))]


def test_a_labelled_file_is_one_part(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("text,toxic\nyou fool,1\nmy friend,0\n")
    parts = labelled("de", file, "0f").parts("de")
    assert [(each.text, each.toxic, each.clear) for each in parts["labelled"]] == [
        ("you fool", True, True),
        ("my friend", False, True),
    ]


def test_a_rule_leaves_out_what_was_fitted(tmp_path):
    rows = [v1(index, f"prompt {index}") for index in range(4)]
    rule = HeldOutRule("some", lambda row: row["index"] == "1", lambda row: row["index"] == "2")
    parts = _parts(folder_of(tmp_path, EN=rows), "en", rule)
    assert [each.text for each in parts["prompts"]] == ["prompt 1"]
    assert {each.unit for each in parts["completions"]} == {"rtplx/en/2"}


def test_rules_of_scorers():
    assert rule_of("ngram") is rule_of("ensemble:hf:./mine+ngram")
    assert rule_of("ngram:") is rule_of("ensemble:ngram:+hf:a") is rule_of("ngram")
    assert rule_of("hf:ngram") is None
    assert rule_of("detoxify:multilingual") is None
    assert rule_of("ensemble:hf:a+hf:b") is None


def test_the_rule_of_ngram_is_the_split_it_was_fitted_by(tmp_path):
    rule = rule_of("ngram")
    assert rule is not None
    rows = [v03(index, f"prompt {index}") for index in range(40)]
    texts = _parts(folder_of(tmp_path / "en", EN=rows), "en", rule)["prompts"]
    assert [each.text for each in texts] == [f"prompt {n}" for n in range(40) if held_out(str(n))]
    # German item 960 has Index 961, and shares its side with English 960
    rows = [v03(index, f"prompt {index}") for index in range(955, 999)]
    german = _parts(folder_of(tmp_path / "de", DE=rows[6:]), "de", rule)["prompts"]
    wanted = [index for index in range(961, 999) if held_out(str(index - 1))]
    assert [each.text for each in german] == [f"prompt {index}" for index in wanted]
    # without an Index the text decides
    rows = [v03("NA", f"own prompt {n}") for n in range(40)]
    swahili = _parts(folder_of(tmp_path / "sw", SW=rows), "sw", rule)["prompts"]
    own = [row["Prompt"] for row in rows if held_out(parallel_id("SW", "NA", row["Prompt"]))]
    assert [each.text for each in swahili] == own and own


@needs_both
def test_the_rule_takes_the_same_prompts_in_both_releases_and_as_many_as_the_card_says():
    import json
    from importlib.resources import files

    card = json.loads(files("detox_bench.scorers").joinpath("ngram.json").read_text("utf-8"))
    rule = rule_of("ngram")
    old, new = published(ZIP, real_password(), rule), published(EVEN, None, rule)
    for code in ("de", "en", "sh", "sw"):
        prompts = {each.unit for each in old.parts(code)["prompts"]}
        assert len(prompts) == card["languages"][code]["n_prompts"]
        assert {each.unit for each in new.parts(code)["prompts"]} <= prompts
    rows = read_language(
        *next(pair for pair in open_rtplx(EVEN).files if pair[0].code == "sw")
    ).rows
    assert sum(map(rule.completion, rows)) < 0.3 * len(rows)
    assert len(judge_rows(rows, "sw", None)["prompts"]) == len(rows)
