"""TRL's `DPOTrainer` with our pairs, cached reference, a check of the first step, and safe files.

TRL does the training. What is overridden here, and why:

- ``_prepare_dataset``: our pairs are tokens already, cut and counted (``trainers.tokens``).
- ``_precompute_ref_logps``: kept on disk between runs (``trainers.reference``).
- ``_compute_loss``: the first one must be that of policy = reference; one that is not finite stops.
- ``compute_ref_log_probs``, ``_compute_loss``: on the CPU, too, the head sees continuations only.
- ``_save_checkpoint``: a checkpoint that could not be written whole does not stay.
"""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import DPOTrainer
from trl.models import prepare_deepspeed
from trl.trainer import utils as trl_utils

from detox_bench.errors import BadRunFolder, DetoxBenchError
from detox_bench.trainers.reference import ReferenceCache, ReferenceLogProbabilities

#: How far the policy may be from the reference before it has been trained, in nats a token: what
#: batches of other shapes make of rounding, with room.
_NEAR = {torch.float32: 1e-4, torch.float64: 1e-6}
_NEAR_LOW_PRECISION = 0.05
NAN_BATCH = "nan_batch.json"


class ReferenceSource(NamedTuple):
    """Where reference log-probabilities are kept, and what they depend on beside the ids."""

    cache: ReferenceCache
    key: dict[str, object]


class FirstStep(NamedTuple):
    """What the first loss was: of policy = reference, sigmoid loss is log 2 and margins are 0."""

    loss: float
    margin: float
    nats_a_token: float

    def as_json(self) -> dict[str, float]:
        """Return the three numbers, and the sigmoid loss that is expected."""
        return {**self._asdict(), "expected_sigmoid_loss": math.log(2)}


