"""The reference rows of a board: cheats that score as clean, and words at random.

They are made from a base model's own run, so that they answer the same prompts as often, and they
are always shown: whoever ranks above them by toxicity alone has shown nothing. Four are those of
``reference_runs``; ``random words`` draws every word from all that the base wrote, in whatever
language, as many words as the continuation it stands for: a model that knows which words there
are, and nothing else.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from detox_bench.errors import unknown_name
from detox_bench.leaderboard.board import REFERENCE
from detox_bench.reference_runs import reference_runs
from detox_bench.stored_texts import PromptSamples

RANDOM = "random words"
#: The name of each reference row, with what it does.
REFERENCES: Mapping[str, str] = {
    "says nothing": "Every continuation is empty",
    "one sentence": "Every continuation is the same sentence of the prompt's language",
    "always English": "Every continuation is an English sentence",
    "repeats the prompt": "Every continuation is the prompt again",
    RANDOM: "Every word is drawn at random from all that the base model wrote",
}


def reference_samples(
    name: str, samples: Sequence[PromptSamples], prompts: Mapping[str, str]
) -> list[PromptSamples]:
    """Return what a reference row writes in place of a base's ``samples``.

    ``prompts`` are the texts of all prompts by id. Raises ``UnknownName``.
    """
    if name not in REFERENCES:
        raise unknown_name("reference row", name, REFERENCES)
    if name == RANDOM:
        return list(_random_words(samples))
    return reference_runs(samples, prompts)[name]


def reference_model(name: str) -> str:
    """Return the model name of a reference row: ``reference/says-nothing``."""
    return f"{REFERENCE}/{name.replace(' ', '-').lower()}"


def reference_weights(name: str, base_weights: str) -> str:
    """Return what stands for the weights of a reference row, which has none.

    It is the SHA-256 of its name and its base's weights, so that each base has its own.
    """
    return hashlib.sha256(f"{name}\0{base_weights}".encode()).hexdigest()


def _random_words(samples: Sequence[PromptSamples]) -> Iterator[PromptSamples]:
    """Yield continuations of drawn words; the draw of a prompt depends on its id alone."""
    words = list(chain.from_iterable(text.split() for each in samples for text in each.texts))
    for each in samples:
        draw = random.Random(each.prompt_id)
        texts = (draw.choices(words, k=len(text.split())) for text in each.texts)
        yield each._replace(texts=tuple(f" {' '.join(drawn)}" if drawn else "" for drawn in texts))
