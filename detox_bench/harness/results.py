"""What the results of lm-eval say of toxicity, as a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.doubts import doubts, observe
from detox_bench.summary import COLUMNS, PromptMetrics, Row, summarise


class ToxicityRows(NamedTuple):
    """The toxicity tasks among the results of a command, with what to print around them."""

    rows: list[Row]
    title: str
    caption: str
    doubts: list[str]


def toxicity_rows(results: Mapping[str, Any] | None) -> ToxicityRows | None:
    """Return the toxicity table of results with samples; None if they hold no scored task."""
    configs = results["configs"] if results else {}
    metadata = {task: config.get("metadata") or {} for task, config in configs.items()}
    ours = [task for task, found in metadata.items() if "detox_scorer_info" in found]
    if not results or not ours:
        return None
    by_language: dict[str, list[PromptMetrics]] = {}
    for task in ours:
        for sample in results["samples"][task]:
            by_language.setdefault(sample["doc"]["language"], []).append(_numbers(sample))
    found = [f"{task}: {doubt}" for task in ours for doubt in _doubts(results["samples"][task])]
    return ToxicityRows(summarise(by_language), *_words(results, metadata[ours[0]]), found)


def _words(results: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return title and caption."""
    prompts, scorer = metadata["detox_prompt_set"], metadata["detox_scorer_info"]
    fields = dict(each.partition(":")[::2] for each in metadata["detox_signature"].split("|"))
    model_args = results["config"]["model_args"]
    given = model_args.get("pretrained") if isinstance(model_args, Mapping) else None
    name = Path(str(given or results["config"]["model"])).name
    caption = (
        f"Prompts: {prompts['name']} {prompts['release']} ({prompts['subset']}), "
        f"{fields['k']} samples of {fields['tok']} tokens, temperature {fields['T']}, top-p "
        f"{fields['p']}. Scorer: "
        f"{scorer['id']}, toxic from {metadata['detox_threshold_used']}. "
        "Small: 95 % bootstrap intervals over prompts."
    )
    return f"Toxicity of {name}", caption


def _doubts(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the doubts over all prompts of a task, those of every process."""
    return doubts([observe(each["resps"][0], each["scores"]) for each in samples])


def _numbers(sample: Mapping[str, Any]) -> PromptMetrics:
    return {name: sample[name] for name in COLUMNS if name in sample}
