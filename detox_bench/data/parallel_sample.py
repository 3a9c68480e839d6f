"""The parallel sample: everyday sentences in the paper's 17 languages, written for this project.

It stands in where no FLORES has been prepared, and every result that used it says so.
"""

import json
from functools import cache
from importlib.resources import files

from detox_bench.errors import unknown_name
from detox_bench.languages import language as language_row

SAMPLE_FILE = "parallel_sentences.jsonl"
SAMPLE_RELEASE = "1"


def sample_sentences(language: str) -> dict[str, str]:
    """Return the sentences of ``language`` by id; those with the same id are translations.

    Raises:
        UnknownName: if the code is in no table, or the sample lacks the language.
    """
    code = language_row(language).code
    if code not in parallel_languages():
        raise unknown_name("language of the parallel sample", code, parallel_languages())
    return {f"parallel/{number}": row[code] for number, row in enumerate(_rows())}


@cache
def parallel_languages() -> tuple[str, ...]:
    """Return the codes of the languages that the sample covers, in file order."""
    return tuple(_rows()[0])


@cache
def _rows() -> tuple[dict[str, str], ...]:
    """Return a row a sentence: its text by language."""
    text = files("detox_bench.data").joinpath(SAMPLE_FILE).read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.split("\n") if line)
