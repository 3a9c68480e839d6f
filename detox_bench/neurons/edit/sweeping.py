"""A sweep: the same prompts continued under edits of growing strength, and under controls.

Each setting is a run folder of its own, ``run/<key>/<setting>`` below the sweep's, where the key
stands for prompts and sampling: what is there is not made again, nothing else is mixed in, and a
process that is killed loses the batch it was at.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from detox_bench.continuations import Wish, continue_prompts
from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.loading import LoadedModel
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.neurons.edit.editing import edited
from detox_bench.neurons.edit.interventions import BaseModel, Intervention
from detox_bench.neurons.edit.making import Chosen, Edit, made
from detox_bench.neurons.edit.operators import Affine
from detox_bench.runs import digest
from detox_bench.types import Prompt

BASE = "base"
INTERVENTION = "intervention.json"
_UNCHANGED = Affine(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What is swept: every value with every set of neurons, each with its control if one is named.

    Without ``values`` the operator takes what was measured of each neuron (AurA).
    """

    operator: str
    values: tuple[float, ...] = ()
    positions: str = "all"
    control: str | None = "random"
    seed: int = 0
    samples: int = 25
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    batch_size: int = 256


class Setting(NamedTuple):
    """One point: neurons ``take``n, the ``value``, and the rule they were picked by if a control.

    ``intervention`` is None for the base model.
    """

    name: str
    take: str = ""
    value: float | None = None
    control: str | None = None
    intervention: Intervention | None = None


def settings(
    sets: Mapping[str, Chosen], plan: SweepPlan, base_model: BaseModel, loaded: LoadedModel
) -> list[Setting]:
    """Return the base and then every point; edits that change nothing are left out.

    ``sets`` gives the neurons by what was asked for (``sources``, ``36``).
    """
    found = [Setting(BASE)]
    for take, chosen in sets.items():
        for value in dict.fromkeys(plan.values) or (None,):
            for name in dict.fromkeys((None, plan.control)):
                edit = Edit(plan.operator, value, plan.positions, name, plan.seed)
                point = made(chosen, edit, base_model, loaded.model)
                if _changes(point):
                    found.append(Setting(_name(take, edit), take, value, name, point))
    if len(found) == 1:
        raise DetoxBenchError("No value of the sweep changes anything. Give others: --values.")
    return found


def sweep(
    loaded: LoadedModel,
    points: Sequence[Setting],
    prompts: Sequence[Prompt],
    plan: SweepPlan,
    folder: Path,
) -> Iterator[tuple[Setting, Path]]:
    """Continue ``prompts`` at every point; yield each with its run folder as it is done.

    Raises ``BadRunFolder`` where a folder holds the texts of another model, edit or seed.
    """
    asked = [[each.id, each.language, each.text] for each in prompts]
    key = digest([asdict(plan.sampling), plan.samples, asked])[:8]
    for point in points:
        run = folder / "run" / key / point.name
        edit = point.intervention
        also = {"intervention": edit.sha256} if edit else {}
        wish = Wish(plan.samples, plan.sampling, run, plan.batch_size, also)
        # One that is there is of the texts that are there: the run refuses another.
        if edit and not (run / INTERVENTION).exists():
            edit.write(run / INTERVENTION)
        with edited(loaded.model, edit) if edit else nullcontext():
            continue_prompts(loaded, prompts, wish)
        yield point, run


def _changes(point: Intervention) -> bool:
    return any(each != _UNCHANGED for edits in point.by_layer().values() for _, each in edits)


def _name(take: str, edit: Edit) -> str:
    parts = [edit.operator, take, "" if edit.value is None else f"{edit.value:g}"]
    parts += [edit.control, str(edit.seed)] if edit.control else []
    return "_".join(filter(None, parts))
