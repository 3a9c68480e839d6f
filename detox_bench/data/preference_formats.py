"""The formats of preference pairs that are JSON lines: Lee et al., ours, ParaDetox."""

from collections.abc import Iterator
from pathlib import Path

from detox_bench.data.preference_rows import Draft, ReadOptions, Row, pair_rows, text
from detox_bench.data.preference_text import copied_start, shared_words, without_start
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.languages import language as language_row
from detox_bench.types import PreferencePair

_LEE_FILES = r"split_.+\.jsonl(\.gz)?"


def lee_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, or of the ``split_*`` files where the folder has any."""
    has_splits = path.is_dir() and any(path.glob("split_*.jsonl*"))
    return pair_rows(path, _LEE_FILES) if has_splits else pair_rows(path)


def read_lee(path: Path, options: ReadOptions) -> Iterator[Draft]:  # noqa: ARG001
    """Yield the pairs of Lee et al. (arXiv 2401.01967), the copied prompt taken out of both."""
    for row in lee_rows(path):
        pair = _lee_pair(row)
        copy = copied_start(pair.prompt, pair.chosen, pair.rejected)
        yield Draft(
            PreferencePair(
                id=pair.id,
                prompt=pair.prompt,
                chosen=without_start(pair.chosen, copy),
                rejected=without_start(pair.rejected, copy),
                source="lee",
            ),
            row.place,
            ("copy of the prompt removed",) if copy else (),
        )


def read_legacy(path: Path, options: ReadOptions) -> Iterator[Draft]:
    """Yield the same pairs as arXiv 2406.16235 trains on them: copies kept, long ones left out.

    Its filter counts characters: prompt and continuation have at most 256 together.
    """
    limit = options.longest_sum
    for row in lee_rows(path):
        pair = _lee_pair(row)
        longest = len(pair.prompt) + max(len(pair.chosen), len(pair.rejected))
        too_long = limit is not None and longest > limit
        yield Draft(pair, row.place, filtered=f"over {limit} characters" if too_long else None)


def read_plain(path: Path, options: ReadOptions) -> Iterator[Draft]:  # noqa: ARG001
    """Yield ``prompt``/``chosen``/``rejected`` lines; ``id`` and the rest are optional."""
    for row in pair_rows(path):
        yield plain_draft(row)


def plain_draft(row: Row) -> Draft:
    """Return the pair of a row with our own field names. Raises ``BadData`` with its place."""
    given = {name: row.fields[name] for name in ("id", "language", "source") if name in row.fields}
    for name, value in given.items():
        if not isinstance(value, str | int):
            raise BadData(f"{row.place}: {name!r} is no text. Mend the line.")
    complete = row.fields.get("complete", True)
    if not isinstance(complete, bool):
        raise BadData(f"{row.place}: 'complete' is neither true nor false. Mend the line.")
    try:
        language = language_row(str(given.get("language", "en"))).code
    except DetoxBenchError as error:
        raise BadData(f"{row.place}: {error}") from error
    pair = PreferencePair(
        id=str(given.get("id", row.name)),
        prompt=text(row, "prompt"),
        chosen=text(row, "chosen"),
        rejected=text(row, "rejected"),
        language=language,
        source=str(given.get("source", "")),
        complete=complete,
    )
    return Draft(pair, row.place)


def read_paradetox(path: Path, options: ReadOptions) -> Iterator[Draft]:  # noqa: ARG001
    """Yield a pair a neutral rewrite of ParaDetox (Logacheva et al., ACL 2022).

    The prompt is what the toxic sentence and its rewrite begin with, often nothing.
    """
    for row in pair_rows(path):
        toxic = text(row, "toxic").strip()
        rewrites = row.fields.get("neutral", row.fields.get("neutral1"))
        rewrites = [rewrites] if isinstance(rewrites, str) else rewrites
        if not isinstance(rewrites, list) or not all(isinstance(each, str) for each in rewrites):
            raise BadData(f"{row.place}: 'neutral' is no text or list of texts. Mend the line.")
        if not rewrites:
            nothing = PreferencePair(row.name, "", "", toxic)
            yield Draft(nothing, row.place, reason="no neutral rewrite")
        language = str(row.fields.get("lang", "en"))
        for number, neutral in enumerate(rewrites):
            yield _rewrite(row, toxic, neutral.strip(), (language, number))


def _rewrite(row: Row, toxic: str, neutral: str, of: tuple[str, int]) -> Draft:
    language, number = of
    prompt = "" if toxic == neutral else shared_words(toxic, neutral)
    pair = PreferencePair(
        id=f"paradetox/{row.name.rpartition(':')[2]}/{number}",
        prompt=prompt,
        chosen=neutral.removeprefix(prompt),
        rejected=toxic.removeprefix(prompt),
        language=language_row(language).code,
        source="paradetox",
        complete=True,
    )
    ended = prompt and not (pair.chosen and pair.rejected)
    return Draft(
        pair, row.place, reason="one text is the beginning of the other" if ended else None
    )


def _lee_pair(row: Row) -> PreferencePair:
    return PreferencePair(
        id=f"lee/{row.name}",
        prompt=text(row, "prompt_text"),
        chosen=text(row, "unpert_gen_text"),
        rejected=text(row, "pert_gen_text"),
        source="lee",
    )
