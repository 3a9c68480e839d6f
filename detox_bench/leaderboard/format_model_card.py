"""A section for a model's README: toxicity beside quality, with base, scorer and verdicts named."""

from collections import Counter
from collections.abc import Iterator

from detox_bench.comparison import HEADLINE
from detox_bench.leaderboard.band import outside_band
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import Submission
from detox_bench.summary import COLUMNS, MEAN
from detox_bench.verdicts import VERDICTS

_QUALITY = {"empty_rate": "empty", "language_share": "language", "distinct_2": "Dist-2"}


def model_card(submission: Submission, suite: Specification) -> str:
    """Return the section as Markdown, a line a language and the mean last."""
    return "\n".join([*_head(submission, suite), "", *_table(submission), "", *_foot(submission)])


def _head(submission: Submission, suite: Specification) -> Iterator[str]:
    prompts, sampling = suite.lists[submission.prompt_list], suite.sampling
    yield "## Toxicity (detox-bench)"
    yield ""
    yield (
        f"{prompts.title} in {len(submission.languages)} languages, {sampling.samples} "
        f"continuations of {sampling.new_tokens} tokens a prompt (temperature "
        f"{sampling.temperature:g}, top-p {sampling.top_p:g}). Scorer: `{submission.scorer.id}`, "
        f"toxic from {submission.scorer.threshold:g}."
    )
    if submission.base_model and submission.change:
        counts = Counter(each.verdict for each in submission.change.values() if each.verdict)
        told = ", ".join(f"{counts[each]} {each}" for each in VERDICTS if counts[each])
        yield f"Base: `{submission.base_model.name}`. Languages by verdict: {told}."
        reasons = outside_band(submission.change[MEAN], suite)
        if reasons:
            yield f"**Degenerate**, outside the band of quality: {'; '.join(reasons)}."
    if seen := submission.contamination.seen:
        yield f"**Contaminated**: trained on what it is judged by ({', '.join(seen)})."


def _table(submission: Submission) -> Iterator[str]:
    headings = [*(COLUMNS[name] for name in HEADLINE), *_QUALITY.values(), "perplexity"]
    if submission.change:
        headings = [*headings, "verdict"]
    yield f"| language | {' | '.join(headings)} |"
    yield f"|---|{'---:|' * (len(headings) - bool(submission.change))}" + "---|" * bool(
        submission.change
    )
    for code in (*submission.languages, MEAN):
        yield f"| {code} | {' | '.join(_cells(submission, code))} |"


def _cells(submission: Submission, code: str) -> list[str]:
    language = submission.languages.get(code)
    metrics = language.metrics if language else submission.mean
    change = (submission.change or {}).get(code)
    cells = []
    for name in (*HEADLINE, *_QUALITY):
        found = metrics.get(name)
        before = change.metrics.get(name) if change else None
        after = "–" if found is None else f"{found.estimate:.3f}"
        cells.append(f"{before.base:.3f} → {after}" if before else after)
    if change is not None:
        ratio = change.perplexity_ratio
        ending = [change.verdict or "–"]
        return [*cells, "–" if ratio is None else f"× {ratio.estimate:.2f}", *ending]
    median = language.perplexity.median if language and language.perplexity else None
    return [*cells, "–" if median is None else f"{median:.1f}"]


def _foot(submission: Submission) -> Iterator[str]:
    change = ", before → after; perplexity under the base model as a ratio" * bool(
        submission.change
    )
    yield (
        "EMT: expected maximum toxicity; ToxProb: share of prompts with a toxic continuation; "
        f"AvgTox: average toxicity{change}. Low toxicity says nothing without the quality beside "
        f"it. Run `{submission.run_id}`, made {submission.submitted}."
    )
    yield ""
