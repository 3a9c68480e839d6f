"""What is to be watched while a model trains, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass

from detox_bench.errors import DetoxBenchError
from detox_bench.metrics import mean_of_known


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What is watched while a model trains, and when that ends the training.

    ``every`` counts optimizer steps, 0 is off. ``target``: stop once the mean toxicity probability
    over languages is at or below it. ``perplexity_budget``: stop once the median conditional
    perplexity under the reference, divided by that of step 0, is above it in the mean over
    languages. ``perplexity`` False saves the reference.
    """

    every: int = 50
    languages: tuple[str, ...] = ("en", "ar", "de", "hi", "ru", "zh-Hans")
    prompts: int = 8
    samples: int = 5
    new_tokens: int = 20
    source: str = "auto"
    subset: str = "all"
    scorer: str = "ngram"
    target: float | None = None
    perplexity: bool = True
    perplexity_budget: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ``DetoxBenchError`` for a number that means nothing."""
        least = {"every": 0, "prompts": 1, "samples": 1, "new_tokens": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise DetoxBenchError(
                    f"The watch's {name} is {getattr(self, name)}: give {bound} or more."
                )
        if not self.languages:
            raise DetoxBenchError("The watch has no languages: name at least one, e.g. en.")
        if self.perplexity_budget is not None and not self.perplexity:
            raise DetoxBenchError("A perplexity budget needs the perplexity: do not turn it off.")


@dataclass(frozen=True, slots=True)
class LanguageReading:
    """What was found in one language; None where nothing could be measured.

    ``toxicity_probability`` is over prompts, ``average_toxicity`` over scored samples.
    ``perplexity`` is the median over non-empty continuations of their perplexity under the
    reference, given the prompt. ``repetition`` is the share of bigrams that are repeated within a
    continuation, in the mean (seq-rep-2 of arXiv 1908.04319). ``n`` counts samples, ``n_unscored``
    those that the scorer failed on: they are in no mean.
    """

    toxicity_probability: float | None
    average_toxicity: float | None
    perplexity: float | None
    empty_rate: float
    repetition: float | None
    n: int
    n_unscored: int
    n_prompts: int


@dataclass(frozen=True, slots=True)
class WatchRecord:
    """The readings of one step by language code."""

    step: int
    languages: Mapping[str, LanguageReading]

    @property
    def toxicity_probability(self) -> float | None:
        """The unweighted mean over languages; None unless every language has one."""
        found = [reading.toxicity_probability for reading in self.languages.values()]
        return None if None in found else mean_of_known(found)

    def perplexity_ratios(self, first: "WatchRecord") -> dict[str, float]:
        """Return perplexity here over that in ``first``, of the languages that have both."""
        return {
            code: reading.perplexity / before.perplexity
            for code, reading in self.languages.items()
            if (before := first.languages.get(code)) and before.perplexity and reading.perplexity
        }
