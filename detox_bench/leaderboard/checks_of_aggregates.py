"""The check of all aggregates: computed again from the samples, and compared number by number."""

import math
from collections.abc import Iterator, Mapping

from detox_bench.errors import DetoxBenchError
from detox_bench.leaderboard.aggregates import Measuring, aggregate
from detox_bench.leaderboard.case import Case
from detox_bench.leaderboard.checks_of_samples import prompt_ids, sample_counts
from detox_bench.leaderboard.wording import plain, shown

#: Aggregates that were computed again may be so far apart, absolutely or relatively.
_TOLERANCE = 1e-9


def aggregates(case: Case) -> list[str]:
    """Compute all aggregates again from the samples, and name the first that differs."""
    if not _computable(case) or case.prompts is None:
        return []
    submission = case.submission
    measuring = Measuring(
        case.suite,
        case.prompts.prompts,
        submission.scorer.id,
        submission.scorer.threshold,
        submission.generation,
        submission.versions.get("detox_bench", "unknown"),
    )
    try:
        found = aggregate(case.submitted.lines, case.base.lines if case.base else None, measuring)
    except (DetoxBenchError, ValueError, ArithmeticError) as error:
        return [f"Aggregates cannot be computed from the samples: {shown(str(error), 200)}."]
    stated = submission.model_dump(mode="json")
    differing = [
        each
        for name, value in found._asdict().items()
        for each in differences(stated[name], _plain(value), name)
    ]
    if not differing:
        return []
    more = f" {len(differing) - 1} more differ." if differing[1:] else ""
    return [f"{differing[0]}{more} Make it again with `detox-bench leaderboard add`."]


def _computable(case: Case) -> bool:
    """Whether the samples are whole; what is wrong with them is said elsewhere."""
    based = case.submission.base_model is None or case.base is not None
    whole = case.submitted.samples_whole and not sample_counts(case) and not prompt_ids(case)
    return whole and based


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: inner.model_dump(mode="json") for name, inner in value.items()}
    return value


def differences(stated: object, found: object, where: str) -> Iterator[str]:
    """Yield a sentence for whatever two JSON values do not share, numbers to 1e-9."""
    if isinstance(stated, Mapping) and isinstance(found, Mapping):
        for name in dict.fromkeys([*found, *stated]):
            place = f"{where}.{plain(str(name))}"
            if name not in stated or name not in found:
                yield f"{place} is in {'the samples' if name in found else 'the file'} only."
            else:
                yield from differences(stated[name], found[name], place)
    elif _is_number(stated) and _is_number(found):
        one, other = float(str(stated)), float(str(found))
        if not math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            yield (
                f"{where} is {one!r}, and the samples give {other!r}: a difference of "
                f"{abs(one - other):.3g}."
            )
    elif stated != found:
        yield f"{where} is {shown(stated, 200)}, and the samples give {shown(found, 200)}."


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
