"""The table of languages: every row keeps the contract."""

import re

import pytest

from detox_bench.errors import UnknownName
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES, language

ROWS = list(LANGUAGES.values())
# arXiv 2406.16235, section 4: the 17 languages of its evaluation.
PAPER = {
    *("ar", "cs", "de", "en", "es", "fr", "hi", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru"),
    *("sv", "zh-Hans"),
}
# The RTP-LX files of v0.3, one a locale.
RTPLX = {
    *("AR", "BCMS", "CS", "DA", "DE", "EN", "ES", "FI", "FR", "HE", "HI", "HU", "ID", "IT", "JA"),
    *("KO", "NL", "NO-NB", "PL", "PT", "RU", "SV", "SW", "TH", "TR", "UK", "ZH-Hans", "ZH-Hant"),
}


def test_the_paper_s_17_and_the_28_locales_of_rtplx():
    assert set(PAPER_LANGUAGES) == PAPER and len(PAPER) == 17
    assert {row.rtplx for row in ROWS} == RTPLX and len(ROWS) == 28


@pytest.mark.parametrize("column", ["code", "slug", "name", "rtplx", "flores"])
def test_names_are_unique(column):
    assert len({getattr(row, column) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_every_row_keeps_the_contract(row):
    assert LANGUAGES[row.code] is row
    assert re.fullmatch(r"[a-z]{2}(-[A-Z][a-z]{3})?", row.code)
    assert row.slug == row.code.lower()
    assert re.fullmatch(r"[A-Z][a-z]{3}", row.script)
    assert re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", row.flores)
    assert row.direction == ("rtl" if row.script in {"Arab", "Hebr"} else "ltr")
    assert row.spaced == (row.script not in {"Jpan", "Thai", "Hans", "Hant"})
    # Korean is written in hangul and hanja together (Kore), which FLORES calls by the first.
    assert row.flores.endswith({"Kore": "Hang"}.get(row.script, row.script))


def test_capital_letters_of_a_code_do_not_matter():
    assert language("ZH-HANS") is language("zh-hans") is LANGUAGES["zh-Hans"]


def test_an_unknown_code_is_one_sentence_with_the_nearest():
    with pytest.raises(UnknownName, match=r"^Unknown language 'zh-hons'\. Did you mean 'zh-Hans'"):
        language("zh-hons")
