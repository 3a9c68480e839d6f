"""What a user may say of a Perspective service: options, its address, and where the key is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from detox_bench.errors import ScorerUnavailable, unknown_name
from detox_bench.scorers.options import checked_version, read_options

GOOGLE = "https://commentanalyzer.googleapis.com"
KEY_VARIABLE = "PERSPECTIVE_API_KEY"
ENDPOINT_VARIABLE = "PERSPECTIVE_ENDPOINT"
#: The attribute that is the score; the others are its attributes.
VALUE = "TOXICITY"
#: The attributes one may ask for, and the languages they exist in; None: in all of the service's.
ATTRIBUTES: dict[str, frozenset[str] | None] = {
    "TOXICITY": None,
    "SEVERE_TOXICITY": None,
    "IDENTITY_ATTACK": None,
    "INSULT": None,
    "PROFANITY": None,
    "THREAT": None,
    "SEXUALLY_EXPLICIT": frozenset({"en"}),
    "FLIRTATION": frozenset({"en"}),
}
#: The service's code where it is not ours.
CODES = {"zh-Hans": "zh"}
_PATH = "/v1alpha1/comments:analyze"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerspectiveOptions:
    """Options of a Perspective scorer.

    ``attributes`` are asked for beside TOXICITY. ``qps``: requests a second, 1 being Google's
    default quota; ``connections``: at once, as many as ``qps`` needs if None; ``attempts``: of one
    text; ``timeout``: seconds. A text of more than ``max_bytes`` of UTF-8 is not asked about.
    ``empty_as_space``: ask about one space for an empty text, as the code of arXiv 2406.16235 does,
    instead of leaving it unscored. ``archive``: a folder for the raw answers. ``offline``: answer
    from the archive only.
    ``version``: whatever tells apart a service that has changed; it is part of the scorer's id.
    """

    attributes: tuple[str, ...] = ()
    languages: frozenset[str] = frozenset()
    threshold: float = 0.5
    qps: float = 1.0
    connections: int | None = None
    attempts: int = 6
    timeout: float = 30.0
    max_bytes: int = 3000
    empty_as_space: bool = False
    archive: str | None = None
    offline: bool = False
    version: str = "unversioned"


def read_perspective_options(given: Mapping[str, Any]) -> PerspectiveOptions:
    """Return ``given`` as options. Raises ``DetoxBenchError`` for one that cannot be."""
    chosen = read_options(PerspectiveOptions, "perspective", given)
    for name in chosen.attributes:
        if name not in ATTRIBUTES:
            raise unknown_name("attribute of Perspective", name, ATTRIBUTES)
    checked_version(chosen.version)
    return chosen


def full_address(endpoint: str) -> str:
    """Return the address to ask: that of a host gets the path of ``comments:analyze``.

    Raises ``ScorerUnavailable``, without showing the endpoint where a key may be in it.
    """
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ScorerUnavailable(
            "The endpoint of a Perspective service must be an address like https://host or "
            "https://host/v1alpha1/comments:analyze."
        )
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ScorerUnavailable(
            "The endpoint of a Perspective service must have no '?', '#' or '@': it is shown in "
            f"results, and a key belongs in {KEY_VARIABLE}."
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path if parts.path.strip('/') else _PATH}"


def key_of_environment() -> str:
    """Return the key of the environment. Raises ``ScorerUnavailable``, without showing it."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise ScorerUnavailable(
            f"The scorer 'perspective' needs a key: put it into {KEY_VARIABLE}, or give "
            "offline=true to read archived answers. Nothing was asked."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ScorerUnavailable(
            f"The key in {KEY_VARIABLE} has characters that no key has. Copy it again."
        )
    return key
