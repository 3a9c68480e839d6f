"""The report as JSON: everything that is in it, numbers that do not exist as null."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from detox_bench.comparison import as_json as rows_json
from detox_bench.reports.content import Compared, Report

_SCHEMA = 1


def report_json(report: Report) -> dict[str, Any]:
    """Return the report as strict JSON; texts of a model only if ``report.with_samples``."""
    whole = {each.name: getattr(report, each.name) for each in fields(report)}
    whole["compared"] = [_compared(each, report.with_samples) for each in report.compared]
    return {"kind": "report", "schema": _SCHEMA, **strict(whole)}


def strict(value: Any) -> Any:
    """Return a value as JSON: types of ours as objects, numbers that are not finite as null.

    What JSON has no word for is its text.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if is_dataclass(value):
        return {each.name: strict(getattr(value, each.name)) for each in fields(value)}
    if hasattr(value, "_asdict"):
        return {name: strict(each) for name, each in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): strict(each) for name, each in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [strict(each) for each in value]
    return str(value)


def _compared(compared: Compared, with_samples: bool) -> dict[str, Any]:
    found = {each.name: getattr(compared, each.name) for each in fields(compared)}
    found["rows"] = rows_json(compared.rows)
    if not with_samples:
        del found["samples"]
    return found
