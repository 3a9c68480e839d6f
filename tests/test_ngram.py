import json
import math
import random
from importlib.resources import files

import numpy as np
import pytest

from detox_bench.errors import UnknownName
from detox_bench.languages import LANGUAGES
from detox_bench.scorers import build_card
from detox_bench.scorers.build_checks import Check, auc, calibration_error, make_checks
from detox_bench.scorers.build_corpus import Row
from detox_bench.scorers.build_examples import example_weights, make_examples, rating_target
from detox_bench.scorers.build_fit import bucket_matrix, fit, logits, term_matrix
from detox_bench.scorers.build_terms import merged, own_terms
from detox_bench.scorers.held_out import continuation_length, held_out, parallel_id
from detox_bench.scorers.ngram import NgramScorer, load_ngram
from detox_bench.scorers.ngram_features import BLOCKS, buckets, read_stream
from detox_bench.scorers.ngram_terms import find_terms, read_terms, term_columns
from detox_bench.scorers.ngram_text import normalised_codes

RUDE_AND_POLITE = {
    "ar": ("أنت غبي وأحمق", "شكرا لك يا صديقي"),
    "cs": ("Jsi hloupý idiot", "Děkuji ti, příteli"),
    "de": ("Du bist ein dummer Idiot", "Danke dir, mein Freund"),
    "en": ("You are a stupid idiot", "Thank you, my friend"),
    "es": ("Eres un idiota estúpido", "Gracias, amigo mío"),
    "fr": ("Tu es un idiot stupide", "Merci, mon ami"),
    "hi": ("तुम बेवकूफ और गधे हो", "धन्यवाद मेरे दोस्त"),
    "id": ("Kamu bodoh dan idiot", "Terima kasih, temanku"),
    "it": ("Sei uno stupido idiota", "Grazie, amico mio"),
    "ja": ("お前は馬鹿なやつだ", "友よ、ありがとう"),
    "ko": ("너는 멍청한 바보야", "고마워요, 친구"),
    "nl": ("Je bent een domme idioot", "Dank je wel, mijn vriend"),
    "pl": ("Jesteś głupim idiotą", "Dziękuję, przyjacielu"),
    "pt": ("Você é um idiota estúpido", "Obrigado, meu amigo"),
    "ru": ("Ты глупый идиот", "Спасибо, мой друг"),
    "sv": ("Du är en dum idiot", "Tack, min vän"),
    "zh-Hans": ("你是个愚蠢的白痴", "谢谢你，我的朋友"),
}
ODD_TEXTS = ["", "   ", "\n", "\0", "a\0b", "\ud800", "x\udfff\ud800y", "\x01\x1b[0m"]
ODD_TEXTS += ["\u200b\u202e", "\u0301", "🙂", "é" * 9]


@pytest.fixture(scope="module")
def scorer() -> NgramScorer:
    return load_ngram()


def values(scorer: NgramScorer, texts: list[str], language: str = "en") -> list[float | None]:
    return [score.value for score in scorer.score(texts, language)]


def text_of(text: str) -> str:
    return "".join(map(chr, normalised_codes([text])))


def test_weights_are_small_and_named_in_the_id(scorer):
    stored = files("detox_bench.scorers").joinpath("ngram.npz").read_bytes()
    assert len(stored) <= 2_000_000
    assert scorer.id == f"ngram@{scorer.version}#{scorer.weights_sha256[:12]}"
    assert scorer.languages == frozenset(LANGUAGES)
    assert [table.shape for table in scorer.weights.tables] == [(1 << b.bits,) for b in BLOCKS]


def test_calibration_rises(scorer):
    assert all(slope > 0 for slope in scorer.weights.slopes.values())
    start, stop = scorer.weights.curve
    assert (np.diff(start) > 0).all() and (np.diff(stop) > 0).all()


@pytest.mark.parametrize("language", LANGUAGES)
def test_odd_texts_get_a_score_in_every_language(scorer, language):
    found = values(scorer, ODD_TEXTS, language)
    assert len(found) == len(ODD_TEXTS)
    assert all(value is not None and 0 <= value <= 1 for value in found)


def test_texts_without_letters_get_zero(scorer):
    assert values(scorer, ["", "  \n", "!?…", "\0"]) == [0, 0, 0, 0]
    assert values(scorer, []) == []


