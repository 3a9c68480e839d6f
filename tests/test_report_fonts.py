"""Names of languages in figures: their own where a font holds them, else English and a sentence."""

import logging
import warnings

import pytest

from detox_bench.languages import LANGUAGES
from detox_bench.reports import fonts
from detox_bench.reports.fonts import ALWAYS, NATIVE_NAMES, SCRIPTS, Fonts, find_fonts, missing

pytest.importorskip("matplotlib")

NOTO = tuple(dict.fromkeys(script.families[0] for script in SCRIPTS.values()))
#: What DejaVu Sans, which comes with matplotlib, does not hold.
OTHERS = ("hi", "ja", "ko", "th", "zh-Hans", "zh-Hant")


@pytest.fixture
def only_dejavu(monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: {ALWAYS})


def noto() -> Fonts:
    """Return the fonts of this machine, or skip where Noto is not installed."""
    found = find_fonts()
    lacking = set(NOTO) - set(found.families)
    if lacking or not found.joins:
        pytest.skip(f"needs {', '.join(sorted(lacking))} and a matplotlib that joins letters")
    return found


def test_every_language_has_a_name_of_its_own_script():
    assert NATIVE_NAMES.keys() == LANGUAGES.keys()
    assert {code for code in LANGUAGES if not NATIVE_NAMES[code].strip()} == set()
    named_in_latin = {
        code for code, row in LANGUAGES.items() if row.script != "Latn" and NATIVE_NAMES[code] < "ɐ"
    }
    assert not named_in_latin


def test_with_dejavu_only_the_others_stand_in_english(only_dejavu):
    found = find_fonts()
    assert found.families == [ALWAYS]
    for code, row in LANGUAGES.items():
        own = code not in OTHERS and (found.joins or row.script not in ("Arab", "Hebr"))
        assert found.name(code) == (NATIVE_NAMES[code] if own else row.name)
    sentence = missing(["de", *OTHERS], found)
    assert sentence == (
        "The figures name Hindi, Japanese, Korean, Thai, Chinese (simplified), "
        "Chinese (traditional) in English; to see their own names, install fonts-noto-cjk, "
        "fonts-noto-core" + ("." if found.joins else ", matplotlib 3.11 or newer.")
    )


def test_latin_and_cyrillic_need_nothing(only_dejavu):
    latin = [code for code, row in LANGUAGES.items() if row.script in ("Latn", "Cyrl")]
    assert missing(latin) is None and missing([]) is None and missing(["mean"]) is None


def test_without_joining_letters_arabic_hebrew_and_hindi_stand_in_english(only_dejavu):
    found = find_fonts()
    old = Fonts(found.by_script, found.characters | set(map(ord, NATIVE_NAMES["hi"])), False)
    assert [old.name(code) for code in ("ar", "he", "hi")] == ["Arabic", "Hebrew", "Hindi"]
    assert old.name("ru") == "русский"
    assert (missing(["ar", "ru"], old) or "").endswith("install matplotlib 3.11 or newer.")


def test_with_noto_every_language_has_its_own_name():
    found = noto()
    assert missing(LANGUAGES) is None
    assert all(found.name(code) == NATIVE_NAMES[code] for code in LANGUAGES)
    assert found.families_of("ja")[1] == "Noto Sans CJK JP"
    assert found.families_of("zh-Hans")[1] == "Noto Sans CJK SC"
    assert found.families_of("de") == [ALWAYS]


def test_the_fonts_of_a_label_hold_all_of_it(caplog):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    found = find_fonts()
    for code in LANGUAGES:
        figure.text(0.5, 0.5, found.label(code), fontfamily=found.families_of(code))
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of whatever is collected meanwhile
        figure.draw_without_rendering()
    assert not caplog.records


def test_a_label_begins_with_the_code_and_long_names_are_broken():
    found = find_fonts()
    assert found.label("de") == "de  Deutsch"
    assert found.label("sh") == "sh  bosanski, crnogorski,\nhrvatski, srpski"
    assert found.label("x-new") == "x-new"


def test_text_from_outside_has_no_empty_boxes(only_dejavu):
    found = find_fonts()
    assert found.legible("run\t1\n改 \U0001fae8 \u202e $x$") == "run 1 ? ? ? $x$"
    assert found.hold(found.legible("".join(map(chr, range(32, 0x3000)))))


def test_fonts_that_came_after_matplotlibs_list_are_found(monkeypatch):
    from matplotlib import font_manager

    noto()
    manager = font_manager.fontManager
    known = [entry for entry in manager.ttflist if "Noto" not in entry.fname]
    monkeypatch.setattr(manager, "ttflist", known)
    assert set(NOTO) <= fonts._installed()
