"""The search for neurons that write toxicity: all are ranked, and the first asked to be active."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.data.labelled import LabelledText
from detox_bench.data.prompts import PromptSet, prompts_json
from detox_bench.data.store import content_sha256
from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.architectures import architecture_of, neuron_shape
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.neurons.find.activations import mean_activations
from detox_bench.neurons.find.choosing import PromptPart
from detox_bench.neurons.find.detectors import LONGEST, measure_detectors
from detox_bench.neurons.find.found import FoundNeuron, FoundNeurons
from detox_bench.neurons.find.probe_files import Probe, check_width
from detox_bench.neurons.find.ranking import highest, measure_vectors
from detox_bench.types import NeuronId

#: A neuron whose AUROC is not above this is no expert (arXiv 2407.12824, section 3.1).
CHANCE = 0.5

#: By default; results are then to be reported on odd prompts.
EVEN = PromptPart(subset="even")

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class FindSettings:
    """How to look.

    Args:
        by: ``cosine`` or ``auroc``.
        top: So many neurons are kept; None keeps every one above chance, by AUROC only.
        activations: Whether to measure mean activations, and so the actual sources.
        language: Of the prompts. The paper's are English.
        part: The prompts. The paper's number is unknown.
        new_tokens: Greedily decoded; 20 in the paper.
        force: Take a probe of other weights too.
    """

    by: str = "cosine"
    top: int | None = 100
    activations: bool = True
    language: str = "en"
    part: PromptPart = EVEN
    new_tokens: int = 20
    force: bool = False


class ProbeFile(NamedTuple):
    """A probe, and the file it is from."""

    file: Path
    probe: Probe


class TextFiles(NamedTuple):
    """Labelled texts, and the names of the files they are from."""

    names: Sequence[str]
    texts: Sequence[LabelledText]


class _Measures(NamedTuple):
    """Values of all neurons ``(layers, neurons)`` by name, and what is recorded of the making."""

    values: Mapping[str, Values]
    settings: Mapping[str, Any]


def find(
    loaded: LoadedModel,
    settings: FindSettings,
    probe: ProbeFile | None = None,
    data: TextFiles | None = None,
) -> FoundNeurons:
    """Return the highest neurons by cosine with a probe, or by AUROC on labelled texts.

    Those with a mean activation above 0 are the actual sources (arXiv 2406.16235, section 5.1).
    What is given besides is measured too, so that both measures can be in one file.

    Raises ``DetoxBenchError`` where what ``settings.by`` needs is missing, for a probe of another
    width, and for one of other weights unless forced.
    """
    check_given(settings, probe, data)
    # Before the long work, since prompts may be missing.
    chosen = settings.part.prompts(settings.language) if settings.activations else None
    base = base_model_of(loaded.model, loaded.name)
    parts = []
    if probe:
        forced = _check_probe(probe, loaded, base, settings.force)
        parts.append(_by_probe(loaded, probe, forced))
    if data:
        parts.append(_by_data(loaded, data))
    values = {name: each for part in parts for name, each in part.values.items()}
    record = {name: each for part in parts for name, each in part.settings.items()}
    above = CHANCE if settings.top is None else -np.inf
    ids = highest(values[settings.by], settings.top, above)
    measures = {name: [float(each[id_]) for id_ in ids] for name, each in values.items()}
    if chosen and ids:
        measures["activation"] = _activations(loaded, ids, chosen, settings.new_tokens)
        record |= {"prompts": prompts_json(chosen), "tokens": settings.new_tokens}
    return FoundNeurons(base, settings.by, _found(ids, measures), {**record, "top": settings.top})


def check_given(settings: FindSettings, probe: ProbeFile | None, data: TextFiles | None) -> None:
    """Raise ``DetoxBenchError`` where what ``settings.by`` needs is missing."""
    needed = {"cosine": (probe, "a probe: --probe"), "auroc": (data, "labelled texts: --data")}
    given, what = needed[settings.by]
    if given is None:
        raise DetoxBenchError(f"Ranking by {settings.by} needs {what}.")
    if settings.top is None and settings.by != "auroc":
        raise DetoxBenchError(
            "All neurons are kept by AUROC only, those above 0.5. Give a number: --top 100."
        )


def _check_probe(given: ProbeFile, loaded: LoadedModel, base: BaseModel, force: bool) -> str | None:
    """Return in words how ``base`` differs from the model of the probe, or None."""
    check_width(given.probe, neuron_shape(loaded.model).hidden)
    made_for = given.probe.base_model
    difference = made_for.difference(base) if made_for else None
    if made_for and difference and not force:
        raise DetoxBenchError(
            f"The probe {given.file} was made for another model ({made_for.name}): {difference}. "
            "Fit one to this model (`detox-bench neurons probe`), or --force it: that is recorded."
        )
    return difference


def _by_probe(loaded: LoadedModel, given: ProbeFile, forced: str | None) -> _Measures:
    found = measure_vectors(loaded.model, given.probe.vector)
    about = {
        "file": given.file.name,
        "after_norm": given.probe.after_norm,
        "about": given.probe.about,
        **({"forced": forced} if forced else {}),
    }
    counts = {
        "value_vectors": int(found.norms.size),
        "zero_vectors": found.n_zero,
        "post_norm": architecture_of(loaded.model).post_norm,
    }
    return _Measures({"cosine": found.cosines, "norm": found.norms}, {"probe": about, **counts})


def _by_data(loaded: LoadedModel, given: TextFiles) -> _Measures:
    toxic = [each.toxic for each in given.texts]
    found = measure_detectors(loaded, [each.text for each in given.texts], toxic)
    about = {
        "files": list(given.names),
        "n_toxic": sum(toxic),
        "n_other": len(toxic) - sum(toxic),
        "sha256": content_sha256((each.id, each.text) for each in given.texts),
        "tokens": LONGEST,
        "pooling": "max",
        "above_half": int((found.aurocs > CHANCE).sum()),
        "auroc_of_length": found.length,
    }
    return _Measures({"auroc": found.aurocs}, {"data": about})


def _activations(
    loaded: LoadedModel, ids: Sequence[NeuronId], chosen: PromptSet, new_tokens: int
) -> list[float]:
    texts = [prompt.text for prompt in chosen.prompts]
    found: list[float] = mean_activations(loaded, ids, texts, new_tokens).mean(0, float).tolist()
    return found


def _found(
    ids: Sequence[NeuronId], measures: Mapping[str, Sequence[float]]
) -> tuple[FoundNeuron, ...]:
    found = []
    for place, each in enumerate(ids):
        # A value vector of length 0 has no cosine.
        own = {name: column[place] for name, column in measures.items()}
        known = {name: value for name, value in own.items() if np.isfinite(value)}
        source = own["activation"] > 0 if "activation" in own else None
        found.append(FoundNeuron(each, known, source))
    return tuple(found)
