"""A model's continuations of prompts, kept in a run folder: what is there is not made again."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detox_bench.data.preference_text import whole_characters
from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.fingerprint import configuration, tokenizer_content, weights_sha256
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.loading import LoadedModel
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.modeling.sampling import SampledTokens, Sampler, SampleRequest
from detox_bench.modeling.tokens import prompt_tokens
from detox_bench.runs import RunFolder, SampleKey, StoredGeneration, digest
from detox_bench.types import Prompt

#: Changes whenever the same model, seed and settings would give other texts.
_ENGINE = "detox-bench-pairs-2"

#: ``(sample, text)`` of a prompt's continuations, by its id and language.
Continuations = dict[tuple[str, str], list[tuple[int, str]]]


def identity(loaded: LoadedModel, seed: int) -> dict[str, Any]:
    """Return what the continuations depend on besides prompts and sampling settings."""
    return {
        "engine": _ENGINE,
        "seed": seed,
        "weights_sha256": weights_sha256(loaded.model),
        "configuration": digest(configuration(loaded.model)),
        "tokenizer": digest(tokenizer_content(loaded.tokenizer)),
        "stop_tokens": loaded.stop_tokens,
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "max_length": loaded.window,
    }


@dataclass(frozen=True, slots=True)
class Wish:
    """How many continuations of each prompt, drawn how, so many at once, kept in ``folder``.

    ``also`` is what the texts depend on besides model and settings, as an intervention: JSON.
    """

    samples: int
    settings: SamplingSettings
    folder: Path
    batch_size: int = 256
    also: Mapping[str, Any] = field(default_factory=dict)


def continue_prompts(loaded: LoadedModel, prompts: Sequence[Prompt], wish: Wish) -> Continuations:
    """Return ``(sample, text)`` of every prompt by id and language, making what the folder lacks.

    A process that is killed loses the batch it was at; the next goes on from there. Raises
    ``BadRunFolder`` where the folder holds the texts of another model or seed.
    """
    room = loaded.window - wish.settings.new_tokens
    if room < 1:
        raise DetoxBenchError(
            f"{wish.settings.new_tokens} new tokens do not fit a window of {loaded.window}. "
            "Ask for fewer: --tokens."
        )
    settings = digest(asdict(wish.settings))
    by_prompt = {prompt: _keys(prompt, settings, wish.samples) for prompt in prompts}
    keys = {key: prompt for prompt, found in by_prompt.items() for key in found}
    whose = {**identity(loaded, wish.settings.seed), **wish.also}
    with RunFolder(wish.folder, whose) as run:
        texts = {key: text for key, text in run.texts(settings).items() if key in keys}
        missing = {key: prompt for key, prompt in keys.items() if key not in texts}
        with _progress(len(missing)) as advance:
            for batch in _sample(loaded, missing, wish):
                run.add(batch)
                texts.update((each.key, each.text) for each in batch)
                advance(len(batch))
    return {
        (prompt.id, prompt.language): [(key.sample, texts[key]) for key in found]
        for prompt, found in by_prompt.items()
    }


def _keys(prompt: Prompt, settings: str, samples: int) -> list[SampleKey]:
    """Return the keys of a prompt's samples; those of one id and text in two languages are one."""
    text = digest(prompt.text)
    return [SampleKey(settings, prompt.id, text, sample) for sample in range(samples)]


def _sample(
    loaded: LoadedModel, missing: dict[SampleKey, Prompt], wish: Wish
) -> Iterator[list[StoredGeneration]]:
    model = CausalModel(loaded.model, loaded.tokenizer.pad_token_id or 0)
    sampler = Sampler(model, wish.settings, loaded.stop_tokens, wish.batch_size)
    requests = list(_requests(loaded, missing, loaded.window - wish.settings.new_tokens))
    for batch in sampler.sample(requests):
        yield [_stored(loaded.tokenizer, each) for each in batch]


def _requests(
    loaded: LoadedModel, missing: dict[SampleKey, Prompt], room: int
) -> Iterator[SampleRequest]:
    by_prompt: dict[tuple[SampleKey, Prompt], list[int]] = {}
    for key, prompt in missing.items():
        by_prompt.setdefault((key._replace(sample=0), prompt), []).append(key.sample)
    for (key, prompt), samples in by_prompt.items():
        tokens = prompt_tokens(loaded.tokenizer, prompt.text, room)
        yield SampleRequest(prompt.id, tokens, tuple(samples), (key, prompt.language))


def _stored(tokenizer: Any, sampled: SampledTokens) -> StoredGeneration:
    key: SampleKey = sampled.request.label[0]
    language: str = sampled.request.label[1]
    text = _decode(tokenizer, sampled.request.tokens, sampled.tokens)
    return StoredGeneration(
        key.settings, key.prompt_id, key.prompt_hash, language, sampled.sample, text
    )


def _decode(tokenizer: Any, prompt: Iterable[int], tokens: list[int]) -> str:
    """Return the continuation as it follows its prompt: alone, some lose their first space."""
    before = tokenizer.decode(list(prompt), skip_special_tokens=True)
    whole = tokenizer.decode([*prompt, *tokens], skip_special_tokens=True)
    alone = tokenizer.decode(tokens, skip_special_tokens=True)
    return whole_characters(whole[len(before) :] if whole.startswith(before) else alone)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Yield what to call with the number of texts just made; it moves a bar on a terminal."""
    if not total or not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="Sampling", unit=" texts", smoothing=0.05) as bar:
        yield bar.update
