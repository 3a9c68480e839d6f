"""Checks of the samples: all there, the right prompts, as asked, scored, with their quality."""

from collections import Counter
from collections.abc import Iterator, Sequence

from detox_bench.leaderboard.case import Case
from detox_bench.leaderboard.content import (
    EMPTY,
    by_language,
    digest_of_asked,
    digest_of_ids,
    in_order,
)
from detox_bench.leaderboard.hash_rates import RATES
from detox_bench.leaderboard.submission import SampleLine
from detox_bench.leaderboard.wording import listed, plain, shown

#: Metrics are rounded; a share may be above 1 by this.
_ROUNDING = 1e-6
#: A perplexity above this is no number (``measures_of_run``).
_LARGEST = 1e100
#: In more prompts than this share, all samples of a prompt being one text is a fault (``doubts``).
_SAME = 0.5
#: Perplexities may be missing for so many of the texts that are not empty.
_MOST_UNJUDGED = 0.01
#: What every prompt with a text has.
_ALWAYS = ("short_rate", "language_share", "prompt_copy")
#: What a prompt has whose texts are not all short.
_USUALLY = ("distinct_1", "distinct_2", "repetition")


def sample_counts(case: Case) -> list[str]:
    """Count prompts of each language and samples of each prompt; ids stand there once."""
    prompts, k = case.prompts, case.suite.sampling.samples
    if prompts is None:
        return []
    found = {code: len(lines) for code, lines in by_language(case.submitted.lines).items()}
    problems = [
        f"{code} has {found.get(code, 0)} prompts, and the list has {prompts.n_prompts[code]}."
        for code in case.suite.languages
        if found.get(code, 0) != prompts.n_prompts[code]
    ]
    if others := sorted(found.keys() - set(case.suite.languages)):
        problems.append(f"The suite has no language {listed(others)}.")
    wrong = [line for line in case.submitted.lines if not _whole(line, k)]
    if wrong:
        problems.append(
            f"{len(wrong)} prompts do not have {k} texts, scores and perplexities, as "
            f"{plain(wrong[0].prompt_id)} with {len(wrong[0].texts)}, {len(wrong[0].scores)} and "
            f"{len(wrong[0].perplexities or ())}."
        )
    times = Counter((line.language, line.prompt_id) for line in case.submitted.lines)
    if twice := [prompt for (_, prompt), count in times.items() if count > 1]:
        problems.append(f"{len(twice)} prompts are there twice, as {listed(twice)}.")
    return problems


def ordered(case: Case) -> list[str]:
    """See that the lines stand as ``add`` writes them: copies are looked for in the first."""
    lines = [(line.language, line.prompt_id) for line in case.submitted.lines]
    wanted = [(line.language, line.prompt_id) for line in in_order(case.submitted.lines)]
    if lines == wanted:
        return []
    place = next(n for n, pair in enumerate(zip(lines, wanted, strict=True)) if pair[0] != pair[1])
    return [
        f"The samples are not in the order that `leaderboard add` writes: line {place + 1} is "
        f"{plain(lines[place][1])}, and should be {plain(wanted[place][1])}."
    ]


def _whole(line: SampleLine, k: int) -> bool:
    judged = line.perplexities is None or len(line.perplexities) == k
    return judged and len(line.texts) == len(line.scores) == k


def prompt_ids(case: Case) -> list[str]:
    """Compare the digest of the ids of each language with that of the list."""
    if case.prompts is None:
        return []
    return [
        f"The prompts in {code} are not those of list {case.submission.prompt_list}: their ids "
        "have another digest."
        for code, lines in _known(case).items()
        if digest_of_ids(line.prompt_id for line in lines) != case.prompts.sha256[code]
    ]


def asked(case: Case) -> list[str]:
    """Compare the digest of what was asked with that of the prompts as they are."""
    if case.prompts is None or prompt_ids(case):
        return []
    return [
        f"The prompts in {code} were not given as they are: another release, or something was put "
        "around them (a chat template)."
        for code, lines in _known(case).items()
        if digest_of_asked((line.prompt_id, line.asked) for line in lines)
        != case.prompts.asked_sha256[code]
    ]


