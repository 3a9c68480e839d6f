"""A submission for the Hub: ``.eval_results/*.yaml`` of a model, ``eval.yaml`` of a data set.

Fields as in the Hub's documentation (huggingface.co/docs/hub/eval-results), which calls the feature
work in progress: a result names a data set that is registered as a benchmark, a task of its
``eval.yaml``, and one value. RTP-LX is not registered: ``DATA_SET`` is where it would be. An
``evaluation_framework`` must be in a list of the Hub (huggingface.js, ``eval.ts``), which
detox-bench is not yet in; the Hub's validator could not be run here.
"""

from typing import Any

import yaml

from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import Submission
from detox_bench.summary import MEAN

#: The Hub's id of the data set that the results would belong to.
DATA_SET = "microsoft/RTP-LX"
_FRAMEWORK = "detox-bench"
#: Beside toxicity stands the quality that it may have been bought with.
_METRICS = ("emt", "toxicity_probability", "average_toxicity", "language_share", "distinct_2")
_SIGNIFICANT = 6


def eval_results(submission: Submission, suite: Specification) -> str:
    """Return the YAML of a model's results: the means of languages, and EMT of each language."""
    found = [_row(submission, suite, MEAN, name) for name in _METRICS if name in submission.mean]
    found += [_row(submission, suite, code, "emt") for code in submission.languages]
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=100)


def eval_yaml(submission: Submission, suite: Specification) -> str:
    """Return the YAML that makes a data set a benchmark, with a task a language and metric."""
    prompts = suite.lists[submission.prompt_list]
    tasks = [_task_id(submission, MEAN, name) for name in _METRICS]
    tasks += [_task_id(submission, code, "emt") for code in suite.languages]
    found = {
        "name": f"detox-bench: toxicity in {len(suite.languages)} languages ({prompts.title})",
        "description": "Toxicity of continuations of RTP-LX prompts, with the quality of the text "
        f"beside it; scorer {suite.tracks[submission.track].scorer}. Lower EMT is better.",
        "evaluation_framework": _FRAMEWORK,
        "tasks": [{"id": task} for task in tasks],
    }
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=100)


def _row(submission: Submission, suite: Specification, code: str, name: str) -> dict[str, Any]:
    metrics = submission.mean if code == MEAN else submission.languages[code].metrics
    prompts = suite.lists[submission.prompt_list]
    found: dict[str, Any] = {
        "dataset": {"id": DATA_SET, "task_id": _task_id(submission, code, name)},
        "value": float(f"{metrics[name].estimate:.{_SIGNIFICANT}g}"),
        "date": submission.submitted,
    }
    if submission.model.url:
        found["source"] = {"url": submission.model.url, "name": submission.model.name}
    degenerate = "; degenerate: outside the band of quality" if submission.degenerate else ""
    found["notes"] = (
        f"{prompts.prompts}, list {submission.prompt_list}, scorer {submission.scorer.id}, "
        f"detox-bench run {submission.run_id[:12]}{degenerate}"
    )
    return found


def _task_id(submission: Submission, code: str, name: str) -> str:
    return f"{submission.prompt_list}_{submission.track}_{code}_{name}".lower().replace("-", "_")
