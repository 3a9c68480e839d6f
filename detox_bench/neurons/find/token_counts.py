"""How many scripts and languages the tokens of value vectors are from, beside a control.

The paper reads the promoted tokens by eye (arXiv 2406.16235, tables 8 and 9); here they are
counted. The vocabulary of a multilingual model is multilingual itself: a number of scripts means
something only beside that of other neurons of the same layers (``controls``). Counts of languages
bear no more than that comparison (see ``tokens``).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from detox_bench.comparison import interval_json
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.edit.controls import control
from detox_bench.neurons.find.choosing import NeuronChoice
from detox_bench.neurons.find.tokens import Promoted, promoted_tokens
from detox_bench.statistics import Interval, mean_interval


@dataclass(frozen=True, slots=True)
class CountSettings:
    """What is counted: the ``top`` tokens of each vector, with or without the ``norm``'s scale.

    ``control`` is a row of ``controls.CONTROLS``, whose draws ``seed`` decides.
    """

    top: int = 30
    norm: bool = False
    control: str = "random"
    seed: int = 0


class TokenCounts(NamedTuple):
    """The promoted tokens of chosen neurons, and of as many others."""

    chosen: NeuronChoice
    settings: CountSettings
    found: Sequence[Promoted]
    control: Sequence[Promoted]

    def as_json(self, show_tokens: bool = False) -> dict[str, Any]:
        """Return all counts as JSON; the tokens themselves only where they are to be shown."""
        sets = {"chosen": self.found, "control": self.control}
        return {
            "schema": 1,
            "model": asdict(self.chosen.model),
            "neurons_from": self.chosen.source,
            **({"forced": self.chosen.forced} if self.chosen.forced else {}),
            "settings": asdict(self.settings),
            **{
                name: spread(found).as_json()
                | {"neurons": [promoted_json(each, show_tokens) for each in found]}
                for name, found in sets.items()
            },
        }


def count_tokens(loaded: LoadedModel, chosen: NeuronChoice, settings: CountSettings) -> TokenCounts:
    """Return the tokens that chosen neurons promote, and those of the control.

    Raises as ``promoted_tokens`` and ``controls.control``.
    """
    n_neurons = chosen.model.neurons
    others = control(settings.control, chosen.neurons, loaded.model, n_neurons, settings.seed)
    found, beside = (
        promoted_tokens(loaded, each, settings.top, settings.norm)
        for each in (chosen.neurons, others)
    )
    return TokenCounts(chosen, settings, found, beside)


class Spread(NamedTuple):
    """Over how many scripts and languages the tokens of several neurons are spread.

    ``scripts`` and ``languages`` count the tokens of all neurons; ``undetermined`` those without a
    language. ``effective_scripts`` is the mean over neurons of the effective number of scripts,
    with a 95 % bootstrap interval over neurons; NaN where no token has a script.
    """

    n_neurons: int
    n_tokens: int
    scripts: Counter[str]
    languages: Counter[str]
    effective_scripts: Interval

    @property
    def undetermined(self) -> int:
        """How many tokens have no language."""
        return self.n_tokens - self.languages.total()

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON, the most frequent first."""
        return {
            "n_neurons": self.n_neurons,
            "n_tokens": self.n_tokens,
            "scripts": dict(self.scripts.most_common()),
            "languages": dict(self.languages.most_common()),
            "undetermined": self.undetermined,
            "effective_scripts": interval_json(self.effective_scripts),
        }


def spread(found: Sequence[Promoted]) -> Spread:
    """Return how the promoted tokens of several neurons are spread."""
    numbers = [effective_number(each.scripts) for each in found]
    return Spread(
        len(found),
        sum(len(each.tokens) for each in found),
        sum((each.scripts for each in found), Counter()),
        sum((each.languages for each in found), Counter()),
        mean_interval([number for number in numbers if number is not None]),
    )


def promoted_json(found: Promoted, show_tokens: bool) -> dict[str, Any]:
    """Return the counts of one neuron as JSON, and its tokens where they are to be shown."""
    tokens = {"tokens": [each._asdict() for each in found.tokens]} if show_tokens else {}
    return {
        **found.neuron._asdict(),
        "scripts": dict(found.scripts.most_common()),
        "languages": dict(found.languages.most_common()),
        "undetermined": len(found.tokens) - found.languages.total(),
        "effective_scripts": effective_number(found.scripts),
        **tokens,
    }


def effective_number(counts: Mapping[str, int]) -> float | None:
    """Return exp(entropy) of counts: n where n kinds are equally many; None if there is nothing.

    It is the Hill number of order 1 (Hill 1973), entropy in nats.
    """
    total = sum(counts.values())
    if not total:
        return None
    shares = [count / total for count in counts.values() if count]
    return math.exp(-sum(share * math.log(share) for share in shares))
