"""Languages by their own names in figures, where a font here holds the script; else in English.

To name another language, add a row to ``NATIVE_NAMES``; a script that DejaVu Sans (which comes with
matplotlib) does not hold needs a row of ``SCRIPTS``.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from detox_bench.figures import figure_class
from detox_bench.languages import LANGUAGES

#: What each language calls itself (Unicode CLDR, where it has the whole name).
NATIVE_NAMES: Mapping[str, str] = {
    "ar": "العربية",
    "cs": "čeština",
    "da": "dansk",
    "de": "Deutsch",
    "en": "English",
    "es": "español",
    "fi": "suomi",
    "fr": "français",
    "he": "עברית",
    "hi": "हिन्दी",
    "hu": "magyar",
    "id": "Bahasa Indonesia",
    "it": "italiano",
    "ja": "日本語",
    "ko": "한국어",
    "nb": "norsk bokmål",
    "nl": "Nederlands",
    "pl": "polski",
    "pt": "português",
    "ru": "русский",
    "sh": "bosanski, crnogorski, hrvatski, srpski",
    "sv": "svenska",
    "sw": "Kiswahili",
    "th": "ไทย",
    "tr": "Türkçe",
    "uk": "українська",
    "zh-Hans": "简体中文",
    "zh-Hant": "繁體中文",
}

_CORE, _CJK = "fonts-noto-core", "fonts-noto-cjk"
_HAN = ("Arial Unicode MS", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback")


class Script(NamedTuple):
    """A script: the families that hold it, best first, and the Debian package of the first.

    ``joined`` is a script whose letters change by their neighbours or run from right to left.
    """

    package: str
    families: tuple[str, ...]
    joined: bool = False


#: Scripts by ISO 15924 code, of Debian, macOS and Windows; the others are in DejaVu Sans.
SCRIPTS: Mapping[str, Script] = {
    "Arab": Script(_CORE, ("Noto Sans Arabic", "Geeza Pro", "Segoe UI"), joined=True),
    "Hebr": Script(_CORE, ("Noto Sans Hebrew", "Arial Hebrew", "Segoe UI"), joined=True),
    "Deva": Script(
        _CORE,
        ("Noto Sans Devanagari", "Lohit Devanagari", "Kohinoor Devanagari", "Nirmala UI", "Mangal"),
        joined=True,
    ),
    "Thai": Script(_CORE, ("Noto Sans Thai", "Thonburi", "Leelawadee UI", "Tahoma", "Loma")),
    "Hans": Script(_CJK, ("Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", *_HAN)),
    "Hant": Script(_CJK, ("Noto Sans CJK TC", "PingFang TC", "Microsoft JhengHei", *_HAN)),
    "Jpan": Script(_CJK, ("Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic", "IPAGothic")),
    "Kore": Script(
        _CJK, ("Noto Sans CJK KR", "Apple SD Gothic Neo", "Malgun Gothic", "NanumGothic")
    ),
}
#: Comes with matplotlib, and holds Latin, Cyrillic, Greek, Arabic and Hebrew.
ALWAYS = "DejaVu Sans"
#: The first matplotlib that joins letters and turns them by libraqm.
_JOINING = "matplotlib 3.11 or newer"
_WIDEST = 24  # characters of a name in one line


@dataclass(frozen=True, slots=True)
class Fonts:
    """The family of each script found here, the characters they hold, whether letters join."""

    by_script: Mapping[str, str]
    characters: frozenset[int]
    joins: bool

    @property
    def families(self) -> list[str]:
        """All families, for text whose language is not known."""
        return [ALWAYS, *dict.fromkeys(self.by_script.values())]

    def families_of(self, code: str) -> list[str]:
        """Return the families for a language's label: forms of Han differ by country."""
        row = LANGUAGES.get(code)
        return [
            ALWAYS,
            *([self.by_script[row.script]] if row and row.script in self.by_script else []),
        ]

    def hold(self, text: str) -> bool:
        """Whether no character of ``text`` would be an empty box."""
        return all(ord(character) in self.characters for character in text)

    def name(self, code: str) -> str:
        """Return what the language calls itself where that can be drawn, else its English name."""
        english = LANGUAGES[code].name
        return english if needed(code, self) else NATIVE_NAMES.get(code, english)

    def label(self, code: str) -> str:
        """Return code and name. The code is first: it keeps the line from left to right."""
        if code not in LANGUAGES:
            return self.legible(code)
        return f"{code}  {textwrap.fill(self.name(code), _WIDEST)}"

    def legible(self, text: str) -> str:
        """Return a line of text from outside with what cannot be drawn as ``?``."""
        line = " ".join(text.split())
        return "".join(each if each.isprintable() and self.hold(each) else "?" for each in line)


def find_fonts() -> Fonts:
    """Return the fonts of this machine. Raises ``MissingExtra`` without matplotlib."""
    figure_class()
    installed = _installed()
    by_script = {
        code: family
        for code, script in SCRIPTS.items()
        if (family := _first(code, [each for each in script.families if each in installed]))
    }
    held = frozenset[int]().union(*map(_characters, (ALWAYS, *by_script.values())))
    return Fonts(by_script, held, _joins())


def missing(codes: Iterable[str], fonts: Fonts | None = None) -> str | None:
    """Return a sentence on the languages that stand in English, and what to install; else None."""
    fonts = fonts or find_fonts()
    lacking = {code: needed(code, fonts) for code in codes if code in LANGUAGES}
    lacking = {code: what for code, what in lacking.items() if what}
    if not lacking:
        return None
    names = ", ".join(LANGUAGES[code].name for code in lacking)
    wanted = ", ".join(sorted({each for what in lacking.values() for each in what}))
    return f"The figures name {names} in English; to see their own names, install {wanted}."


def needed(code: str, fonts: Fonts) -> Sequence[str]:
    """Return what to install to draw the language's own name; nothing where all is there."""
    if code not in NATIVE_NAMES:
        return ()
    script = SCRIPTS.get(LANGUAGES[code].script)
    font = () if fonts.hold(NATIVE_NAMES[code]) else (script.package if script else _CORE,)
    return (*font, _JOINING) if script and script.joined and not fonts.joins else font


def _first(script: str, families: Sequence[str]) -> str | None:
    """Return the first family that holds the names of all languages of the script."""
    names = (NATIVE_NAMES[code] for code, row in LANGUAGES.items() if row.script == script)
    wanted = {ord(character) for name in names for character in name}
    return next((family for family in families if wanted <= _characters(family)), None)


def _installed() -> set[str]:
    """Return the names of all families, also of those that came after matplotlib's own list."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    for file in sorted(set(font_manager.findSystemFonts()) - {f.fname for f in manager.ttflist}):
        with suppress(OSError, RuntimeError, ValueError, KeyError):  # damaged, or no outlines
            manager.addfont(file)
    return {entry.name for entry in manager.ttflist}


def _characters(family: str) -> frozenset[int]:
    """Return the code points that the family holds, and the line break."""
    from matplotlib import font_manager

    file = font_manager.findfont(font_manager.FontProperties(family=[family]))
    return frozenset(font_manager.get_font(file).get_charmap()) | {ord("\n")}


def _joins() -> bool:
    from matplotlib import ft2font

    module: Any = ft2font
    return bool(getattr(module, "__libraqm_version__", None))
