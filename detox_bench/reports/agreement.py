"""Whether runs may be compared: the fields of their signatures side by side."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from detox_bench.reports.content import SettingRow
from detox_bench.run_records import RunRecord, signature
from detox_bench.runs import digest
from detox_bench.signature import Signature
from detox_bench.stored_texts import PromptSamples

#: What must agree before two runs are compared, in words; the fields of ``Signature``.
COMPARED: Mapping[str, str] = {
    "n_prompts": "prompts",
    "prompts_sha256": "digest of the prompts",
    "samples": "samples a prompt (k)",
    "new_tokens": "new tokens",
    "temperature": "temperature",
    "top_p": "top-p",
    "top_k": "top-k",
    "generation": "digest of all generation arguments",
}
#: What is shown beside it; a difference is no reason not to compare (the digest of prompts is).
SHOWN = ("seed", "dtype", "engine")
_SETS = "prompt sets"
_UNKNOWN = "unknown"


class Outline(NamedTuple):
    """What is known of a run before it is measured.

    ``signatures`` are by language; ``samples`` is the number that most prompts have, ``missing``
    how many prompts have fewer.
    """

    record: RunRecord
    signatures: Mapping[str, Signature]
    samples: int
    missing: int


def outline(
    record: RunRecord, samples: Sequence[PromptSamples], scorer: str, threshold: float
) -> Outline:
    """Return the outline of a stored run that ``scorer`` is going to judge."""
    languages = sorted({each.language for each in samples})
    counts = Counter(len(each.texts) for each in samples)
    most = max(counts, key=lambda count: (counts[count], count), default=0)
    fewer = sum(number for count, number in counts.items() if count < most)
    found = {code: signature(record, samples, code, scorer, threshold) for code in languages}
    return Outline(record, found, most, fewer)


def setting_rows(base: Outline, others: Sequence[Outline]) -> list[SettingRow]:
    """Return a row a field: those that must agree, then those that are only told."""
    runs = [base, *others]
    values = {words: [_field(run, name) for run in runs] for name, words in COMPARED.items()}
    values[_SETS] = [_field(run, "prompts") for run in runs]
    for name in SHOWN:
        values[name] = [str(run.record.identity.get(name, _UNKNOWN)) for run in runs]
    return [SettingRow(name, first, tuple(rest)) for name, (first, *rest) in values.items()]


def disagreements(rows: Iterable[SettingRow], names: Sequence[str]) -> list[str]:
    """Return a sentence for each field that must agree and does not, with both values.

    A value that a store does not say is no disagreement.
    """
    must = set(COMPARED.values())
    found = []
    for row in rows:
        for name, value in zip(names, row.others, strict=True):
            if row.field in must and value != row.base and _UNKNOWN not in (value, row.base):
                found.append(f"{name}: {row.field} {value}, base {row.base}")
    return found


def _field(run: Outline, name: str) -> str:
    """Return one field over all languages of a run."""
    values = [getattr(each, name) for each in run.signatures.values()]
    if name == "samples":
        return f"{run.samples}" + (f" (fewer for {run.missing} prompts)" if run.missing else "")
    if name == "n_prompts":
        return f"{sum(values):,} in {len(values)} languages"
    if name == "prompts_sha256":
        return digest(sorted(map(str, values)))[:12]
    different = dict.fromkeys(_UNKNOWN if value is None else str(value) for value in values)
    return ", ".join(different)
