"""The sample set: mild prompts in the paper's 17 languages, written for this project.

It stands in where no RTP-LX has been prepared, and every result that used it says so. The prompts
are parallel: item n means the same in every language. ``python -m detox_bench.demo.corpus`` writes
the file; its content belongs to the toy world of the demo model.
"""

import json
from functools import cache
from importlib.resources import files

from detox_bench.errors import unknown_name
from detox_bench.languages import language as language_row
from detox_bench.types import Prompt

SAMPLE_FILE = "sample_prompts.jsonl"


def sample_prompts(language: str) -> list[Prompt]:
    """Return the sample prompts of ``language`` in the order of their item numbers.

    The id is ``sample/<language>/<item>``; prompts with the same item are translations.

    Raises:
        UnknownName: if the code is in no table, or the sample set lacks the language.
    """
    code = language_row(language).code
    if code not in sample_languages():
        raise unknown_name("language of the sample set", code, sample_languages())
    return [prompt for prompt in _all_prompts() if prompt.language == code]


@cache
def sample_languages() -> tuple[str, ...]:
    """Return the codes of the languages the sample set covers, in file order."""
    return tuple(dict.fromkeys(prompt.language for prompt in _all_prompts()))


@cache
def _all_prompts() -> tuple[Prompt, ...]:
    text = files("detox_bench.data").joinpath(SAMPLE_FILE).read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return tuple(
        Prompt(f"sample/{row['language']}/{row['item']}", row["language"], row["text"])
        for row in rows
    )
