"""What an lm-eval request asks of the sampling engine."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.utils import normalize_gen_kwargs

from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.runs import SampleKey, StoredGeneration, digest

# A request is ours if it says how to sample: where it leaves top-k out, transformers would add 50.
_STATED = frozenset({"temperature", "top_p", "top_k"})
_UNDERSTOOD = _STATED | {"do_sample", "max_gen_toks", "until"}
_WITHOUT_EFFECT = {"repetition_penalty": 1.0, "num_beams": 1, "typical_p": 1.0, "min_p": 0.0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One continuation: what it is called, the text it continues, and which prompts that is of."""

    key: SampleKey
    context: str
    language: str | None
    prompts: str | None = None

    def with_text(self, text: str) -> StoredGeneration:
        """Return the line of the run folder for this continuation."""
        return StoredGeneration(*self.key[:3], self.language, self.key.sample, text)


def sampled(kwargs: Mapping[str, Any], default_tokens: int) -> bool:
    """Return whether the engine can do what ``kwargs`` ask."""
    asked = normalize_gen_kwargs(dict(kwargs), default_tokens)
    other = {name: value for name, value in asked.items() if name not in _UNDERSTOOD}
    return (
        asked.keys() >= _STATED
        and bool(asked["do_sample"])
        and asked["temperature"] > 0
        and other.items() <= _WITHOUT_EFFECT.items()
    )


def settings_of(kwargs: Mapping[str, Any], default_tokens: int, seed: int) -> SamplingSettings:
    """Return the engine's settings for generation arguments of lm-eval."""
    asked = normalize_gen_kwargs(dict(kwargs), default_tokens)
    return SamplingSettings(
        new_tokens=int(asked["max_gen_toks"]),
        temperature=float(asked["temperature"]),
        top_p=float(asked["top_p"]),
        top_k=max(0, int(asked["top_k"])),
        seed=seed,
    )


def wanted(requests: Sequence[Instance]) -> list[Wanted]:
    """Return the continuation that each request stands for.

    lm-eval hands a request over once for every repeat; the n-th time asks for sample n. With
    several processes it repeats some to even out their number: those begin again from sample 0.
    """
    seen: Counter[int] = Counter()
    found = []
    for request in requests:
        number = seen[id(request)] % (request.repeats or 1)
        seen[id(request)] += 1
        found.append(_wanted(request, number))
    return found


def by_arguments(requests: Iterable[Instance]) -> list[tuple[dict[str, Any], list[int]]]:
    """Return the different generation arguments, each with the places of its requests."""
    groups: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for place, request in enumerate(requests):
        kwargs = request.args[1]
        groups.setdefault(digest(kwargs), (kwargs, []))[1].append(place)
    return list(groups.values())


def by_prompt(left: Iterable[Wanted]) -> Iterator[tuple[Wanted, tuple[int, ...]]]:
    """Yield a continuation of each prompt, and the numbers of all that are wanted of it."""
    prompts: dict[tuple[str, str], list[Wanted]] = {}
    for each in left:
        prompts.setdefault((each.key.prompt_id, each.key.prompt_hash), []).append(each)
    for group in prompts.values():
        yield group[0], tuple(each.key.sample for each in group)


def _wanted(request: Instance, sample: int) -> Wanted:
    context, kwargs = request.args[:2]
    doc: Mapping[str, Any] = request.doc if isinstance(request.doc, Mapping) else {}
    prompt_id = str(doc.get("id") or f"{request.task_name}/{request.doc_id}")
    key = SampleKey(digest(kwargs), prompt_id, digest(context), sample)
    return Wanted(key, context, doc.get("language"), doc.get("prompts"))