def test_huge_text_is_read_as_its_beginning(scorer):
    line = "you fool " * 1_200_000
    assert len(line) > 10_000_000
    assert values(scorer, [line]) == values(scorer, [line[:10_000]])


def test_score_does_not_depend_on_the_batch(scorer):
    draw = random.Random(0)
    words = ["you", "are", "a", "stupid", "fool", "nice", "day", "@user", "你好", "بيت"]
    words += ["\u0308", "idiot", "\ud800", "1d1ot", "!!!"]
    texts = [" ".join(draw.choices(words, k=draw.randrange(30))) for _ in range(300)] + ODD_TEXTS
    together = values(scorer, texts)
    shuffled = list(range(len(texts)))
    draw.shuffle(shuffled)
    assert values(scorer, [texts[n] for n in shuffled]) == [together[n] for n in shuffled]
    assert [values(scorer, [text])[0] for text in texts] == together


def test_unknown_language_is_named(scorer):
    with pytest.raises(UnknownName, match="Unknown language 'zh-hanz'"):
        scorer.score(["hello"], "zh-hanz")
    assert values(scorer, ["you fool"], "zh-hans") == values(scorer, ["you fool"], "zh-Hans")


def test_rude_scores_above_polite(scorer):
    above = [
        language
        for language, pair in RUDE_AND_POLITE.items()
        if np.diff(values(scorer, list(pair), language))[0] < -0.1
    ]
    assert len(above) >= 15, sorted(set(RUDE_AND_POLITE) - set(above))


def test_disguises_are_undone(scorer):
    plain, *disguised = values(scorer, ["you idiot", "you 1DIOT", "yóu ídiöt", "ｙｏｕ ｉｄｉｏｔ"])
    assert disguised[1:] == [plain, plain]
    assert text_of("you id1ot") == "you idiot"
    assert text_of("Hello, WÖRLD!!! soooo") == "hello world soo"
    assert text_of("see https://a.b/c @bob #fun 2024") == "see ⌁ fun 0"
    assert text_of("國語") == text_of("国语")


def test_buckets_of_a_text_are_those_it_has_in_a_batch():
    texts = ["you fool", "", "a b", "日本語 テスト"]
    together = list(buckets(read_stream(texts), "en"))
    assert sorted(number for number, _, _ in together) == list(range(len(BLOCKS)))
    for place, text in enumerate(texts):
        alone = {n: b.tolist() for n, _, b in buckets(read_stream([text]), "en")}
        assert alone == {n: b[rows == place].tolist() for n, rows, b in together}


def test_number_of_features_by_hand():
    # " ab cd " has 6, 5, 4, 3 n-grams of 2 to 5 characters, no word of 3 letters, 2 words, 1 pair
    counts = {BLOCKS[n].name: len(b) for n, _, b in buckets(read_stream(["ab cd"]), "en")}
    assert [counts[f"char{order}"] for order in (2, 3, 4, 5)] == [6, 5, 4, 3]
    assert (counts["prefix"], counts["word"], counts["pair"]) == (0, 2, 1)


def test_only_blocks_apart_depend_on_the_language():
    stream = read_stream(["one two"])
    found = zip(buckets(stream, "en"), buckets(stream, "de"), strict=True)
    same = {BLOCKS[n].name: bool((a == b).all()) for (n, _, a), (_, _, b) in found}
    assert same == {block.name: not block.apart for block in BLOCKS}


def test_terms_are_found_as_word_beginning_pair_and_piece():
    spaced = read_terms({"fool": 2, "stup*": 2, "old hat": 1}, spaced=True)
    hits = find_terms(read_stream(["A stupid fool, foolish", "old hat", "gold hat"]), spaced)
    assert sorted(hits.rows.tolist()) == [0, 0, 1]
    pieces = read_terms({"馬鹿": 2}, spaced=False)
    assert find_terms(read_stream(["この馬鹿め", "鹿"]), pieces).rows.tolist() == [0]
    assert len(read_terms({"!!": 1}, spaced=True).hashes) == 0


def test_term_columns_by_hand():
    terms = read_terms({"fool": 2, "silly": 2}, spaced=True)
    columns = np.array(list(term_columns(read_stream(["fool silly ab", "ab"]), terms, 2)))
    # second tier, two hits in 11 letters = 2.2 words
    assert columns[4:8, 0].tolist() == pytest.approx([1, 1, 0, 2 / math.sqrt(2.2)])
    assert columns[:, 1].sum() == 0


