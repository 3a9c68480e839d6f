"""Which language a short text is in, and the share of continuations that kept their language.

The script is looked at first: Hangul, kana, Devanagari, Arabic, Hebrew, Thai and Han each leave one
language of ours. Among those that share a script (Latin, Cyrillic) py3langid decides, restricted to
ours. ``docs/language_identification.md`` has the measurements behind the choice of the library and
behind the threshold; ``python -m detox_bench.quality.measure_language_id`` makes them again.

To support another language, add its row to ``LANGUAGES``, and to ``_LABELS`` if the library calls
it otherwise.
"""

import copy
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from detox_bench.languages import LANGUAGES
from detox_bench.languages import language as language_row

#: The script of a text must hold this share of its letters.
SCRIPT_SHARE = 0.6
#: Below this probability of py3langid a text is undetermined; that covers the very short ones.
CONFIDENCE = 0.6

#: Simplified and traditional characters are not told apart: both are Chinese, given as this.
_CHINESE = "zh-Hans"
# What py3langid calls a language of ours, where that is not its own code.
_LABELS = {"nb": ("nb", "no"), "sh": ("bs", "hr", "sr"), _CHINESE: ("zh",)}
# Scripts of LANGUAGES that are written with more than one set of characters, by that set's name.
_CHARACTERS = {"Jpan": "Kana", "Kore": "Hang", "Hans": "Hani", "Hant": "Hani"}
_SCRIPTS = {
    "Latn": "A-Za-zªºÀ-ÖØ-öø-ɏḀ-ỿ",
    "Cyrl": "\u0400-\u052f",
    "Arab": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "Hebr": "\u0590-\u05ff\ufb1d-\ufb4f",
    "Deva": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
    "Hang": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Kana": "\u3041-\u3096\u30a1-\u30fa\u30fc\uff66-\uff9d",
    "Hani": "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
}
_SEARCHED = re.compile("|".join(f"(?P<{name}>[{set_}])" for name, set_ in _SCRIPTS.items()))
_LETTER = re.compile(r"[^\W\d_]")
# One such character stands for about so many letters of an alphabet.
_WEIGHTS = {"Hang": 2, "Kana": 2, "Hani": 3}
# From this share of kana on, a text of kana and Han is Japanese.
_KANA_SHARE = 0.1


class LanguageFidelity(NamedTuple):
    """How many continuations of a prompt set are in the language of their prompts.

    ``right`` of the ``nonempty`` ones are, ``undetermined`` could not be told, the rest are in
    another language; ``empty`` ones hold only white space.
    """

    right: int
    undetermined: int
    nonempty: int
    empty: int

    @property
    def share(self) -> float | None:
        """Right ones among those that are not empty; None if all are empty."""
        return self.right / self.nonempty if self.nonempty else None


def identify(texts: Sequence[str], languages: Iterable[str] = tuple(LANGUAGES)) -> list[str | None]:
    """Return the code of each text's language; None where it is undetermined.

    Args:
        texts: Any, of a few words or more.
        languages: The codes to choose among. Chinese of either kind is given as ``zh-Hans``.

    Undetermined are texts without letters, in a mix of scripts (``SCRIPT_SHARE``), in a script of
    no language, or with a probability below ``CONFIDENCE``.

    Raises ``UnknownName`` for a code in no table.
    """
    codes = frozenset(language_row(code).code for code in languages)
    return [_identify(text, codes) for text in texts]


def language_fidelity(texts: Sequence[str], language: str) -> LanguageFidelity:
    """Return how many of ``texts`` are in ``language``, chosen among all of ``LANGUAGES``.

    Raises as ``identify``.
    """
    wanted = written_as(language_row(language).code)
    full = [text for text in texts if text.strip()]
    found = identify(full)
    return LanguageFidelity(
        found.count(wanted), found.count(None), len(full), len(texts) - len(full)
    )


def script_of(text: str) -> str | None:
    """Return the script that holds at least ``SCRIPT_SHARE`` of the letters; None if none does.

    Scripts are ISO 15924 codes; ``Kana`` stands for Japanese in kana and Han. Han, kana and Hangul
    characters count as several letters.
    """
    counts = dict.fromkeys(_SCRIPTS, 0)
    for found in _SEARCHED.finditer(text):
        counts[found.lastgroup or ""] += 1
    other = len(_LETTER.findall(_SEARCHED.sub("", text)))
    if counts["Kana"] >= _KANA_SHARE * (counts["Kana"] + counts["Hani"]):
        counts["Kana"], counts["Hani"] = counts["Kana"] + counts["Hani"], 0
    weighed = {name: count * _WEIGHTS.get(name, 1) for name, count in counts.items()}
    most = max(weighed, key=lambda name: weighed[name])
    total = sum(weighed.values()) + other
    return most if total and weighed[most] / total >= SCRIPT_SHARE else None


def _identify(text: str, codes: frozenset[str]) -> str | None:
    script = script_of(text)
    if script is None:
        return None
    candidates = _written_in(script, codes)
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    code, confidence = _classifier(candidates)(text)
    return code if confidence >= CONFIDENCE else None


@cache
def _written_in(script: str, codes: frozenset[str]) -> tuple[str, ...]:
    """Return the languages of ``codes`` in ``script``, Chinese of both kinds as one."""
    rows = (row for row in LANGUAGES.values() if row.code in codes)
    found = (
        written_as(row.code) for row in rows if _CHARACTERS.get(row.script, row.script) == script
    )
    return tuple(dict.fromkeys(found))


def written_as(code: str) -> str:
    """Return the code that ``identify`` gives for texts in a language: one for all of Chinese."""
    return _CHINESE if code.startswith("zh-") else code


@cache
def _classifier(candidates: tuple[str, ...]) -> Callable[[str], tuple[str, float]]:
    """Return a function from a text to the likeliest of ``candidates`` and its probability."""
    identifier = copy.copy(_library())
    ours = {label: code for code in candidates for label in _LABELS.get(code, (code,))}
    identifier.set_languages([label for label in ours if label in set(identifier.labels)])

    def classify(text: str) -> tuple[str, float]:
        totals = dict.fromkeys(candidates, 0.0)
        for label, probability in identifier.rank(text):
            totals[ours[label]] += probability
        best = max(totals, key=lambda code: totals[code])
        return best, totals[best]

    return classify


@cache
def _library() -> Any:
    """Return py3langid's model with probabilities; it takes half a second to load."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
