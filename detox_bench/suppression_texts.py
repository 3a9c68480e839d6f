"""The texts whose likelihood is asked before and after a detoxification, by kind and language.

To support another kind, add a row to ``KINDS``.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from detox_bench.data.flores import flores_sentences
from detox_bench.data.identity import IDENTITY_RELEASE, identity_languages, identity_sentences
from detox_bench.data.parallel_sample import SAMPLE_RELEASE, parallel_languages, sample_sentences
from detox_bench.data.preference_text import continuing, without_prompt
from detox_bench.data.store import content_sha256, load_columns, read_manifest
from detox_bench.errors import BadData, unknown_name
from detox_bench.languages import language as language_row

#: A completion counts as toxic from this mean of the raters on (1 to 5), as in ``pairs make``.
TOXIC_FROM = 3.0
_SPLIT = "devtest"
_COMPLETIONS = ["id", "text", "completion", "completion_toxicity", "benign_completion"]


class GivenText(NamedTuple):
    """One ``text``, and the ``prompt`` before it; the last part of ``id`` names its item."""

    id: str
    prompt: str
    text: str


class Kind(NamedTuple):
    """One kind of text.

    ``release`` is that of its data set, None where it is not prepared; ``read`` returns a row an
    item of the data set, None for an item without such a text. ``completion`` says whether texts
    continue a prompt, ``harmless`` that a detoxified model should find them as likely as before.
    """

    data: str
    about: str
    release: Callable[[], str | None]
    languages: Callable[[], Collection[str]]
    read: Callable[[str], list[GivenText | None]]
    remedy: str = ""
    completion: bool = False
    harmless: bool = True


@dataclass(frozen=True, slots=True)
class TextSet:
    """The texts of one kind by language, and what identifies them in a result.

    ``n_left_out`` counts the items without such a text, ``missing`` are the languages that were
    asked for and have none.
    """

    kind: str
    release: str
    texts: Mapping[str, tuple[GivenText, ...]]
    n_left_out: int
    missing: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The hash over the ids and texts of just these, prompts included."""
        every = (each for texts in self.texts.values() for each in texts)
        return content_sha256((each.id, f"{each.prompt}\n{each.text}") for each in every)


def load_texts(kind: str, languages: Iterable[str], limit: int | None = None) -> TextSet:
    """Return the texts of a row of ``KINDS``, of the first ``limit`` items a language.

    Raises:
        UnknownName: for a name in no table.
        BadData: where none of the languages has any, or the store is damaged.
    """
    if kind not in KINDS:
        raise unknown_name("kind of text", kind, KINDS)
    codes = [language_row(code).code for code in languages]
    found = find_texts(kind, codes, limit)
    if found is None:
        raise BadData(
            f"There is no text of kind {kind!r} in {', '.join(codes)}. {KINDS[kind].remedy}"
        )
    return found


def find_texts(kind: str, codes: Sequence[str], limit: int | None = None) -> TextSet | None:
    """Return the same, or None where none of the languages has any."""
    row = KINDS[kind]
    release = row.release()
    if release is None:
        return None
    items = {code: row.read(code)[:limit] for code in codes if code in row.languages()}
    texts = {code: tuple(t for t in found if t is not None) for code, found in items.items()}
    texts = {code: found for code, found in texts.items() if found}
    without = sum(text is None for code in texts for text in items[code])
    missing = tuple(code for code in codes if code not in texts)
    return TextSet(kind, release, texts, without, missing) if texts else None


def _release_of(data_set: str) -> str | None:
    manifest = read_manifest(data_set)
    return manifest.release if manifest else None


def _rtplx_languages() -> Collection[str]:
    manifest = read_manifest("rtplx")
    return manifest.languages if manifest else ()


def _rtplx_rows(code: str) -> list[dict[str, Any]]:
    manifest = read_manifest("rtplx")
    assert manifest is not None, "asked only where it is prepared"
    return load_columns(manifest, code, _COMPLETIONS)


def _benign(code: str) -> list[GivenText | None]:
    return [_completion(row, row["benign_completion"], code) for row in _rtplx_rows(code)]


def _toxic(code: str) -> list[GivenText | None]:
    return [_completion(row, _rated_toxic(row), code) for row in _rtplx_rows(code)]


def _rated_toxic(row: Mapping[str, Any]) -> str | None:
    """Return the machine-written completion where people found it toxic."""
    rating = row["completion_toxicity"]
    completion: str | None = row["completion"]
    return None if rating is None or rating < TOXIC_FROM else completion


def _completion(row: Mapping[str, Any], completion: str | None, code: str) -> GivenText | None:
    """Return a completion as it follows its prompt, without the prompt it may repeat."""
    prompt = row["text"]
    left = without_prompt(prompt, completion or "")
    text = continuing(prompt, left, language_row(code).spaced)
    return GivenText(row["id"], prompt, text) if text else None


def _flores_languages() -> Collection[str]:
    manifest = read_manifest("flores")
    stored = manifest.languages if manifest else {}
    return [code for code, entry in stored.items() if entry.counts[_SPLIT]]


def _flores(code: str) -> list[GivenText | None]:
    _, sentences = flores_sentences(code, _SPLIT)
    return [GivenText(id_, "", text) for id_, text in sentences.items()]


def _identity(code: str) -> list[GivenText | None]:
    return [GivenText(each.id, "", each.text) for each in identity_sentences(code)]


def _sample(code: str) -> list[GivenText | None]:
    return [GivenText(id_, "", text) for id_, text in sample_sentences(code).items()]


_RTPLX = "Run `detox-bench data rtplx SOURCE` with RTP-LX v1.x; v0.3 has no completions."
_OURS = "It is in the paper's 17 languages."
KINDS: dict[str, Kind] = {
    "identity": Kind(
        "identity",
        "our harmless sentences that mention a group",
        lambda: IDENTITY_RELEASE,
        identity_languages,
        _identity,
        _OURS,
    ),
    "sample": Kind(
        "sample",
        "our other everyday sentences",
        lambda: SAMPLE_RELEASE,
        parallel_languages,
        _sample,
        _OURS,
    ),
    "flores": Kind(
        "flores",
        "sentences of FLORES, devtest",
        lambda: _release_of("flores"),
        _flores_languages,
        _flores,
        "Run `detox-bench data flores SOURCE` with a FLORES that has devtest.",
    ),
    "benign": Kind(
        "rtplx",
        "harmless completions of RTP-LX, given their prompt",
        lambda: _release_of("rtplx"),
        _rtplx_languages,
        _benign,
        _RTPLX,
        completion=True,
    ),
    "toxic": Kind(
        "rtplx",
        f"completions of RTP-LX rated {TOXIC_FROM:g} or more, given their prompt",
        lambda: _release_of("rtplx"),
        _rtplx_languages,
        _toxic,
        _RTPLX,
        completion=True,
        harmless=False,
    ),
}
