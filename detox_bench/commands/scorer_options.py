"""Options of a scorer as a command line has them."""

import json
from collections.abc import Sequence

from detox_bench.errors import DetoxBenchError


def scorer_options(given: Sequence[str]) -> dict[str, object]:
    """Return ``name=value`` texts as options; values that are JSON are read as such."""
    options: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise DetoxBenchError(f"--option {each!r} is not of the form name=value.")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options