class DetoxDPOTrainer(DPOTrainer):  # type: ignore[misc]
    """`DPOTrainer` for pairs that are token ids already (``tokens.TokenPair.as_row``)."""

    def __init__(
        self,
        *args: Any,
        reference: ReferenceSource,
        on_first_step: Callable[[FirstStep], None] | None = None,
        **kwargs: Any,
    ) -> None:
        """Build a `DPOTrainer`; ``reference`` serves ``precompute_ref_log_probs``.

        ``on_first_step`` is called with what the first loss was, on the first process.
        """
        self._reference = reference
        self._on_first_step = on_first_step
        self.reference_was_cached: dict[str, bool] = {}
        self.first_step: FirstStep | None = None
        super().__init__(*args, **kwargs)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        key = {**self._reference.key, "ids": _ids_digest(dataset), "ld_alpha": self.ld_alpha}
        found = [self._reference.cache.get(key, len(dataset))]
        broadcast_object_list(found)  # machines may not share a disk
        values = found[0]
        self.reference_was_cached[name] = values is not None
        if values is None:
            values = self._reference_log_probabilities(dataset, name, batch_size)
            if self.accelerator.is_main_process:
                self._reference.cache.put(key, values)
        columns = {"ref_chosen_logps": values.chosen, "ref_rejected_logps": values.rejected}
        for column, numbers in columns.items():
            dataset = dataset.add_column(column, numbers.tolist())
        return dataset

    def _reference_log_probabilities(
        self, dataset: Any, name: str, batch_size: int
    ) -> ReferenceLogProbabilities:
        """Return those of every pair; pairs of like length go together, so little is padded."""
        order = np.argsort([-_longest(row) for row in dataset], kind="stable")
        loader = self.accelerator.prepare(
            DataLoader(dataset.select(order), batch_size, collate_fn=self.data_collator)
        )
        model = self._reference_model()
        chief = self.accelerator.is_main_process
        found = []
        for batch in tqdm(loader, f"Reference of {name} pairs", disable=not chief):
            values = self.compute_ref_log_probs(model, batch)
            gathered = self.accelerator.gather_for_metrics(values)
            found.append([each.float().cpu().numpy() for each in gathered])
        back = np.argsort(order)
        chosen, rejected = (np.concatenate(side)[back] for side in zip(*found, strict=True))
        return ReferenceLogProbabilities(chosen, rejected)

    def _reference_model(self) -> Any:
        """Return what gives the reference before training, as TRL has it."""
        if self.ref_model is not None or not self.is_deepspeed_enabled:
            return self.ref_model or self.model
        return prepare_deepspeed(self.model, self.accelerator)

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        """Return TRL's result."""
        with _head_over_continuations():
            return super().compute_ref_log_probs(model, inputs)

    def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
        with _head_over_continuations():
            result = super()._compute_loss(model, inputs, return_outputs)
        loss = (result[0] if return_outputs else result).detach()
        if not bool(torch.isfinite(loss)):
            self._stop_on_nan(inputs, float(loss))
        if self.first_step is None and self.model.training and self.state.global_step == 0:
            self._note_first_step(self._check_first_step(float(loss), inputs))
        return result

    def _note_first_step(self, found: FirstStep) -> None:
        self.first_step = found
        if self.accelerator.is_main_process and self._on_first_step is not None:
            self._on_first_step(found)

    def _check_first_step(self, loss: float, inputs: Any) -> FirstStep:
        metrics = self._metrics["train"]
        margin = metrics["rewards/margins"][-1]
        rewards = max(abs(metrics[f"rewards/{side}"][-1]) for side in ("chosen", "rejected"))
        tokens = float(inputs["completion_mask"].sum()) / len(inputs["input_ids"])
        found = FirstStep(loss, margin, rewards / self.beta / tokens)
        near = _NEAR.get(self.model.dtype, _NEAR_LOW_PRECISION)
        if self.args.bf16 or self.args.fp16:
            near = _NEAR_LOW_PRECISION
        if found.nats_a_token > near and self.args.disable_dropout:
            raise DetoxBenchError(
                f"Before the first step the policy is {found.nats_a_token:.2g} nats a token away "
                f"from its reference; it should be the same model (at most {near:g}). The "
                "reference is of other weights: give --reference_cache none, or another base model."
            )
        return found

    def _stop_on_nan(self, inputs: Any, loss: float) -> None:
        rank = self.accelerator.process_index
        file = Path(self.args.output_dir) / (NAN_BATCH if rank == 0 else f"{rank}-{NAN_BATCH}")
        ids = [row[mask.bool()].tolist() for row, mask in _rows(inputs)]
        content = {"step": self.state.global_step, "loss": str(loss), "input_ids": ids}
        file.write_text(json.dumps(content), "utf-8")
        raise DetoxBenchError(
            f"The loss is {loss} after step {self.state.global_step}. The token ids of the batch "
            f"(chosen first, then rejected) are in {file}. A lower learning rate, or float32 "
            "instead of half precision, is the usual cure."
        )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model, provided that its weights are numbers. Raises ``DetoxBenchError``."""
        wrong = [
            name
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad and not _finite(parameter.detach())
        ]
        if wrong:
            raise DetoxBenchError(
                f"After step {self.state.global_step} {len(wrong)} of the trained parameters hold "
                f"inf or nan, as {wrong[0]}. They are not written; a checkpoint before is whole. A "
                "lower learning rate is the usual cure."
            )
        super().save_model(output_dir, _internal_call)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, SafetensorError, RuntimeError) as error:
            folder = Path(self.args.output_dir)
            broken = folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            shutil.rmtree(broken, ignore_errors=True)
            raise BadRunFolder(
                f"The checkpoint of step {self.state.global_step} could not be written to "
                f"{folder}: {error}. It was removed; the one before it is whole. Make room and "
                "give the same command again."
            ) from error


@contextmanager
def _head_over_continuations() -> Iterator[None]:
    """Let TRL leave prompts and padding out before the head, as it does on a GPU.

    It asks ``trl.trainer.utils._use_triton`` for nothing else: elsewhere, shapes that change would
    make some devices compile anew. The CPU does not, and the head is most of a small model's work.
    """
    asked = trl_utils._use_triton
    trl_utils._use_triton = lambda device: device.type == "cpu" or asked(device)
    try:
        yield
    finally:
        trl_utils._use_triton = asked


def _finite(tensor: Any) -> bool:
    """Return whether all of a tensor, or of this process's part of it, is finite."""
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return bool(torch.isfinite(local).all())


def _rows(inputs: Any) -> Any:
    return zip(inputs["input_ids"].cpu(), inputs["attention_mask"].cpu(), strict=True)


def _longest(row: Any) -> int:
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))


def _ids_digest(dataset: Any) -> str:
    from detox_bench.runs import digest

    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    return digest([[row[column] for column in columns] for row in dataset])
