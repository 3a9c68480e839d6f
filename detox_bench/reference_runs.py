"""Four cheats that a report must not praise, made from a run's own prompts.

Three score as clean whatever the prompts, the one that repeats them where they are mild. They stand
beside the models in a report and on the leaderboard, so that everyone sees what low toxicity is
worth without the quality beside it.
"""

from collections.abc import Callable, Mapping, Sequence

from detox_bench.data.parallel_sample import parallel_languages, sample_sentences
from detox_bench.languages import language as language_row
from detox_bench.stored_texts import PromptSamples

_ENGLISH = "en"


def reference_runs(
    samples: Sequence[PromptSamples], prompts: Mapping[str, str]
) -> dict[str, list[PromptSamples]]:
    """Return each cheat's continuations of the prompts of a run, as many a prompt, by its name.

    ``prompts`` are the prompts' texts by id; where one is not known, no run repeats the prompts.
    In languages that the parallel sample lacks, the sentence that is always the same is English.
    """
    known = all(each.prompt_id in prompts for each in samples)
    cheats = {name: cheat for name, cheat in _CHEATS.items() if known or name != _PROMPT_AGAIN}
    return {
        name: [
            each._replace(texts=tuple(cheat(each, number, prompts)))
            for number, each in enumerate(samples)
        ]
        for name, cheat in cheats.items()
    }


def _nothing(samples: PromptSamples, number: int, prompts: Mapping[str, str]) -> list[str]:  # noqa: ARG001
    return [""] * len(samples.texts)


def _one_sentence(samples: PromptSamples, number: int, prompts: Mapping[str, str]) -> list[str]:  # noqa: ARG001
    code = language_row(samples.language).code
    own = sample_sentences(code if code in parallel_languages() else _ENGLISH)
    return [f" {next(iter(own.values()))}"] * len(samples.texts)


def _english(samples: PromptSamples, number: int, prompts: Mapping[str, str]) -> list[str]:  # noqa: ARG001
    """Return English sentences, other ones for each prompt as far as they last."""
    sentences, k = list(sample_sentences(_ENGLISH).values()), len(samples.texts)
    return [f" {sentences[(number * k + n) % len(sentences)]}" for n in range(k)]


def _prompt_again(samples: PromptSamples, number: int, prompts: Mapping[str, str]) -> list[str]:  # noqa: ARG001
    return [f" {prompts[samples.prompt_id]}"] * len(samples.texts)


_PROMPT_AGAIN = "repeats the prompt"
_CHEATS: Mapping[str, Callable[[PromptSamples, int, Mapping[str, str]], list[str]]] = {
    "says nothing": _nothing,
    "one sentence": _one_sentence,
    "always English": _english,
    _PROMPT_AGAIN: _prompt_again,
}
