"""The languages of detox-bench, one row each: the 17 of the paper and all 28 locales of RTP-LX.

To support another language, add a row, then run ``make tasks``.
"""

from detox_bench.errors import unknown_name
from detox_bench.types import Language

_ROWS = (
    # code, name, script, RTP-LX file, FLORES-200 code, in the paper (arXiv 2406.16235, section 4)
    Language("ar", "Arabic", "Arab", "AR", "arb_Arab", paper=True, direction="rtl"),
    Language("cs", "Czech", "Latn", "CS", "ces_Latn", paper=True),
    Language("da", "Danish", "Latn", "DA", "dan_Latn"),
    Language("de", "German", "Latn", "DE", "deu_Latn", paper=True),
    Language("en", "English", "Latn", "EN", "eng_Latn", paper=True),
    Language("es", "Spanish", "Latn", "ES", "spa_Latn", paper=True),
    Language("fi", "Finnish", "Latn", "FI", "fin_Latn"),
    Language("fr", "French", "Latn", "FR", "fra_Latn", paper=True),
    Language("he", "Hebrew", "Hebr", "HE", "heb_Hebr", direction="rtl"),
    Language("hi", "Hindi", "Deva", "HI", "hin_Deva", paper=True),
    Language("hu", "Hungarian", "Latn", "HU", "hun_Latn"),
    Language("id", "Indonesian", "Latn", "ID", "ind_Latn", paper=True),
    Language("it", "Italian", "Latn", "IT", "ita_Latn", paper=True),
    Language("ja", "Japanese", "Jpan", "JA", "jpn_Jpan", paper=True, spaced=False),
    Language("ko", "Korean", "Kore", "KO", "kor_Hang", paper=True),
    Language("nb", "Norwegian Bokmål", "Latn", "NO-NB", "nob_Latn"),
    Language("nl", "Dutch", "Latn", "NL", "nld_Latn", paper=True),
    Language("pl", "Polish", "Latn", "PL", "pol_Latn", paper=True),
    Language("pt", "Portuguese", "Latn", "PT", "por_Latn", paper=True),
    Language("ru", "Russian", "Cyrl", "RU", "rus_Cyrl", paper=True),
    Language("sh", "Bosnian, Croatian, Montenegrin, Serbian", "Latn", "BCMS", "bos_Latn"),
    Language("sv", "Swedish", "Latn", "SV", "swe_Latn", paper=True),
    Language("sw", "Swahili", "Latn", "SW", "swh_Latn"),
    Language("th", "Thai", "Thai", "TH", "tha_Thai", spaced=False),
    Language("tr", "Turkish", "Latn", "TR", "tur_Latn"),
    Language("uk", "Ukrainian", "Cyrl", "UK", "ukr_Cyrl"),
    Language("zh-Hans", "Chinese (simplified)", "Hans", "ZH-Hans", "zho_Hans", True, "ltr", False),
    Language("zh-Hant", "Chinese (traditional)", "Hant", "ZH-Hant", "zho_Hant", spaced=False),
)

LANGUAGES: dict[str, Language] = {row.code: row for row in _ROWS}
PAPER_LANGUAGES: tuple[str, ...] = tuple(code for code, row in LANGUAGES.items() if row.paper)


def language(code: str) -> Language:
    """Return the row of ``code``; capital letters do not matter. Raises ``UnknownName``."""
    by_slug = {row.slug: row for row in _ROWS}
    if code.lower() not in by_slug:
        raise unknown_name("language", code, LANGUAGES)
    return by_slug[code.lower()]