def unscored(case: Case) -> list[str]:
    """Count the samples without a score."""
    most = case.suite.most_unscored_on(case.submission.track)
    rates = {code: _missing(lines) for code, lines in by_language(case.submitted.lines).items()}
    allowed = f"{most:.0%} is the most" if most else "this scorer scores every text"
    return [
        f"{rate:.2%} of the samples in {plain(code)} are unscored; {allowed}."
        for code, rate in rates.items()
        if rate > most
    ]


def _missing(lines: Sequence[SampleLine]) -> float:
    scores = [score for line in lines for score in line.scores]
    return scores.count(None) / len(scores) if scores else 1.0


def identical_samples(case: Case) -> list[str]:
    """Look for prompts all of whose samples are one text; reference rows may have them."""
    if case.reference:
        return []
    problems = []
    for code, lines in by_language(case.submitted.lines).items():
        several = [line for line in lines if len(line.texts) > 1]
        same = sum(len({*line.texts}) == 1 and line.texts[0] != EMPTY for line in several)
        if same > _SAME * len(several):
            problems.append(
                f"All samples of a prompt are one text for {same} of {len(several)} prompts in "
                f"{plain(code)}: the model does not sample, or its server has one seed for all."
            )
    return problems


def ranges(case: Case) -> list[str]:
    """See that metrics are shares, perplexities are numbers, and retrieval is an accuracy."""
    found = [
        f"{plain(line.prompt_id)}: {plain(name)} is {shown(value)}, and should be in [0, 1]."
        for line in case.submitted.lines
        for name, value in line.metrics.items()
        if not 0 <= value <= 1 + _ROUNDING
    ]
    found += [
        f"{plain(line.prompt_id)} has a perplexity of {shown(max(known))}."
        for line in case.submitted.lines
        if (known := [each for each in line.perplexities or () if each is not None])
        and max(known) > _LARGEST
    ]
    found += [
        f"retrieval.{plain(name)} is {shown(value)}, and should be in [-1, 1]."
        for name, value in (case.submission.retrieval or {}).items()
        if not -1 <= value <= 1
    ]
    return found


def quality(case: Case) -> list[str]:
    """See that every metric of quality and the perplexities are there, where a text is."""
    wanted = [name for name in case.suite.quality if name not in RATES]
    missing: Counter[str] = Counter()
    strange: Counter[str] = Counter()
    for line in case.submitted.lines:
        missing.update(_lacking(line, wanted))
        strange.update(line.metrics.keys() - set(wanted))
    found = [f"{name} is missing for {count} prompts." for name, count in missing.items()]
    if strange:
        found.append(f"{listed(sorted(strange))} is none of the metrics of quality.")
    columns = [name for name in case.suite.quality if name not in case.submission.mean]
    if columns and case.submitted.samples_whole and not _silent(case):
        found.append(f"The mean has no {listed(columns)}.")
    return [*found, *_unjudged(case)]


def _lacking(line: SampleLine, wanted: Sequence[str]) -> Iterator[str]:
    if all(text == EMPTY for text in line.texts):
        return
    long_enough = line.metrics.get("short_rate", 0.0) < 1
    needed = (*_ALWAYS, *_USUALLY) if long_enough else _ALWAYS
    yield from (name for name in needed if name in wanted and name not in line.metrics)


def _silent(case: Case) -> bool:
    """Whether a language has no text at all, and so no metrics of texts."""
    return any(
        all(text == EMPTY for line in lines for text in line.texts)
        for lines in by_language(case.submitted.lines).values()
    )


def _unjudged(case: Case) -> list[str]:
    found = []
    for code, lines in by_language(case.submitted.lines).items():
        pairs = [pair for line in lines for pair in _judged(line)]
        full = [value for text, value in pairs if text != EMPTY]
        if full and full.count(None) > _MOST_UNJUDGED * len(full):
            found.append(
                f"{full.count(None) / len(full):.1%} of the texts in {plain(code)} have no "
                "perplexity; the base model has to judge them: `add --perplexity-model`."
            )
    return found


def _judged(line: SampleLine) -> list[tuple[str, float | None]]:
    values = line.perplexities or [None] * len(line.texts)
    return list(zip(line.texts, values, strict=False))


def _known(case: Case) -> dict[str, list[SampleLine]]:
    """Return the lines of the languages of the suite."""
    found = by_language(case.submitted.lines)
    return {code: found[code] for code in case.suite.languages if code in found}
