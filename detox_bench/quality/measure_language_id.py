"""Measure language identifiers on FLORES snippets; writes nothing, prints Markdown.

``python -m detox_bench.quality.measure_language_id --flores FOLDER --tokenizer tokenizer.json``

A snippet is what a model's continuation looks like: the first tokens of a sentence, decoded. Every
identifier runs in a process of its own, for its memory. ``docs/language_identification.md`` has the
output.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from math import nan
from mmap import PAGESIZE
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Annotated, NamedTuple

import typer

from detox_bench.errors import BadData
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.quality import language_id
from detox_bench.quality.language_id import script_of

Guess = tuple[str | None, float]
Identifier = Callable[[str], Guess]
Snippets = Mapping[str, Sequence[str]]

_THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


class Measured(NamedTuple):
    """What one identifier does: accuracy by language, texts a second, seconds to load, MB."""

    accuracy: dict[str, float]
    rate: float
    seconds: float
    megabytes: float


def main(
    flores: Annotated[Path, typer.Option(help="Folder with dev/ and devtest/ of FLORES-200.")],
    tokenizer: Annotated[Path, typer.Option(help="tokenizer.json that cuts the snippets.")],
    tokens: Annotated[int, typer.Option(help="Tokens a snippet.")] = 20,
) -> None:
    """Print how well py3langid, lingua and ours tell the languages apart, and the thresholds."""
    sets = {"17": PAPER_LANGUAGES, "28": tuple(LANGUAGES)}
    found = {
        (name, size): _in_a_process(name, _snippets(flores, tokenizer, "devtest", codes, tokens))
        for name in IDENTIFIERS
        for size, codes in sets.items()
    }
    short = {
        count: _snippets(flores, tokenizer, "dev", PAPER_LANGUAGES, count)
        for count in (tokens, 6, 3)
    }
    for table in (_overview(found), _by_language(found), _thresholds(short)):
        typer.echo("\n".join(table) + "\n")


def _ours(codes: Sequence[str]) -> Identifier:
    among = frozenset(codes)
    return lambda text: (language_id._identify(text, among), 1.0)


def _py3langid(codes: Sequence[str]) -> Identifier:
    return language_id._classifier(tuple(dict.fromkeys(map(language_id.written_as, codes))))


def _lingua(codes: Sequence[str]) -> Identifier:
    from lingua import Language, LanguageDetectorBuilder

    by_label = {each.iso_code_639_1.name.lower(): each for each in Language.all()}
    ours = {
        by_label[label]: language_id.written_as(code)
        for code in codes
        for label in ("bs", "hr", "sr") * (code == "sh") or (code.partition("-")[0],)
    }
    detector = LanguageDetectorBuilder.from_languages(*ours).build()

    def guess(text: str) -> Guess:
        values = detector.compute_language_confidence_values(text)
        return ours[values[0].language], values[0].value

    return guess


IDENTIFIERS: dict[str, Callable[[Sequence[str]], Identifier]] = {
    "py3langid": _py3langid,
    "lingua": _lingua,
    "ours": _ours,
}


def _snippets(folder: Path, tokenizer: Path, split: str, codes: Sequence[str], n: int) -> Snippets:
    """Return the first ``n`` tokens of each sentence, by language; half characters are cut off."""
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(tokenizer))
    found = {}
    for code in codes:
        file = folder / split / f"{LANGUAGES[code].flores}.{split}"
        if not file.is_file():
            raise BadData(f"{file} is not there: --flores names the folder that holds {split}/.")
        sentences = [line for line in file.read_text("utf-8").split("\n") if line]
        ids = [encoded.ids[:n] for encoded in loaded.encode_batch(sentences)]
        found[code] = [text.strip("\ufffd").strip() for text in loaded.decode_batch(ids)]
    return found


def _in_a_process(name: str, snippets: Snippets) -> Measured | None:
    """Return what ``_measure`` gives in a fresh process; None where a library is missing."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, name, snippets).result()
        except ImportError:
            return None


def _measure(name: str, snippets: Snippets) -> Measured:
    before, start = _megabytes(), time.perf_counter()
    guess = IDENTIFIERS[name](tuple(snippets))
    guess("The first text loads what is loaded late.")
    seconds, start = time.perf_counter() - start, time.perf_counter()
    accuracy = {
        code: fmean(guess(text)[0] == language_id.written_as(code) for text in texts)
        for code, texts in snippets.items()
    }
    texts = sum(map(len, snippets.values()))
    rate = texts / (time.perf_counter() - start)
    return Measured(accuracy, rate, seconds, _megabytes() - before)


def _megabytes() -> float:
    """Return the memory this process holds, as Linux tells it; NaN elsewhere."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * PAGESIZE / 2**20 if told.exists() else nan


def _overview(found: Mapping[tuple[str, str], Measured | None]) -> Iterator[str]:
    yield "| identifier | candidates | right, of the 17 | worst | texts/s | load, s | memory, MB |"
    yield "|---|---|---|---|---|---|---|"
    for (name, size), each in found.items():
        if each is None:
            yield f"| {name} | {size} | not installed | | | | |"
            continue
        worst = min(each.accuracy, key=lambda code: each.accuracy[code])
        mean = fmean(each.accuracy[code] for code in PAPER_LANGUAGES)
        yield (
            f"| {name} | {size} | {mean:.4f} | {worst} {each.accuracy[worst]:.3f} | "
            f"{each.rate:,.0f} | {each.seconds:.1f} | {each.megabytes:.0f} |"
        )


def _by_language(found: Mapping[tuple[str, str], Measured | None]) -> Iterator[str]:
    known = {key: each for key, each in found.items() if each is not None}
    yield "| language | " + " | ".join(f"{name}, {size}" for name, size in known) + " |"
    yield "|---|" + "---|" * len(known)
    for code in LANGUAGES:
        values = (each.accuracy.get(code) for each in known.values())
        cells = ("" if value is None else f"{value:.3f}" for value in values)
        yield f"| {code} | " + " | ".join(cells) + " |"


def _thresholds(short: Mapping[int, Snippets]) -> Iterator[str]:
    """Yield a table of what thresholds do to the 17 languages of dev, among all candidates."""
    judged = {count: list(_judged(snippets)) for count, snippets in short.items()}
    head = " | ".join(f"{n} tokens: answered | right" for n in short)
    yield f"| confidence | {head} |"
    yield "|---|" + "---|---|" * len(short)
    for least in _THRESHOLDS:
        cells = " | ".join(_answered(rows, least) for rows in judged.values())
        yield f"| {least:g} | {cells} |"


def _judged(snippets: Snippets) -> Iterator[tuple[bool, float]]:
    """Yield whether the guess is right, and how confident it is: -1 where there is none."""
    codes = frozenset(LANGUAGES)
    for code, texts in snippets.items():
        for text in texts:
            script = script_of(text)
            candidates = language_id._written_in(script, codes) if script else ()
            if len(candidates) < 2:
                yield candidates == (code,), 1.0 if candidates else -1.0
                continue
            guess, confidence = language_id._classifier(candidates)(text)
            yield guess == code, confidence


def _answered(rows: Sequence[tuple[bool, float]], least: float) -> str:
    given = [right for right, confidence in rows if confidence >= least]
    return f"{len(given) / len(rows):.4f} | {fmean(given):.4f}"


if __name__ == "__main__":
    typer.run(main)
