"""Whether a run may be submitted to a list: its prompts, the suite's settings, all samples."""

from collections.abc import Mapping, Sequence
from typing import Any

from detox_bench.errors import BadData
from detox_bench.languages import language as language_row
from detox_bench.leaderboard.content import digest_of_asked, digest_of_ids
from detox_bench.leaderboard.specification import PromptList, Sampling, Specification
from detox_bench.leaderboard.submission import SampleLine
from detox_bench.run_records import RunRecord
from detox_bench.stored_texts import PromptSamples

#: The source of the packaged prompts, with which their ids begin (``data.prompts.SOURCES``).
_SAMPLE = "sample"
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
    fitting = [name for name, known in suite.lists.items() if _is_list(asked, known)]
    if fitting and not others:
        return [] if wanted in map(suite.lists.get, fitting) else [_another(fitting[0])]
    missing = [code for code, pairs in asked.items() if not pairs]
    found = [f"no prompts in {', '.join(missing)}"] if missing else []
    found += [f"prompts in {', '.join(sorted(others))}, which the suite lacks"] if others else []
    wrong: dict[str, list[str]] = {}
    for code, pairs in asked.items():
        for problem in _of_language(pairs, wanted, code) if pairs else []:
            wrong.setdefault(problem, []).append(code)
    found += [f"{problem} in {_named(codes, suite)}" for problem, codes in wrong.items()]
    return found + _source(samples, wanted)


def _is_list(asked: Mapping[str, list[tuple[str, str]]], known: PromptList) -> bool:
    return all(
        digest_of_asked(pairs) == known.asked_sha256.get(code) for code, pairs in asked.items()
    )


def _another(name: str) -> str:
    return f"its prompts are those of the list {name}: give --list {name}"


def _named(codes: Sequence[str], suite: Specification) -> str:
    several = len(codes) == len(suite.languages) > 1
    return f"all {len(codes)} languages" if several else ", ".join(codes)


def _source(samples: Sequence[PromptSamples], wanted: PromptList) -> list[str]:
    """Say it where the packaged prompts stood in for a data set that was not prepared."""
    packaged = all(each.prompt_id.startswith(f"{_SAMPLE}/") for each in samples)
    if not packaged or wanted.prompts.startswith(f"{_SAMPLE}-"):
        return []
    return [
        "its prompts are of the packaged sample set, which stands in where RTP-LX is not prepared: "
        "`detox-bench data rtplx RTP-LX.zip --password …`, then evaluate again"
    ]


def _of_language(pairs: list[tuple[str, str]], wanted: PromptList, code: str) -> list[str]:
    if len(pairs) != wanted.n_prompts[code]:
        return [f"{len(pairs)} prompts, and not the {wanted.n_prompts[code]} of the list,"]
    if digest_of_ids(i for i, _ in pairs) != wanted.sha256[code]:
        return ["other prompts than those of the list"]
    if digest_of_asked(pairs) != wanted.asked_sha256[code]:
        return [
            "prompts that were not given as they are (another release, or something was put around "
            "them: a chat template)"
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
