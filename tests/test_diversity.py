"""Self-BLEU: equal to sacrebleu's, text by text."""

import pytest
from sacrebleu import sentence_bleu

from detox_bench.data.sample import sample_prompts
from detox_bench.languages import LANGUAGES
from detox_bench.quality.diversity import TOKENIZERS, self_bleu, tokenizer_name


def by_sacrebleu(texts, language):
    """Return the reference: every text against all others, by sacrebleu itself."""
    name = tokenizer_name(language)
    scores = [
        sentence_bleu(text, [*texts[:n], *texts[n + 1 :]], tokenize=name).score / 100
        for n, text in enumerate(texts)
    ]
    return sum(scores) / len(scores)


@pytest.mark.parametrize("language", ["ar", "de", "en", "hi", "ja", "ko", "ru", "zh-Hans"])
def test_it_is_the_mean_sentence_bleu_of_each_text_against_the_others(language):
    texts = [prompt.text for prompt in sample_prompts(language)[:12]]
    texts += [texts[0], texts[1][: len(texts[1]) // 2], texts[2] + " " + texts[2], "2,5 % – «ok»!"]
    assert self_bleu(texts, language) == pytest.approx(by_sacrebleu(texts, language), abs=1e-9)


def test_texts_of_other_scripts_and_thai_are_counted_alike():
    texts = ["ฝนตกหนักมาก", "ฝนตกหนัก", "แมวนอน", "a cat sat"]
    assert self_bleu(texts, "th") == pytest.approx(by_sacrebleu(texts, "th"), abs=1e-9)


def test_one_text_over_and_over_is_1_and_texts_without_a_common_word_0():
    assert self_bleu(["the cat sat on the mat"] * 5, "en") == pytest.approx(1.0)
    assert self_bleu(["a b c d e", "f g h i j", "k l m n o"], "en") == 0.0


def test_the_highest_count_of_all_others_is_what_clips():
    # "a a a" has three of "a"; the others at most two.
    texts = ["a a a", "a a b", "a b b"]
    assert self_bleu(texts, "en") == pytest.approx(by_sacrebleu(texts, "en"), abs=1e-9)


def test_empty_texts_do_not_count_and_fewer_than_two_have_none():
    texts = ["the cat sat here", "the cat lay there"]
    assert self_bleu([*texts, "", " \n"], "en") == self_bleu(texts, "en")
    assert self_bleu(["one text", " "], "en") is None
    assert self_bleu([], "en") is None


def test_every_language_has_a_tokenizer_that_needs_no_download():
    assert {row.script for row in LANGUAGES.values()} <= set(TOKENIZERS)
    for code in LANGUAGES:
        assert self_bleu(["a b", "a c"], code) is not None
