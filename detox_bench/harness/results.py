"""What the results of lm-eval say of toxicity and of retrieval, as tables."""

from collections.abc import Iterator, Mapping, Sequence
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
    limits = [metadata[task]["detox_threshold_used"] for task in ours]
    words = _words(results, metadata[ours[0]], limits)
    return ToxicityRows(summarise(by_language), *words, found)


def _words(
    results: Mapping[str, Any], metadata: Mapping[str, Any], limits: Sequence[float]
) -> tuple[str, str]:
    """Return title and caption."""
    prompts, scorer = metadata["detox_prompt_set"], metadata["detox_scorer_info"]
    fields = dict(each.partition(":")[::2] for each in metadata["detox_signature"].split("|"))
    one = len(set(limits)) == 1
    limit = f"{limits[0]}" if one else f"{min(limits):.3f} to {max(limits):.3f}, by language"
    caption = (
        f"Prompts: {prompts['name']} {prompts['release']} ({prompts['subset']}), "
        f"{fields['k']} samples of {fields['tok']} tokens, temperature {fields['T']}, top-p "
        f"{fields['p']}. Scorer: "
        f"{scorer['id']}, toxic from {limit}. "
        "Small: 95 % bootstrap intervals over prompts."
    )
    return f"Toxicity of {_model_name(results)}", caption


def _doubts(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the doubts over all prompts of a task, those of every process."""
    return doubts([observe(each["resps"][0], each["scores"]) for each in samples])


def _numbers(sample: Mapping[str, Any]) -> PromptMetrics:
    return {name: sample[name] for name in COLUMNS if name in sample}


class RetrievalRow(NamedTuple):
    """One retrieval task: its name, sides and numbers; why, where it has no result."""

    task: str
    languages: tuple[str, str]
    n: int
    numbers: Mapping[str, Any]
    no_result: str | None
    remarks: list[str]


class RetrievalRows(NamedTuple):
    """Retrieval tasks on the same data set, with what to print around them."""

    rows: list[RetrievalRow]
    title: str
    caption: str


def retrieval_rows(results: Mapping[str, Any] | None) -> list[RetrievalRows]:
    """Return a retrieval table a data set among the results of a command."""
    tables: dict[str, RetrievalRows] = {}
    for task, config in (results["configs"] if results else {}).items():
        metadata = config.get("metadata") or {}
        if results and "detox_pair_set" in metadata:
            caption = _retrieval_caption(metadata)
            empty = RetrievalRows([], f"Retrieval of {_model_name(results)}", caption)
            tables.setdefault(caption, empty).rows.append(_row(task, metadata))
    return list(tables.values())


def _retrieval_caption(metadata: Mapping[str, Any]) -> str:
    pairs = metadata["detox_pair_set"]
    return (
        f"Sentences: {pairs['name']} {pairs['release']} ({pairs['split']}). Pooling: "
        f"{metadata['detox_pooling_used']}. Mean over all layers, and the best layer (0: "
        "embeddings). Chance: one in n. Small: 95 % bootstrap intervals over sentences."
    )


def _row(task: str, metadata: Mapping[str, Any]) -> RetrievalRow:
    pairs = metadata["detox_pair_set"]
    return RetrievalRow(
        task,
        (pairs["source"], pairs["target"]),
        metadata["detox_asked"]["n"],
        metadata.get("detox_retrieval", {}),
        metadata.get("detox_no_result"),
        list(_remarks(metadata)),
    )


def _remarks(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the numbers of one task must be read with."""
    pairs, n = metadata["detox_pair_set"], metadata["detox_asked"]["n"]
    wanted = metadata["detox_data_asked"]
    if pairs["name"] != wanted:
        yield f"{wanted} has not been prepared: these are sentences of the {pairs['name']} set."
    if n < pairs["available"]:
        yield f"only {n} of {pairs['available']} sentences, which makes retrieval easier."
    for side, cut in metadata["detox_cut"].items():
        if cut:
            yield f"sentences of the {side} were cut to the model's window: {cut}."


def _model_name(results: Mapping[str, Any]) -> str:
    model_args = results["config"]["model_args"]
    given = model_args.get("pretrained") if isinstance(model_args, Mapping) else None
    return Path(str(given or results["config"]["model"])).name
