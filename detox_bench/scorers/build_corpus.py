"""Examples to fit the scorer ``ngram`` on, read from folders that are not part of the package.

Rows of RTP-LX carry ``parallel``: translations of one prompt share it in all 28 locales, and with
it their side of the split. To fit on another data set, add a reader to ``READERS``.
"""

import gzip
import json
import lzma
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.languages import LANGUAGES
from detox_bench.scorers.held_out import parallel_id

_N_PARALLEL = 999
_LOCALES = {row.rtplx: code for code, row in LANGUAGES.items()}
_ISO_639_3 = {
    "ara": "ar",
    "ces": "cs",
    "deu": "de",
    "eng": "en",
    "fra": "fr",
    "hin": "hi",
    "ind": "id",
    "ita": "it",
    "jpn": "ja",
    "kor": "ko",
    "nld": "nl",
    "pol": "pl",
    "por": "pt",
    "rus": "ru",
    "spa": "es",
    "swe": "sv",
    "zho": "zh-Hans",
}


class Row(NamedTuple):
    """A text with what people said of it.

    ``toxicity`` is a human rating from 1 to 5 (``source`` "prompt" or "completion") or a label
    that is 0 or 1 (any other); ``benign`` is the harmless continuation of the same prompt.
    """

    text: str
    language: str
    source: str
    toxicity: float
    parallel: str | None = None
    benign: str = ""


def read_prompts(archive: Path, password: str) -> Iterator[Row]:
    """Yield the prompts of the published zip of RTP-LX v0.3 with their mean rating."""
    with zipfile.ZipFile(archive) as members:
        for name in sorted(members.namelist()):
            locale = Path(name).stem.removeprefix("RTP_LX_")
            content = members.read(name, pwd=password.encode()).decode()
            for entry in _objects(content):
                text, rating = entry["Prompt"], entry["Annotations"]["Toxicity"]
                if text.strip():
                    key = parallel_id(locale, entry["Index"], text)
                    yield Row(text, _LOCALES[locale], "prompt", rating, key)


def read_completions(folder: Path) -> Iterator[Row]:
    """Yield the completions of RTP-LX v1.x with the vote on them and their benign counterpart."""
    for file in sorted(folder.glob("RTP_LX_*.jsonl.gz")):
        locale = file.name.removeprefix("RTP_LX_").removesuffix(".jsonl.gz")
        for entry in _objects(gzip.decompress(file.read_bytes()).decode()):
            yield Row(
                text=_one_line(entry["Completion"]),
                language=_LOCALES[locale],
                source="completion",
                toxicity=entry["CompletionAnnotations"]["Toxicity"],
                parallel=parallel_id(locale, entry["Index"], entry["Prompt"]),
                benign=_one_line(entry["BenignCompletion"]),
            )


def read_labelled(folder: Path) -> Iterator[Row]:
    """Yield tweets and comments with the label of their data set, 1 for toxic in its sense."""
    for file in sorted(folder.glob("*.jsonl.gz")):
        source = file.name.removesuffix(".jsonl.gz")
        for entry in _objects(gzip.decompress(file.read_bytes()).decode()):
            code = "zh-Hans" if entry["lang"] == "zh" else entry["lang"]
            yield Row(entry["text"], code, source, entry["label"])


def read_clean(folder: Path) -> Iterator[Row]:
    """Yield everyday sentences, one a line of ``<iso 639-3>.txt.xz``."""
    for file in sorted(folder.glob("*.txt.xz")):
        code = _ISO_639_3[file.name.removesuffix(".txt.xz")]
        lines = lzma.decompress(file.read_bytes()).decode().split("\n")
        yield from (Row(line, code, "clean", 0) for line in lines if line.strip())


def read_flores(folder: Path) -> Iterator[Row]:
    """Yield the sentences of the ``dev`` part of FLORES-200; ``devtest`` is left alone."""
    for code, row in LANGUAGES.items():
        lines = (folder / "dev" / f"{row.flores}.dev").read_text("utf-8").split("\n")
        yield from (Row(line, code, "flores", 0) for line in lines if line.strip())


def read_rewrites(file: Path) -> Iterator[Row]:
    """Yield English toxic sentences and their neutral rewrites."""
    for entry in _objects(file.read_text("utf-8")):
        neutral = entry["neutral"]
        neutral = neutral if isinstance(neutral, list) else [neutral]
        if neutral and neutral[0]:
            yield Row(entry["toxic"], "en", "rewrites", 1)
            yield Row(neutral[0], "en", "rewrites", 0)


def _objects(content: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of ``content``, one a line; only LF ends a line."""
    return (json.loads(line) for line in content.split("\n") if line.strip())


def _one_line(text: str) -> str:
    return text.replace("\n", " ").strip()


def crop(text: str, length: int, draw: random.Random) -> str:
    """Return a random piece of ``text`` of at most ``length`` characters."""
    if len(text) <= length:
        return text
    start = draw.randrange(len(text) - length + 1)
    return text[start : start + length]


def as_tweet(text: str, draw: random.Random) -> str:
    """Return a clean ``text`` with the outward signs of a tweet, so that they carry no label."""
    if draw.random() < 0.6:
        text = text.lower()
    if draw.random() < 0.6:
        text = "".join(character for character in text if character not in '.,;:!?"«»„“”')
    if draw.random() < 0.4:
        text = " ".join(["@user"] * draw.randint(1, 3)) + " " + text
    if draw.random() < 0.2:
        text += " https://t.co/abc"
    if draw.random() < 0.15:
        text += draw.choice([" 😂", " 😂😂", " ❤️", " 🙏", " 😊", " 👍", "!!!", "...", "??", " lol"])
    return text
