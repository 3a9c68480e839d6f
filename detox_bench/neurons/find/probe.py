"""A linear probe for toxicity: a direction of the last layer's states, and how well it tells.

The probe of arXiv 2406.16235, section 5: sigmoid(state · vector) without a bias, the state being
the mean over a text's tokens. The paper splits its texts 90/10 and takes the best epoch on the very
part it reports; here they are split 80/10/10, and what is reported is seen by no choice.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detox_bench.data.labelled import LabelledText, hash_fraction
from detox_bench.errors import BadData
from detox_bench.modeling.hidden_states import StateSettings
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.neurons.find.probe_files import RECORD, Probe, read_probe, write_probe
from detox_bench.neurons.find.probe_states import StoredStates, stored_states
from detox_bench.neurons.find.probe_training import PRESETS, Fit, FitSettings, Rows, fit
from detox_bench.runs import digest
from detox_bench.statistics import Interval, auroc

logger = logging.getLogger(__name__)

#: Where each part ends, on the scale of the hash of a text's id.
PARTS = {"train": 0.8, "validation": 0.9, "test": 1.0}
_RESAMPLES = 1000
_RARE = 0.05  # a class of a smaller share is worth a word
_SETTLED = 0.01  # nats; a validation loss below it leaves nothing to gain


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How a probe is made: which states, and how it is fitted to them."""

    states: StateSettings = field(default_factory=StateSettings)
    fit: FitSettings = field(default_factory=lambda: PRESETS["tuned"])


class PartMetrics(NamedTuple):
    """How well a probe tells the ``toxic`` ones among the ``n`` texts of a part.

    ``accuracy`` is that of probability 1/2, ``majority`` that of always saying the larger class.
    ``auc`` is None where there is one class only, its bounds where they were not asked for.
    """

    n: int
    toxic: int
    accuracy: float | None
    majority: float | None
    auc: float | None
    auc_low: float | None = None
    auc_high: float | None = None


def make_probe(
    loaded: LoadedModel,
    texts: Sequence[LabelledText],
    settings: ProbeSettings,
    folder: Path,
    sources: Sequence[str] = (),
) -> Probe:
    """Fit a probe to a model, write it into ``folder``, and return it.

    The hidden states are kept in ``folder`` too: the same command takes them from there, and one
    that was interrupted goes on. ``sources`` are names for the record. The probe's ``about`` holds
    ``settings``, ``data``, ``parts`` (``PartMetrics`` by name), ``fit`` and ``doubts``. A probe of
    another model or other texts that is there is replaced, which the log tells before the work: its
    own command makes it again in no time, as the states it was fitted to stay.

    Raises:
        BadData: where the training part lacks a class, or the validation part is empty.
        BadRunFolder: where ``folder`` cannot be written, or another process writes to it.
    """
    model = base_model_of(loaded.model, loaded.name)
    _tell_replaced(folder, model, texts)
    contents = [each.text for each in texts]
    stored = stored_states(folder, loaded, model.fingerprint, contents, settings.states)
    parts = split(texts, stored)
    fitted = fit(parts["train"], parts["validation"], settings.fit)
    metrics = {name: _measure(rows, fitted.vector, name) for name, rows in parts.items()}
    about = {
        "settings": asdict(settings) | {"parts": PARTS},
        "data": _data(texts, stored, sources),
        "parts": {name: found._asdict() for name, found in metrics.items()},
        "fit": _fit_json(fitted),
        "doubts": [*_data_doubts(texts), *_fit_doubts(fitted, metrics["test"])],
    }
    probe = Probe(fitted.vector, settings.states.after_norm, model, about)
    write_probe(folder, probe)
    return probe


def _tell_replaced(folder: Path, model: BaseModel, texts: Sequence[LabelledText]) -> None:
    """Log that a probe which is not of ``model`` and ``texts`` is going to be replaced."""
    if not (folder / RECORD).exists():
        return
    try:
        old = read_probe(folder)
        same_model = old.base_model is not None and old.base_model.difference(model) is None
        same_texts = old.about["data"]["sha256"] == _sha256(texts)
    except (BadData, KeyError, TypeError):
        same_model = same_texts = False
    if not (same_model and same_texts):
        logger.warning(
            "The probe in %s is of another model or other texts. It will be replaced.", folder
        )


def _sha256(texts: Sequence[LabelledText]) -> str:
    return digest([[each.id, each.text, each.toxic] for each in texts])


def part_of(id_: str) -> str:
    """Return the part that a text belongs to: equal ids, and equal texts without one, go as one."""
    place = hash_fraction("part", id_)
    return next(name for name, end in PARTS.items() if place < end)


