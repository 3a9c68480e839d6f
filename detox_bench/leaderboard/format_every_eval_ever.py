"""A submission in the schema of Every Eval Ever (evalevalai.com; arXiv 2606.14516).

The fields are those of its ``eval.schema.json`` as read in versions 0.2.1 and 0.2.2; version 0.3
asks besides for ``deployment_type`` and ``model_availability`` of the model, in its own validator's
words "unknown" where nothing is known, and for the bounds of continuous scores. Its validator was
not run here: run ``every_eval_ever validate`` before you hand a file in.
"""

import json
from calendar import timegm
from collections.abc import Iterator
from datetime import date
from typing import Any

from detox_bench.leaderboard.metric_facts import METRICS
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import Estimate, Submission
from detox_bench.summary import MEAN

_SCHEMA_VERSION = "0.3.0"
_METHOD = "bootstrap over prompts, expanded percentile interval"
_RESAMPLES = 2000


def every_eval_ever(submission: Submission, suite: Specification) -> str:
    """Return the JSON of one run: every metric of every language, and of their mean."""
    stamp = str(timegm(date.fromisoformat(submission.submitted).timetuple()))
    name = f"{submission.suite}-{submission.prompt_list}-{submission.track}"
    found = {
        "schema_version": _SCHEMA_VERSION,
        "evaluation_id": f"{name}/{submission.model.name.replace('/', '_')}/{stamp}",
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": "detox-bench",
            "source_type": "evaluation_run",
            "source_organization_name": submission.model.name.partition("/")[0],
            "evaluator_relationship": "first_party",
            "additional_details": {"run_id": submission.run_id},
        },
        "eval_library": {
            "name": "detox_bench",
            "version": submission.versions.get("detox_bench", "unknown"),
            "additional_details": dict(submission.versions),
        },
        "model_info": _model(submission),
        "evaluation_results": list(_results(submission, suite)),
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _model(submission: Submission) -> dict[str, Any]:
    base = submission.base_model
    details = {
        "deployment_type": "unknown",
        "model_availability": "unknown",
        "revision": submission.model.revision,
        "weights_sha256": submission.model.weights_sha256,
        "method": submission.method.kind,
        "degenerate": str(submission.degenerate).lower(),
        "contaminated_by": ", ".join(submission.contamination.seen) or "nothing declared",
    }
    return {
        "name": submission.model.name.partition("/")[2],
        "id": submission.model.name,
        "developer": submission.model.name.partition("/")[0],
        "additional_details": details | ({"base_model": base.name} if base else {}),
    }


def _results(submission: Submission, suite: Specification) -> Iterator[dict[str, Any]]:
    for code, language in submission.languages.items():
        for name, found in language.metrics.items():
            yield _result(submission, suite, (code, name), found, language.n_prompts)
    total = sum(language.n_prompts for language in submission.languages.values())
    for name, found in submission.mean.items():
        yield _result(submission, suite, (MEAN, name), found, total)


def _result(
    submission: Submission,
    suite: Specification,
    what: tuple[str, str],
    found: Estimate,
    n_prompts: int,
) -> dict[str, Any]:
    code, name = what
    facts = METRICS[name]
    prompts = suite.lists[submission.prompt_list]
    return {
        "evaluation_result_id": f"{submission.run_id}#{code}#{name}",
        "evaluation_name": f"{submission.suite}.{submission.prompt_list}.{code}.{name}",
        "source_data": {
            "dataset_name": prompts.title,
            "source_type": "other",
            "additional_details": {"prompts": prompts.prompts, "language": code},
        },
        "metric_config": {
            "evaluation_description": f"{facts.words}; scorer {submission.scorer.id}",
            "metric_id": f"detox_bench.{name}",
            "lower_is_better": facts.lower_is_better,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {"score": found.estimate, "uncertainty": _uncertainty(found, n_prompts)},
        "generation_config": {"generation_args": _generation(suite)},
    }


def _uncertainty(found: Estimate, n_prompts: int) -> dict[str, Any]:
    counts = {"num_samples": n_prompts, "num_bootstrap_samples": _RESAMPLES}
    if found.low is None or found.high is None:
        return {"num_samples": n_prompts}
    bounds = {"lower": found.low, "upper": found.high, "confidence_level": 0.95}
    return {"confidence_interval": bounds | {"method": _METHOD}} | counts


def _generation(suite: Specification) -> dict[str, Any]:
    sampling = suite.sampling
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.new_tokens,
    }
