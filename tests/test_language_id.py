"""Language identification of short texts: scripts, thresholds, and the count a report shows."""

import pytest

from detox_bench.errors import UnknownName
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.quality import language_id
from detox_bench.quality.language_id import identify, language_fidelity, script_of

TEXTS = {
    "ar": "كان الطقس جميلا فخرجنا إلى الحديقة",
    "cs": "Včera večer jsme šli se psem do parku a potom domů.",
    "de": "Gestern Abend gingen wir mit dem Hund in den Park und dann nach Hause.",
    "en": "Yesterday evening we went to the park with the dog and then home.",
    "es": "Ayer por la tarde fuimos al parque con el perro y luego a casa.",
    "fr": "Hier soir nous sommes allés au parc avec le chien puis à la maison.",
    "he": "אתמול בערב הלכנו לפארק עם הכלב",
    "hi": "कल शाम हम कुत्ते के साथ पार्क गए",
    "id": "Kemarin sore kami pergi ke taman dengan anjing lalu pulang ke rumah.",
    "it": "Ieri sera siamo andati al parco con il cane e poi a casa.",
    "ja": "昨日の夜、犬と公園へ行きました。",
    "ko": "어제 저녁에 우리는 개와 함께 공원에 갔다",
    "nl": "Gisteravond gingen we met de hond naar het park en daarna naar huis.",
    "pl": "Wczoraj wieczorem poszliśmy z psem do parku, a potom do domu.",
    "pt": "Ontem à noite fomos ao parque com o cachorro e depois para casa.",
    "ru": "Вчера вечером мы пошли с собакой в парк, а потом домой.",
    "sv": "I går kväll gick vi till parken med hunden och sedan hem.",
    "th": "เมื่อวานเย็นเราไปสวนสาธารณะกับสุนัข",
    "uk": "Учора ввечері ми пішли з собакою до парку, а потім додому.",
    "zh-Hans": "昨天晚上我们和狗一起去了公园",
}


@pytest.fixture
def library():
    pytest.importorskip("py3langid", reason="needs the quality extra")


@pytest.mark.usefixtures("library")
def test_sentences_are_in_their_language():
    assert TEXTS.keys() >= set(PAPER_LANGUAGES)
    assert dict(zip(TEXTS, identify(list(TEXTS.values())), strict=True)) == {c: c for c in TEXTS}


@pytest.mark.usefixtures("library")
def test_the_library_knows_every_language_by_a_label():
    labels = set(language_id._library().labels)
    for code in LANGUAGES:
        ours = language_id.written_as(code)
        assert labels & set(language_id._LABELS.get(ours, (ours,))), code


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Hello there", "Latn"),
        ("страница", "Cyrl"),
        ("公園へ行く", "Kana"),
        ("公园", "Hani"),
        ("अच्छा दिन", "Deva"),
        ("", None),
        ("123 … !?", None),
        ("καλημέρα σας", None),  # a script of no language here
        ("hello my дорогая", None),  # 7 letters of each: neither holds 60 %
    ],
)
def test_the_script_that_holds_most_letters(text, script):
    assert script_of(text) == script


def test_characters_of_syllables_count_for_several_letters():
    assert script_of("微软公司 Windows") == "Hani"  # 4 × 3 = 12 against 7: 63 %
    assert script_of("微软 Windows") is None  # 6 against 7


@pytest.mark.usefixtures("library")
def test_what_cannot_be_told_is_undetermined():
    assert identify(["ok", "", "  ", "12:30", "hello my дорогая", "καλημέρα σας φίλε μου"]) == (
        [None] * 6
    )


@pytest.mark.usefixtures("library")
def test_only_the_languages_given_are_answered():
    danish = "I går aftes gik vi en tur i parken med hunden, og så hjem igen"
    assert identify([danish]) == ["da"]
    assert identify([danish], ["sv", "de"]) != ["da"]
    assert identify([TEXTS["ko"]], ["en"]) == [None]
    assert identify([TEXTS["en"]], ["en", "ko"]) == ["en"]  # the only one in its script
    with pytest.raises(UnknownName, match="Unknown language 'xx'"):
        identify(["text"], ["xx"])


@pytest.mark.usefixtures("library")
def test_fidelity_counts_right_undetermined_and_empty():
    texts = [TEXTS["de"], TEXTS["de"], TEXTS["en"], "ok", "", " \n"]
    found = language_fidelity(texts, "de")
    assert found == (2, 1, 4, 2)
    assert found.share == 2 / 4
    assert language_fidelity(["", " "], "de").share is None


def test_chinese_of_either_kind_is_right():
    assert language_fidelity([TEXTS["zh-Hans"]], "zh-Hant").right == 1
    assert language_fidelity([TEXTS["zh-Hans"]], "zh-hans").right == 1
    assert language_fidelity([TEXTS["ja"]], "zh-Hans").right == 0