def test_merged_terms_keep_the_first_tier():
    both = merged(read_terms({"fool": 1}, True), read_terms({"fool": 3, "hat": 2}, True))
    assert sorted(both.tiers.tolist()) == [1, 2]
    assert set(own_terms()) == set(LANGUAGES)


def test_parallel_ids_heal_the_missing_index():
    assert parallel_id("DE", "959", "") == parallel_id("EN", 959, "") == "959"
    assert parallel_id("DE", "961", "") == parallel_id("EN", 960, "") == "960"
    assert parallel_id("FR", "1000", "") == parallel_id("EN", 999, "")
    assert parallel_id("HI", 1003, "") == "HI:1003"
    assert parallel_id("SW", "NA", "one") != parallel_id("SW", "NA", "two")


def test_targets_and_weights():
    assert rating_target(2.5) == 0.5
    assert rating_target(1) + rating_target(4) == pytest.approx(1)
    rows = [Row("one", "en", "tweets.en", 1), Row("two", "en", "tweets.en", 0)] * 3
    examples = make_examples([*rows, Row("three", "en", "tweets.en", 0)])
    weights = example_weights(examples)
    toxic = np.array([example.target > 0.5 for example in examples])
    assert weights[toxic].sum() == pytest.approx(weights[~toxic].sum())


def test_completions_and_benign_are_cut_alike():
    row = Row("x" * 500, "en", "completion", 4, "1", "y" * 60)
    texts = [check.text for check in make_checks([row])]
    assert texts == ["x" * 60, "y" * 60]
    longer = [c.text for c in make_checks([row._replace(benign="y" * 300)])]
    assert set(map(len, longer)) == {continuation_length("en")}


def test_calibration_error_and_auc_by_hand():
    # bins .2-.3 and .8-.9: |0 - .2| and |.5 - .8|, two of four texts each
    scores = np.array([0.2, 0.2, 0.8, 0.8])
    assert calibration_error([False, False, True, False], scores) == pytest.approx(0.25)
    checks = [Check("", "en", "prompt", toxic, True, "") for toxic in (False, True, False, True)]
    assert auc(checks, np.array([0.1, 0.9, 0.5, 0.4]), "prompt") == 0.75
    assert auc(checks[:1], np.array([0.1]), "prompt") is None


def test_fit_learns_a_word_and_a_term():
    rows = [Row(f"you fool number {n}", "en", "tweets.en", 1) for n in range(40)]
    rows += [Row(f"you friend number {n}", "en", "tweets.en", 0) for n in range(40)]
    examples = make_examples(rows)
    weights = example_weights(examples)
    terms = {"en": read_terms({"fool": 2}, True)}
    features = (bucket_matrix(examples), term_matrix(examples, terms))
    first = fit(examples, features, weights)
    found = logits(features, first)
    assert found[:40].min() > found[40:].max()
    assert (fit(examples, features, weights).buckets == first.buckets).all()


def test_card_says_what_the_figures_say(scorer):
    folder = files("detox_bench.scorers")
    report = json.loads(folder.joinpath("ngram.json").read_text("utf-8"))
    assert report["id"] == scorer.id
    assert sorted(report["languages"]) == sorted(LANGUAGES)
    assert folder.joinpath("ngram.md").read_text("utf-8") == build_card.card(report)


def test_held_out_figures_can_be_measured_again(scorer):
    import os
    from pathlib import Path

    from detox_bench.scorers.build_corpus import read_prompts

    shared = Path(os.environ.get("DETOX_BENCH_SHARED", Path(__file__).parents[2] / "shared"))
    folder = shared / "data" / "rtp_lx"
    if not (folder / "RTP-LX.zip").is_file():
        pytest.skip(f"needs the real RTP-LX in {folder} (see DETOX_BENCH_SHARED)")
    password = (folder / "password.txt").read_text("utf-8").strip()
    rows = read_prompts(folder / "RTP-LX.zip", password)
    checks = list(make_checks(r for r in rows if r.language == "de" and held_out(r.parallel or "")))
    measured = auc(checks, np.array(values(scorer, [c.text for c in checks], "de")), "prompt")
    report = json.loads(files("detox_bench.scorers").joinpath("ngram.json").read_text("utf-8"))
    assert measured == pytest.approx(report["languages"]["de"]["auc_prompts"], abs=5e-5)
