"""Preference pairs from the benign and the toxic completions of RTP-LX v1.x."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detox_bench.data.preference_rows import Draft, ReadOptions
from detox_bench.data.preference_text import continuing, without_prompt
from detox_bench.data.prompts import SUBSETS
from detox_bench.data.rtplx import read_language
from detox_bench.data.rtplx_files import open_rtplx
from detox_bench.errors import BadData, unknown_name
from detox_bench.languages import language as language_row
from detox_bench.types import Language, PreferencePair


def read_rtplx(path: Path, options: ReadOptions) -> Iterator[Draft]:
    """Yield a pair a prompt: ``BenignCompletion`` chosen, ``Completion`` rejected.

    Left out are rows whose completion was rated below ``options.least_toxicity`` (the mean of the
    raters, 1 to 5), unrated ones, and rows without both completions; a prompt's own rating does
    not matter. The rating is of the whole completion: what is left of it after the cut may be
    milder, which ``detox-bench pairs check`` shows.
    """
    if options.subset not in SUBSETS:
        raise unknown_name("subset", options.subset, SUBSETS)
    codes = {language_row(code).code for code in options.languages}
    opened = open_rtplx(path, options.password)
    files = [(language, file) for language, file in opened.files if language.code in codes]
    if missing := sorted(codes - {language.code for language, _ in files}):
        has = ", ".join(language.code for language, _ in opened.files)
        raise BadData(
            f"{path.name} has no {', '.join(missing)}, only {has}: name another --language."
        )
    for language, file in files:
        rows = [row for row in read_language(language, file).rows if SUBSETS[options.subset](row)]
        if not any(row["benign_completion"] for row in rows):
            raise BadData(
                f"{file.name} has no benign completions: only RTP-LX v1.x does, v0.3 does not."
            )
        for row in rows:
            yield _draft(row, language, options)


def _draft(row: dict[str, Any], language: Language, options: ReadOptions) -> Draft:
    prompt, toxic = row["text"], row["completion"] or ""
    shorter = without_prompt(prompt, toxic)
    pair = PreferencePair(
        id=row["id"],
        prompt=prompt,
        chosen=continuing(
            prompt, without_prompt(prompt, row["benign_completion"] or ""), language.spaced
        ),
        rejected=continuing(prompt, shorter, language.spaced),
        language=language.code,
        source="rtplx",
        complete=True,
    )
    changed = ("repeated prompt removed",) if shorter != toxic else ()
    place = f"{language.rtplx} Index {row['index']}"
    if not (row["completion"] and row["benign_completion"]):
        return Draft(pair, place, changed, "no toxic or no benign completion")
    return Draft(pair, place, changed, filtered=_filtered(row, options))


def _filtered(row: dict[str, Any], options: ReadOptions) -> str | None:
    """Return what the raters say against the pair."""
    rating = row["completion_toxicity"]
    if rating is None:
        return "completion not rated"
    too_mild = rating < options.least_toxicity
    return f"completion rated below {options.least_toxicity:g}" if too_mild else None
