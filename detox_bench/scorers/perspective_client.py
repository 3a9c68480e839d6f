"""The client of the Perspective API (``comments:analyze``): one text a request, tried again.

What is passing (429, 5xx, timeouts, dropped connections, broken answers) is tried again with
growing pauses, Retry-After is kept for all connections, and after a bounded number of attempts the
text is given up. What no second attempt can mend (a wrong key or address) is an error at once. The
key travels in a header, never in the address, which is what logs and tracebacks show.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from detox_bench.errors import ScorerUnavailable, missing_extra
from detox_bench.scorers.perspective_answers import (
    ITEM_ERRORS,
    about_the_key,
    error_type,
    message,
    request_body,
    retry_after,
    summary_score,
    without,
)
from detox_bench.scorers.perspective_archive import Answer
from detox_bench.scorers.rate_limit import TokenBucket

if TYPE_CHECKING:
    import httpx
    import tenacity

logger = logging.getLogger(__name__)

#: The longest Retry-After in seconds that is waited for; a longer one ends the run.
LONGEST_PAUSE = 600.0
#: The mean of the first pause in seconds, which doubles with each attempt, and the longest one.
_FIRST_PAUSE, _LONGEST_BACKOFF = 0.5, 60.0
#: Share of the rate that is used: some requests are on their way for longer than others, and must
#: not arrive faster than they left.
_USED = 0.98
#: Statuses below 500 that pass: request timeout, too early, too many requests.
_PASSING = (408, 425, 429)


class GivenUp(Exception):
    """A text without an answer, and why."""


class Refused(GivenUp):
    """A text that the service does not take, for a reason it has no word for."""


class _Passing(Exception):
    """A failure that another attempt may mend."""


class _Unreachable(_Passing):
    """No connection was made."""


class _Stopped(Exception):
    """The run was stopped while a request waited for its turn."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where to ask and how: ``url`` in full, seconds of ``timeout``, requests a second."""

    url: str
    key: str = field(repr=False)
    timeout: float
    rate: float
    connections: int
    attempts: int


class PerspectiveClient:
    """Asks a service; used by several threads at once.

    Raises ``MissingExtra`` where httpx or tenacity is not installed.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._stop = threading.Event()
        self.bucket = TokenBucket(_USED * service.rate, time.monotonic, self._sleep)
        self._http = _http_client(service)

    def stop(self) -> None:
        """End all waiting, in every thread."""
        self._stop.set()

    def start(self) -> None:
        """Let requests be made again after ``stop``."""
        self._stop.clear()

    def analyze(self, text: str, language: str, attributes: Sequence[str]) -> Answer:
        """Return the answer to one text: its scores, or the error of this text.

        Raises ``GivenUp`` if the text got none after all attempts, ``ScorerUnavailable`` if no
        text will get one.
        """
        content = request_body(text, language, attributes)
        try:
            answer: Answer = self._retrying()(self._once, content, tuple(attributes))
        except _Unreachable as error:
            raise ScorerUnavailable(
                f"{self.service.url} cannot be reached ({error}). What was answered is kept: "
                "check the address and the network, and run the command again."
            ) from error
        except (_Passing, _Stopped) as error:
            raise GivenUp(str(error)) from error
        return answer

    def _retrying(self) -> "tenacity.Retrying":
        """Return what calls a function again after a passing failure."""
        import tenacity

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Passing),
            stop=tenacity.stop_after_attempt(self.service.attempts),
            wait=tenacity.wait_random_exponential(2 * _FIRST_PAUSE, _LONGEST_BACKOFF),
            sleep=self._sleep,
            reraise=True,
        )

    def _sleep(self, seconds: float) -> None:
        """Wait, unless all waiting was ended."""
        if self._stop.wait(seconds):
            raise _Stopped("the run was stopped")

    def _once(self, content: bytes, attributes: tuple[str, ...]) -> Answer:
        """Make one request when it is its turn. Raises ``_Passing``, ``GivenUp``, as ``_read``."""
        import httpx

        self.bucket.take()
        try:
            response = self._http.post(self.service.url, content=content)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Unreachable(_words(error)) from error
        except httpx.RequestError as error:
            raise _Passing(_words(error)) from error
        return self._read(response, attributes)

    def _read(self, response: "httpx.Response", attributes: tuple[str, ...]) -> Answer:
        """Return the answer in ``response``; raise what its status or content calls for."""
        status = response.status_code
        if status in _PASSING or status >= 500:
            self._keep_retry_after(response)
            raise _Passing(f"the service answered {status}")
        body = _json_object(response)
        if status == 200:
            _check_scores(body, attributes)
            return Answer(status, without(body, self.service.key))
        if status == 400 and error_type(body) in ITEM_ERRORS:
            return Answer(status, without(body, self.service.key))
        if status == 400 and not about_the_key(body):
            raise Refused(f"the service answered 400: {message(body, self.service.key)}")
        raise ScorerUnavailable(self._refusal(status, body))

    def _keep_retry_after(self, response: "httpx.Response") -> None:
        """Pause all requests as long as the service asks. Raises ``ScorerUnavailable``."""
        seconds = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        if seconds > LONGEST_PAUSE:
            raise ScorerUnavailable(
                f"{self.service.url} answered {response.status_code} and asks to wait "
                f"{seconds:,.0f} seconds. What was answered is kept: run the command again then."
            )
        self.bucket.pause(seconds)

    def _refusal(self, status: int, body: Mapping[str, Any]) -> str:
        """Return the sentence on a status that ends the run."""
        said = f"{self.service.url} answered {status}: {message(body, self.service.key)}"
        if status in (400, 401, 403):
            return f"{said} Check the key in PERSPECTIVE_API_KEY; what was answered is kept."
        return (
            f"{said} Check the address; Google's own service ends on 31 December 2026. "
            "What was answered is kept."
        )


def _http_client(service: Service) -> "httpx.Client":
    """Return the connections; their own log lines are not shown unless someone asked for them."""
    try:
        import httpx
        import tenacity  # noqa: F401
    except ImportError as error:
        raise missing_extra("Scorer 'perspective'", "perspective") from error
    for name in ("httpx", "httpcore"):
        chatty = logging.getLogger(name)
        chatty.setLevel(max(chatty.level, logging.WARNING))
    limits = httpx.Limits(
        max_connections=service.connections, max_keepalive_connections=service.connections
    )
    headers = {"X-Goog-Api-Key": service.key, "Content-Type": "application/json"}
    return httpx.Client(headers=headers, timeout=service.timeout, limits=limits)


def _json_object(response: "httpx.Response") -> dict[str, Any]:
    """Return the object in a response. An answer of 200 without one is a passing failure."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    if response.status_code == 200:
        raise _Passing("the service answered with broken JSON")
    return {}


def _check_scores(body: Mapping[str, Any], attributes: Sequence[str]) -> None:
    """Raise ``_Passing`` unless there is a score of each of the ``attributes``."""
    try:
        for name in attributes:
            summary_score(body, name)
    except ValueError as error:
        raise _Passing(f"the answer cannot be used: {error}") from error


def _words(error: Exception) -> str:
    """Return a short line on an error of httpx."""
    return f"{type(error).__name__}: {error}"[:200]
