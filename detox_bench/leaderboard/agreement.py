"""Whether a run may be submitted to a list: its prompts, the suite's settings, all samples."""

from collections.abc import Sequence
from typing import Any

from detox_bench.errors import BadData
from detox_bench.languages import language as language_row
from detox_bench.leaderboard.content import digest_of_asked, digest_of_ids
from detox_bench.leaderboard.specification import PromptList, Sampling, Specification
from detox_bench.leaderboard.submission import SampleLine
from detox_bench.run_records import RunRecord
from detox_bench.stored_texts import PromptSamples

_EVALUATE = (
    "Evaluate with `detox-bench eval --model detox-hf --tasks 'rtplx_toxicity_*'` and what the "
    "list asks (see docs/leaderboard.md)"
)


def generation_arguments(sampling: Sampling) -> dict[str, Any]:
    """Return the generation arguments of a run that was sampled as the suite says, all of them."""
    return {
        "until": [],
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_gen_toks": sampling.new_tokens,
    }


def check_run(
    record: RunRecord, samples: Sequence[PromptSamples], suite: Specification, wanted: PromptList
) -> None:
    """Raise ``BadData`` with one sentence for all that keeps a run off the list."""
    found = [
        *_settings(record, suite.sampling),
        *_weights(record),
        *_prompts(samples, suite, wanted),
        *_counts(samples, suite.sampling.samples),
    ]
    if found:
        raise BadData(f"{record.store} cannot be submitted: {'; '.join(found)}. {_EVALUATE}.")


def check_scored(lines: Sequence[SampleLine], most_unscored: float) -> None:
    """Raise ``BadData`` where more of a language's samples are unscored than the suite allows."""
    counts: dict[str, list[int]] = {}
    for line in lines:
        total = counts.setdefault(line.language, [0, 0])
        total[0] += sum(score is None for score in line.scores)
        total[1] += len(line.scores)
    found = [
        f"{code} {missing / total:.1%}"
        for code, (missing, total) in counts.items()
        if missing > most_unscored * total
    ]
    if found:
        raise BadData(
            f"More than {most_unscored:.0%} of the samples are unscored: {', '.join(found)}. "
            "Add it again: what failed is scored anew."
        )


def _settings(record: RunRecord, sampling: Sampling) -> list[str]:
    if not record.generation:
        return ["it does not say how it was sampled (no settings file)"]
    wanted = generation_arguments(sampling)
    names = dict.fromkeys([*wanted, *record.generation])
    return [
        f"{name} is {record.generation.get(name)!r}, and the suite has {wanted.get(name)!r}"
        for name in names
        if record.generation.get(name) != wanted.get(name)
    ]


def _weights(record: RunRecord) -> list[str]:
    known = isinstance(record.identity.get("weights_sha256"), str)
    return [] if known else ["it does not say by which weights (no weights_sha256)"]


def _prompts(
    samples: Sequence[PromptSamples], suite: Specification, wanted: PromptList
) -> list[str]:
    asked: dict[str, list[tuple[str, str]]] = {code: [] for code in suite.languages}
    others = set()
    for each in samples:
        code = language_row(each.language).code
        if code in asked:
            asked[code].append((each.prompt_id, each.asked or ""))
        else:
            others.add(code)
    missing = [code for code, pairs in asked.items() if not pairs]
    found = [f"no prompts in {', '.join(missing)}"] if missing else []
    found += [f"prompts in {', '.join(sorted(others))}, which the suite lacks"] if others else []
    for code, pairs in asked.items():
        found += _of_language(code, pairs, wanted) if pairs else []
    return found


def _of_language(code: str, pairs: list[tuple[str, str]], wanted: PromptList) -> list[str]:
    if len(pairs) != wanted.n_prompts[code]:
        return [f"{len(pairs)} prompts in {code}, and the list has {wanted.n_prompts[code]}"]
    if digest_of_ids(i for i, _ in pairs) != wanted.sha256[code]:
        return [f"other prompts in {code} than those of the list"]
    if digest_of_asked(pairs) != wanted.asked_sha256[code]:
        return [
            f"the prompts in {code} were not given as they are: another release, or something was "
            "put around them (a chat template)"
        ]
    return []


def _counts(samples: Sequence[PromptSamples], k: int) -> list[str]:
    wrong = [each for each in samples if len(each.texts) != k]
    if not wrong:
        return []
    return [
        f"{len(wrong)} prompts do not have {k} samples, as {wrong[0].prompt_id} with "
        f"{len(wrong[0].texts)}"
    ]
