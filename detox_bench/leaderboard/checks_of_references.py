"""The check of reference rows: their hashes are those of what each cheat writes.

To add a row to ``references.REFERENCES``, add here what its hashes must be.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

from detox_bench.leaderboard.case import Case
from detox_bench.leaderboard.content import EMPTY, by_language, text_digest
from detox_bench.leaderboard.references import RANDOM, REFERENCES, reference_samples
from detox_bench.leaderboard.submission import SampleLine
from detox_bench.leaderboard.wording import plain
from detox_bench.stored_texts import PromptSamples

#: A prompt with white space around it has another hash than the text that repeats it: 1.4 % of
#: list ``full``.
_MOST_OTHERS = 0.1


def reference_texts(case: Case) -> list[str]:
    """See that a reference row has the texts of its name, and one score for each text."""
    name = str(case.submission.identity.get("reference"))
    if not case.reference or name not in REFERENCES:
        return []
    found = [f"The reference row {name} {wrong}." for wrong in [_SHAPES[name](case)] if wrong]
    scores = defaultdict(set)
    for line in case.submitted.lines:
        for text, score in zip(line.texts, line.scores, strict=False):
            scores[line.language, text].add(score)
    several = sum(len(each) > 1 for each in scores.values())
    if several:
        found.append(f"The reference row {name} has several scores for each of {several} texts.")
    return found


def _made(case: Case) -> str | None:
    """Compare with what the cheat writes, whatever the prompts and their order."""
    name = str(case.submission.identity["reference"])
    written = reference_samples(name, list(map(_as_asked, case.submitted.lines)), {})
    wanted = defaultdict(set)
    for each in written:
        wanted[each.language].update(set(each.texts))
    digests = {code: set(map(text_digest, texts)) for code, texts in wanted.items()}
    others = {
        line.language for line in case.submitted.lines if {*line.texts} - digests[line.language]
    }
    return f"has other texts than its own in {', '.join(sorted(others))}" if others else None


def _as_asked(line: SampleLine) -> PromptSamples:
    return PromptSamples(line.language, line.prompt_id, ("",) * len(line.texts), line.asked)


def _nothing(case: Case) -> str | None:
    if any(known for line in case.submitted.lines for known in line.perplexities or ()):
        return "has perplexities of nothing"
    return _made(case)


def _prompt_again(case: Case) -> str | None:
    lines = case.submitted.lines
    if several := [line for line in lines if len({*line.texts}) > 1 or EMPTY in line.texts]:
        return f"has other texts than the prompt, as at {plain(several[0].prompt_id)}"
    others = sum(line.asked not in line.texts for line in lines)
    return f"has other texts than {others} prompts" if others > _MOST_OTHERS * len(lines) else None


def _random_words(case: Case) -> str | None:
    """Compare where nothing is written, which is where the base wrote nothing."""
    if case.base is None:
        return None
    base = {
        (line.language, line.prompt_id): [text == EMPTY for text in line.texts]
        for line in case.base.lines
    }
    for lines in by_language(case.submitted.lines).values():
        for line in lines:
            if [text == EMPTY for text in line.texts] != base.get((line.language, line.prompt_id)):
                return f"is empty elsewhere than its base, as at {plain(line.prompt_id)}"
    return None


#: What is wrong with the hashes of each reference row, in words; None for nothing.
_SHAPES: Mapping[str, Callable[[Case], str | None]] = {
    "says nothing": _nothing,
    "one sentence": _made,
    "always English": _made,
    "repeats the prompt": _prompt_again,
    RANDOM: _random_words,
}