def split(texts: Sequence[LabelledText], stored: StoredStates) -> dict[str, Rows]:
    """Return the rows of each part, those of texts without a state left out.

    Raises ``BadData`` where training has one class only, or validation nothing.
    """
    names = np.array([part_of(texts[n].id) for n in stored.texts])
    toxic = np.array([texts[n].toxic for n in stored.texts], dtype=bool)
    parts = {
        name: Rows(stored.rows, stored.places[names == name], toxic[names == name])
        for name in PARTS
    }
    train, validation = parts["train"], parts["validation"]
    if not len(validation.places) or len(set(train.toxic.tolist())) < 2:
        raise BadData(
            f"{len(texts)} texts make a training part with {int(train.toxic.sum())} toxic and "
            f"{int((~train.toxic).sum())} other texts, and {len(validation.places)} texts to "
            "validate on. Give more texts."
        )
    return parts


def auc_interval(
    products: NDArray[np.float32], toxic: NDArray[np.bool_], resamples: int = _RESAMPLES
) -> Interval:
    """Return the AUC of ``(n,)`` products with its 95 % bootstrap interval over texts.

    Draws of one class only are not counted; NaN where the texts themselves are.
    """
    random, n = np.random.default_rng(0), len(toxic)
    draws = np.array([_auc(products[i], toxic[i]) for i in random.integers(0, n, (resamples, n))])
    known = draws[~np.isnan(draws)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return Interval(_auc(products, toxic), float(low), float(high))


def _auc(products: NDArray[np.float32], toxic: NDArray[np.bool_]) -> float:
    return float(auroc(products[toxic][:, None], products[~toxic][:, None])[0])


def _measure(rows: Rows, vector: NDArray[np.float32], part: str) -> PartMetrics:
    n, toxic = len(rows.toxic), int(rows.toxic.sum())
    if not n:
        return PartMetrics(0, 0, None, None, None)
    products = rows.products(vector)
    accuracy = float(((products > 0) == rows.toxic).mean())
    majority = max(toxic, n - toxic) / n
    if toxic in (0, n):
        return PartMetrics(n, toxic, accuracy, majority, None)
    if part != "test":
        return PartMetrics(n, toxic, accuracy, majority, _auc(products, rows.toxic))
    return PartMetrics(n, toxic, accuracy, majority, *auc_interval(products, rows.toxic))


def _data(
    texts: Sequence[LabelledText], stored: StoredStates, sources: Sequence[str]
) -> dict[str, Any]:
    return {
        "files": list(sources),
        "sha256": _sha256(texts),
        "texts": len(texts),
        "toxic": sum(each.toxic for each in texts),
        "without_tokens": len(texts) - len(stored.texts),
    }


def _fit_json(fitted: Fit) -> dict[str, Any]:
    return {
        "learning_rate": fitted.rate,
        "epoch": fitted.epoch,
        "validation_loss": fitted.validation_loss,
        "validation_loss_by_rate": {f"{k:g}": v for k, v in fitted.best_losses.items()},
        "curve": [each._asdict() for each in fitted.curve],
    }


def _data_doubts(texts: Sequence[LabelledText]) -> list[str]:
    """Return sentences on rare classes, and on texts that are in two parts under two ids."""
    found = []
    toxic = sum(each.toxic for each in texts) / len(texts)
    for share, name in ((toxic, "toxic"), (1 - toxic, "not toxic")):
        if share < _RARE:
            found.append(
                f"Only {share:.1%} of the texts are {name}: accuracy says little, go by the AUC."
            )
    parts: dict[str, set[str]] = {}
    for each in texts:
        parts.setdefault(each.text, set()).add(part_of(each.id))
    if several := sum(len(names) > 1 for names in parts.values()):
        found.append(
            f"{several} texts are in more than one part, under several ids: the test part is in "
            "part known from training."
        )
    return found


def _fit_doubts(fitted: Fit, test: PartMetrics) -> list[str]:
    found = []
    if fitted.epoch == len(fitted.curve) and fitted.validation_loss > _SETTLED:
        found.append(
            f"The best epoch is the last ({fitted.epoch}): the probe had not settled. Give more "
            "epochs or a higher learning rate."
        )
    if test.auc is None:
        found.append("The test part has one class only, and no AUC. Give more texts.")
    elif test.auc_low is not None and test.auc_low <= 0.5:
        found.append("The interval of the test AUC reaches 0.5: the probe may tell nothing.")
    return found


def metrics_of(about: Mapping[str, Any]) -> dict[str, PartMetrics]:
    """Return the metrics of each part out of what a probe says of itself."""
    return {name: PartMetrics(**found) for name, found in about["parts"].items()}
