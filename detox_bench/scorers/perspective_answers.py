"""What is sent to the Perspective API and how its answers are read: pure functions, no network.

The shapes are those of ``comments:analyze``, version v1alpha1.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

#: Errors of one text, by the ``errorType`` of comments:analyze: another attempt changes nothing.
ITEM_ERRORS = ("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "COMMENT_EMPTY", "COMMENT_TOO_LONG")
_SURROGATES = re.compile("[\ud800-\udfff]")


def request_body(text: str, language: str, attributes: Sequence[str]) -> bytes:
    """Return the JSON of one request; half characters (lone surrogates) are sent as U+FFFD."""
    asked = {
        "comment": {"text": _SURROGATES.sub("�", text)},
        "languages": [language],
        "requestedAttributes": {name: {} for name in attributes},
        "doNotStore": True,
    }
    return json.dumps(asked).encode("ascii")


def summary_score(body: Mapping[str, Any], attribute: str) -> float:
    """Return the summary score of one attribute. Raises ``ValueError`` if there is none."""
    try:
        value = body["attributeScores"][attribute]["summaryScore"]["value"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no summary score of {attribute}") from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{attribute} is {value!r}, no number from 0 to 1")
    return float(value)


def error_type(body: Mapping[str, Any]) -> str | None:
    """Return the ``errorType`` among the details of an error, if it has one."""
    return next((each["errorType"] for each in _details(body) if "errorType" in each), None)


def retry_after(header: str | None, now: datetime) -> float:
    """Return the seconds a Retry-After header asks for; 0 where it says nothing one can read.

    It holds seconds or a date of HTTP (RFC 9110, section 10.2.3).
    """
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - now).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


def message(body: Mapping[str, Any], secret: str) -> str:
    """Return what an error says, as a short sentence without the ``secret``."""
    line = " ".join(_said(body).split()).replace(secret, "***")[:200]
    return f"{line or '(no message)'}".rstrip(".") + "."


def about_the_key(body: Mapping[str, Any]) -> bool:
    """Return whether an error says that the key is wrong."""
    reasons = {str(each.get("reason")) for each in _details(body)}
    return "API_KEY_INVALID" in reasons or "api key" in _said(body).lower()


def _said(body: Mapping[str, Any]) -> str:
    """Return the message of an error of Google's APIs, empty if there is none."""
    error = body.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def _details(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the details of an error of Google's APIs that are objects."""
    error = body.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def without(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an answer without the key, for services that send back what they were sent."""
    text = json.dumps(body)
    hidden = json.dumps(key)[1:-1]
    return dict(json.loads(text.replace(hidden, "…"))) if key and hidden in text else dict(body)
