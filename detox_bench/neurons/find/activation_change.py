"""The activation of neurons in each language before and after, paired prompt by prompt.

What a prompt has is the mean over its tokens and over the neurons; all statistics are those of
``detox_bench.comparison``, so that items shared between languages are drawn together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from detox_bench.comparison import Change, ComparisonRow, as_json, compare
from detox_bench.data.prompts import PromptSet, prompts_json
from detox_bench.errors import BadIntervention
from detox_bench.modeling.loading import LoadedModel, load_causal_model
from detox_bench.neurons.edit.controls import control
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.neurons.find.activations import Activations, mean_activations
from detox_bench.neurons.find.choosing import NeuronChoice, choose_neurons
from detox_bench.types import NeuronId

ACTIVATION = "activation"


class Side(NamedTuple):
    """One of the two models, and ``(n_prompts, n_neurons)`` activations by language.

    ``control`` is the same of neurons to compare with, as many; empty where none were asked for.
    """

    model: BaseModel
    activations: Mapping[str, Activations]
    control: Mapping[str, Activations]


class ActivationChange(NamedTuple):
    """The activations of ``chosen`` neurons, and of a ``control``, in two models.

    ``tokens`` says over how many new tokens a mean is.
    """

    chosen: NeuronChoice
    control: tuple[NeuronId, ...]
    prompts: Mapping[str, PromptSet]
    tokens: int
    before: Side
    after: Side

    def rows(self) -> list[ComparisonRow]:
        """Return a row a language and the means of languages, each with its change."""
        runs = [_run(self.prompts, each.activations) for each in (self.before, self.after)]
        return compare(runs[:1], runs[1:])

    def control_rows(self) -> list[ComparisonRow]:
        """Return the same of the control; nothing where there is none."""
        if not self.control:
            return []
        runs = [_run(self.prompts, each.control) for each in (self.before, self.after)]
        return compare(runs[:1], runs[1:])

    def as_json(self) -> dict[str, Any]:
        """Return everything: the languages with their intervals, and each neuron's means."""
        sides = {"before": self.before, "after": self.after}
        means = {name: _neuron_means(side.activations) for name, side in sides.items()}
        return {
            "schema": 1,
            **{name: asdict(side.model) for name, side in sides.items()},
            "neurons_from": self.chosen.source,
            **({"forced": self.chosen.forced} if self.chosen.forced else {}),
            "tokens": self.tokens,
            "prompts": [prompts_json(each) for each in self.prompts.values()],
            "languages": as_json(self.rows()),
            "control": {
                "neurons": [list(each) for each in self.control],
                "languages": as_json(self.control_rows()),
            },
            "neurons": [
                {**each._asdict(), **{name: found[place] for name, found in means.items()}}
                for place, each in enumerate(self.chosen.neurons)
            ],
        }


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """Which neurons (``choosing.choose_neurons``) are read on which prompts by language.

    ``control`` is a row of ``controls.CONTROLS``, or None.
    """

    neurons: str
    take: str
    prompts: Mapping[str, PromptSet]
    new_tokens: int = 20
    device: str | None = None
    force: bool = False
    control: str | None = "random"
    seed: int = 0


def compare_models(before: str, after: str, plan: ChangePlan) -> ActivationChange:
    """Measure the neurons of one model in it and in another, loaded one after the other.

    ``before`` and ``after`` are folders or Hub names. Raises as ``load_causal_model`` and
    ``choose_neurons``, and ``BadIntervention`` where the shapes differ.
    """
    loaded = load_causal_model(before, plan.device)
    chosen = choose_neurons(plan.neurons, plan.take, loaded.model, before, plan.force)
    others: list[NeuronId] = []
    if plan.control is not None:
        others = control(
            plan.control, chosen.neurons, loaded.model, chosen.model.neurons, plan.seed
        )
    first = _side(chosen.model, loaded, (chosen.neurons, others), plan)
    del loaded
    loaded = load_causal_model(after, plan.device)
    other = base_model_of(loaded.model, after)
    _check_same_shape(chosen.model, other)
    second = _side(other, loaded, (chosen.neurons, others), plan)
    return ActivationChange(chosen, tuple(others), plan.prompts, plan.new_tokens, first, second)


def _side(
    model: BaseModel,
    loaded: LoadedModel,
    neurons: tuple[Sequence[NeuronId], Sequence[NeuronId]],
    plan: ChangePlan,
) -> Side:
    """Measure the chosen neurons and the control in one pass."""
    chosen, others = neurons
    found = measure_languages(loaded, [*chosen, *others], plan.prompts, plan.new_tokens)
    parts = {code: np.split(each, [len(chosen)], axis=-1) for code, each in found.items()}
    own, rest = ({code: each[part] for code, each in parts.items()} for part in (0, 1))
    return Side(model, own, rest)


def measure_languages(
    loaded: LoadedModel,
    neurons: Sequence[NeuronId],
    prompts: Mapping[str, PromptSet],
    new_tokens: int = 20,
    batch_size: int = 16,
) -> dict[str, Activations]:
    """Return ``activations.mean_activations`` of the prompts of each language."""
    texts = [prompt.text for each in prompts.values() for prompt in each.prompts]
    found = mean_activations(loaded, neurons, texts, new_tokens, batch_size)
    ends = np.cumsum([len(each.prompts) for each in prompts.values()])[:-1]
    return dict(zip(prompts, np.split(found, ends), strict=True))


def change_of(row: ComparisonRow) -> Change:
    """Return the change of activation in a row."""
    return row.changes[ACTIVATION]


def _run(
    prompts: Mapping[str, PromptSet], activations: Mapping[str, Activations]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the mean over the neurons of each prompt, as ``comparison`` takes it."""
    run = {}
    for code, chosen in prompts.items():
        means = activations[code].mean(-1, dtype=np.float64).tolist()
        ids = [prompt.id for prompt in chosen.prompts]
        run[code] = {each: {ACTIVATION: mean} for each, mean in zip(ids, means, strict=True)}
    return run


def _neuron_means(activations: Mapping[str, Activations]) -> list[dict[str, float]]:
    """Return, for each neuron, its mean over the prompts of each language."""
    means = {code: each.mean(0, dtype=np.float64).tolist() for code, each in activations.items()}
    n_neurons = len(next(iter(means.values())))
    return [{code: found[place] for code, found in means.items()} for place in range(n_neurons)]


def _check_same_shape(model: BaseModel, other: BaseModel) -> None:
    """Raise ``BadIntervention`` where neurons of ``model`` are not those of ``other``."""
    for column in ("model_type", "layers", "neurons"):
        if (mine := getattr(model, column)) != (its := getattr(other, column)):
            raise BadIntervention(
                f"{other.name} has {column.replace('_', ' ')} {its!r} and {model.name} {mine!r}: "
                "their neurons are not the same. Name a model that was trained from the other."
            )
