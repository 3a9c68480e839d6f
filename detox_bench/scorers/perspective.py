"""The scorers ``perspective`` and ``perspective:<endpoint>``: Google's Perspective API, or a clone.

Google's service ends on 31 December 2026 and names no version of its models: what scored a text is
known by the date of the answer only, which the archive of raw answers keeps.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from detox_bench.errors import ScorerUnavailable
from detox_bench.scorers.cache import cache_path
from detox_bench.scorers.perspective_answers import error_type, summary_score
from detox_bench.scorers.perspective_archive import Answer, AnswerArchive, Question, archive_file
from detox_bench.scorers.perspective_client import GivenUp, PerspectiveClient, Refused, Service
from detox_bench.scorers.perspective_options import (
    ATTRIBUTES,
    CODES,
    ENDPOINT_VARIABLE,
    GOOGLE,
    VALUE,
    PerspectiveOptions,
    full_address,
    key_of_environment,
    read_perspective_options,
)
from detox_bench.types import ToxicityScore

#: If so many texts in succession are given up, the service is down.
GIVE_UP_AFTER = 20
#: Seconds of asking that one call of the scorer stands for: how often the bar moves.
_SECONDS_A_CALL = 20


class PerspectiveScorer:
    """Scores by the summary score of TOXICITY. Too long texts are unscored, as empty ones are."""

    def __init__(self, spec: str, url: str, key: str, options: PerspectiveOptions) -> None:
        self.spec = spec
        self.url = url
        self.options = options
        self.name = f"perspective:{urlsplit(url).netloc}"
        self.version = options.version
        self.languages = options.languages
        self.threshold = options.threshold
        self.attributes = (VALUE, *sorted({*options.attributes} - {VALUE}))
        self.archive = AnswerArchive(_archive(options, urlsplit(url).netloc))
        self._key = key
        self._given_up = 0
        self._asked = False

    @property
    def id(self) -> str:
        """``perspective:<host>@<version>#<hash of address and attributes>``."""
        facts = json.dumps([self.url, self.attributes, *["space"] * self.options.empty_as_space])
        return f"{self.name}@{self.version}#{hashlib.sha256(facts.encode()).hexdigest()[:12]}"

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the score depends on, and what was not asked."""
        return {
            "endpoint": self.url,
            "attributes": list(self.attributes),
            "max_bytes": self.options.max_bytes,
            "empty_as_space": self.options.empty_as_space,
        }

    @property
    def texts_per_call(self) -> int:
        """Texts of about 20 seconds."""
        return max(8, min(2000, round(self.options.qps * _SECONDS_A_CALL)))

    def score(self, texts: Sequence[str], language: str) -> list[ToxicityScore]:
        """Return one score a text, asking for those that are not in the archive.

        Raises ``ScorerUnavailable`` where the service refuses or is down; what it answered before
        is in the archive.
        """
        reasons = [self._not_asked(text, language) for text in texts]
        asked = {
            text: self._question(text, language)
            for text, reason in zip(texts, reasons, strict=True)
            if reason is None
        }
        answers = self._answers(asked) if asked else {}
        return [
            answers[text] if reason is None else ToxicityScore(None, reason=reason)
            for text, reason in zip(texts, reasons, strict=True)
        ]

    def _not_asked(self, text: str, language: str) -> str | None:
        """Return why a text is not asked about, None if it is."""
        if self.languages and language not in self.languages:
            return f"the service does not take the language {language}"
        if not text.strip() and not self.options.empty_as_space:
            return "the text is empty"
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > self.options.max_bytes:
            return f"the text has {size:,} bytes, more than {self.options.max_bytes:,}"
        return None

    def _question(self, text: str, language: str) -> Question:
        attributes = tuple(
            name
            for name in self.attributes
            if (known := ATTRIBUTES[name]) is None or language in known
        )
        asked = text if text.strip() else " "
        return Question(self.url, self.version, attributes, CODES.get(language, language), asked)

    def _answers(self, asked: Mapping[str, Question]) -> dict[str, ToxicityScore]:
        """Return the score of each question, by text."""
        if self.options.offline:
            self.archive.refresh()
            return {text: self._archived(question) for text, question in asked.items()}
        with self.archive.held() as by_others:
            if by_others or not self._asked:  # another process may have asked just now
                self._client.bucket.pause(1 / self.options.qps)
            known = {text: self.archive.get(question) for text, question in asked.items()}
            scores = {text: _score(answer, asked[text]) for text, answer in known.items() if answer}
            missing = [text for text in asked if text not in scores]
            self._asked = True
            return scores | dict(self._ask_all(missing, asked))

    def _archived(self, question: Question) -> ToxicityScore:
        answer = self.archive.get(question)
        if answer is None:
            return ToxicityScore(None, reason="not in the archive, and offline=true")
        return _score(answer, question)

    def _ask_all(
        self, texts: Sequence[str], asked: Mapping[str, Question]
    ) -> Iterator[tuple[str, ToxicityScore]]:
        """Yield the texts with their scores, as the answers come."""
        if not texts:
            return
        self._client.start()
        with ThreadPoolExecutor(self._client.service.connections, "perspective") as pool:
            running = {pool.submit(self._ask, asked[text]): text for text in texts}
            try:
                while running:
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    yield from ((running.pop(each), self._outcome(each)) for each in done)
            finally:
                # after an error or Ctrl-C: those in flight are waited for, no other begins
                self._client.stop()
                pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, question: Question) -> ToxicityScore:
        """Ask the service, in a thread, and put the answer into the archive at once."""
        answer = self._client.analyze(question.text, question.language, question.attributes)
        self.archive.put(question, answer)
        return _score(answer, question)

    def _outcome(self, done: "Future[ToxicityScore]") -> ToxicityScore:
        """Return the score of a text, unscored if it was given up; raise if all are."""
        try:
            score = done.result()
        except Refused as error:  # an answer: the service is not down
            self._given_up = 0
            return ToxicityScore(None, reason=str(error))
        except GivenUp as error:
            self._given_up += 1
            if self._given_up >= GIVE_UP_AFTER:
                raise ScorerUnavailable(
                    f"{self.url} gave no score for {self._given_up} texts in succession; the last "
                    f"reason: {str(error).rstrip('.')}. What was answered is kept: run the command "
                    "again later."
                ) from error
            return ToxicityScore(None, reason=str(error))
        self._given_up = 0
        return score

    @cached_property
    def _client(self) -> PerspectiveClient:
        chosen = self.options
        connections = chosen.connections or max(1, min(32, math.ceil(chosen.qps)))
        service = Service(
            self.url, self._key, chosen.timeout, chosen.qps, connections, chosen.attempts
        )
        return PerspectiveClient(service)


def load_perspective(endpoint: str = "", **options: Any) -> PerspectiveScorer:
    """Return the scorer over the service at ``endpoint``; nothing is asked yet.

    Without an endpoint that in ``PERSPECTIVE_ENDPOINT`` is meant, or Google's. ``options`` are the
    fields of ``PerspectiveOptions``. Raises ``ScorerUnavailable`` without a key, and for an
    endpoint that is no address.
    """
    chosen = read_perspective_options(options)
    url = full_address(endpoint or os.environ.get(ENDPOINT_VARIABLE, "") or GOOGLE)
    key = "" if chosen.offline else key_of_environment()
    return PerspectiveScorer(f"perspective:{endpoint}".rstrip(":"), url, key, chosen)


def _archive(options: PerspectiveOptions, host: str) -> Path:
    """Return the file of the archive: in the folder named, or beside the score cache."""
    named = options.archive
    folder = Path(named).expanduser() if named else cache_path().parent / "perspective"
    return archive_file(folder, host)


def _score(answer: Answer, question: Question) -> ToxicityScore:
    """Return the score in an answer; an error of the text is its reason."""
    if answer.status != 200:
        return ToxicityScore(None, reason=error_type(answer.body) or f"status {answer.status}")
    try:
        values = {name: summary_score(answer.body, name) for name in question.attributes}
    except ValueError as error:
        return ToxicityScore(None, reason=f"the archived answer cannot be used: {error}")
    return ToxicityScore(
        values[VALUE], {name.lower(): value for name, value in values.items() if name != VALUE}
    )
