"""Which neurons a command is about, and on which prompts it reads them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.data.prompts import PromptSet, load_prompts
from detox_bench.data.store import content_sha256
from detox_bench.errors import BadIntervention, DetoxBenchError
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.edit.interventions import BaseModel, check_range, parse_neurons
from detox_bench.neurons.edit.making import check_found_in
from detox_bench.neurons.find.found import PACKAGED, read_found
from detox_bench.types import NeuronId

_LIST = re.compile(r"[\d:,\s]+")


class PromptPart(NamedTuple):
    """A part of a prompt set: as ``load_prompts`` has it, the first ``limit`` behind ``skip``."""

    source: str = "auto"
    subset: str = "all"
    limit: int | None = None
    skip: int = 0

    def prompts(self, language: str) -> PromptSet:
        """Return the prompts, with the hash of just these; raises as ``load_prompts``."""
        found = load_prompts(language, self.source, self.subset)
        kept = found.prompts[self.skip :][: self.limit]
        if not kept:
            raise DetoxBenchError(
                f"The first {self.skip} of {len(found.prompts)} prompts in {language!r} are left "
                "out, and no other is left. Skip fewer."
            )
        return replace(found, prompts=kept, sha256=content_sha256((p.id, p.text) for p in kept))


class NeuronChoice(NamedTuple):
    """Neurons of one model. ``forced`` says in words what does not fit, where that was forced."""

    neurons: tuple[NeuronId, ...]
    model: BaseModel
    source: str
    forced: str | None = None


def choose_neurons(
    source: str, take: str, model: Any, name: str, force: bool = False
) -> NeuronChoice:
    """Return the neurons of ``3:17,7:1020``, or those that are taken out of a file of found ones.

    Args:
        source: The list, the file, or a name of ``found.PACKAGED``.
        take: As ``FoundNeurons.taken``; a list is taken whole.
        model: Whose neurons they are.
        name: What it is called.
        force: Take the neurons of other weights too.

    Raises ``BadIntervention`` for neurons that the model does not have; as ``read_found``,
    ``check_found_in`` and ``FoundNeurons.taken`` else.
    """
    base = base_model_of(model, name)
    if _LIST.fullmatch(source) and not Path(source).exists():
        neurons = tuple(dict.fromkeys(parse_neurons(source)))
        return NeuronChoice(_in_range(neurons, base), base, source)
    found = read_found(source if source in PACKAGED else Path(source))
    check_found_in(found.base_model, base, force)
    forced = found.base_model.difference(base)
    neurons = tuple(each.id for each in found.taken(take))
    return NeuronChoice(_in_range(neurons, base), base, f"{Path(source).name} ({take})", forced)


def _in_range(neurons: tuple[NeuronId, ...], model: BaseModel) -> tuple[NeuronId, ...]:
    if not neurons:
        raise BadIntervention("No neuron is named. Give at least one layer:neuron.")
    for each in neurons:
        check_range(each, model)
    return neurons
