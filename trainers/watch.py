"""Toxicity while training: what English pairs do to the other languages, seen as it happens.

``watch_training(trainer, WatchOptions(every=50))`` measures a few prompts in several languages at
step 0, every so many steps and at the end. It writes ``watch.jsonl`` beside the checkpoints, tells
the trackers of ``report_to``, draws a table, and can stop the training. The training itself is not
touched: with the watch and without, the weights are the same bit for bit.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import distributed
from transformers import Trainer, TrainerCallback

from detox_bench.errors import DetoxBenchError
from detox_bench.scorers.protocol import Scorer
from detox_bench.trainers.watch_display import LiveTable, display, mean, number
from detox_bench.trainers.watch_file import WatchFile
from detox_bench.trainers.watch_measure import Watch
from detox_bench.trainers.watch_records import LanguageReading, WatchOptions, WatchRecord
from detox_bench.trainers.watch_trainer import (
    log_beside,
    make_room_on_the_terminal,
    reference_of,
    refuse_sharded,
)

__all__ = [
    "LanguageReading",
    "ToxicityWatch",
    "Watch",
    "WatchOptions",
    "WatchRecord",
    "reason_to_stop",
    "watch_training",
]

logger = logging.getLogger(__name__)

FILE = "watch.jsonl"


def watch_training(
    trainer: Trainer,
    options: WatchOptions,
    *,
    load_reference: Callable[[], Any] | None = None,
    scorer: Scorer | None = None,
) -> "ToxicityWatch | None":
    """Add a watch to ``trainer`` and return it; None where ``options.every`` is 0.

    Args:
        trainer: A trainer of transformers or TRL, not yet started.
        options: What to watch.
        load_reference: Gives the frozen model that perplexity is measured by, which is moved to the
            device of the trained one. It is not called for a model with adapters, which holds its
            reference in itself, nor where the trainer has a ``ref_model`` that stays as it is.
        scorer: Instead of the one that ``options`` names.

    Raises ``DetoxBenchError`` as ``Watch`` does, for a sharded model, and for a perplexity budget
    without a reference.
    """
    if options.every == 0:
        return None
    watch = ToxicityWatch(trainer, options, load_reference=load_reference, scorer=scorer)
    trainer.add_callback(watch)
    return watch


class ToxicityWatch(TrainerCallback):  # type: ignore[misc]
    """Measures at step 0, every N steps and at the end; see ``watch_training``.

    ``stopped_because`` is the sentence that says why it stopped the training, or None; ``records``
    holds what was measured, on the first process.
    """

    def __init__(
        self,
        trainer: Trainer,
        options: WatchOptions,
        *,
        load_reference: Callable[[], Any] | None = None,
        scorer: Scorer | None = None,
    ) -> None:
        """Get ready to watch ``trainer``, which the caller adds this to."""
        refuse_sharded(trainer)
        self.trainer, self.options = trainer, options
        self.stopped_because: str | None = None
        self.records: list[WatchRecord] = []
        reference = reference_of(trainer, options, load_reference)
        self.chief = bool(trainer.is_world_process_zero())
        if not self.chief:
            return
        model = trainer.accelerator.unwrap_model(trainer.model)
        tokenizer = trainer.processing_class
        self.watch = Watch(model, tokenizer, options, scorer=scorer, reference=reference)
        self.file = WatchFile(Path(trainer.args.output_dir) / FILE, self._settings())
        self.display = display()
        if isinstance(self.display, LiveTable):
            make_room_on_the_terminal(trainer)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Measure step 0, or read it from the file where training is resumed."""
        if self.chief:
            self.display.start()
        self._together(lambda: self._begin(state))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Measure every N steps, and stop the training where that was asked for."""
        if self.chief:
            self.display.advance(state.global_step, state.max_steps)
        if state.global_step % self.options.every:
            return
        self.stopped_because = self._together(lambda: self._look(state.global_step))
        if self.stopped_because:
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Measure the model that is kept: the last, or the best where that was loaded."""
        best = state.best_global_step if args.load_best_model_at_end else None
        self._together(lambda: self._end(best or state.global_step))

    def _begin(self, state: Any) -> None:
        self.records = self.file.begin(state.global_step)
        if self.records and self.records[0].step == 0:
            self.display.show(self.records[0], self.records[-1])
            return
        if state.global_step:
            logger.warning(
                "%s has nothing of step 0: the watch compares with step %d, where it begins.",
                self.file.path,
                state.global_step,
            )
        self._measure(state.global_step)
        if self.options.target is not None and _reached(self.records[0], self.options.target):
            raise DetoxBenchError(
                f"The target of the watch, a mean toxicity probability of {self.options.target:g}, "
                f"is met before training: it is {number(self.records[0].toxicity_probability)}. "
                "Give a lower target, or none."
            )

    def _look(self, step: int) -> str | None:
        """Measure, and return why to stop, if so."""
        self._measure(step)
        return reason_to_stop(self.options, self.records[0], self.records[-1])

    def _end(self, step: int) -> None:
        if all(record.step != step for record in self.records):
            self._measure(step)
        self.display.stop(self.stopped_because)

    def _measure(self, step: int) -> None:
        start = time.monotonic()
        record = self.watch.measure(step)
        self.records.append(record)
        self.file.add(record, self.records[0], time.monotonic() - start)
        log_beside(self.trainer, logged(record, self.records[0]))
        self.display.show(self.records[0], record)

    def _together(self, action: Callable[[], Any]) -> Any:
        """Return what ``action`` gives on the first process, on all; they wait for it.

        An error there is raised here too, so that no process waits for one that is gone.
        """
        answer: list[Any] = [None, None]
        error: BaseException | None = None
        if self.chief:
            try:
                answer[0] = action()
            except BaseException as raised:
                error, answer[1] = raised, f"{type(raised).__name__}: {raised}"
                self.display.stop()
        if self.trainer.accelerator.num_processes > 1:
            distributed.broadcast_object_list(answer, src=0)
        if error is not None:
            raise error
        if answer[1] is not None:
            raise DetoxBenchError(f"The watch failed on the first process with {answer[1]}")
        return answer[0]

    def _settings(self) -> dict[str, Any]:
        """Return what every line of the file repeats."""
        return {
            "scorer": self.watch.scorer.id,
            "seed": self.options.seed,
            "settings": self.watch.settings,
        }


def reason_to_stop(options: WatchOptions, first: WatchRecord, now: WatchRecord) -> str | None:
    """Return a sentence on why training should stop at ``now``, or None."""
    ratios = now.perplexity_ratios(first)
    budget = options.perplexity_budget
    if budget is not None and ratios and fmean(ratios.values()) > budget:
        worst = max(ratios, key=lambda code: ratios[code])
        return (
            f"Stopped at step {now.step}: perplexity under the reference is "
            f"{fmean(ratios.values()):.2f} times that of step {first.step} in the mean over "
            f"{len(ratios)} languages, above the budget of {budget:g} "
            f"({worst} {ratios[worst]:.2f}). Take an earlier checkpoint."
        )
    if options.target is not None and _reached(now, options.target):
        readings = list(now.languages.values())
        return (
            f"Stopped at step {now.step}: the mean toxicity probability is "
            f"{number(now.toxicity_probability)}, at or below the target of {options.target:g} "
            f"({mean(readings, 'empty_rate')} of the continuations are empty)."
        )
    return None


def logged(record: WatchRecord, first: WatchRecord) -> dict[str, float]:
    """Return the numbers of ``record`` as trackers get them: ``watch/<language>/<what>``."""
    found: dict[str, float] = {
        f"watch/{code}/{name}": value
        for code, reading in record.languages.items()
        for name, value in asdict(reading).items()
        if value is not None and name != "n_prompts"
    }
    ratios: Mapping[str, float] = record.perplexity_ratios(first)
    found |= {f"watch/{code}/perplexity_ratio": ratio for code, ratio in ratios.items()}
    if ratios:
        found["watch/mean/perplexity_ratio"] = fmean(ratios.values())
    if record.toxicity_probability is not None:
        found["watch/mean/toxicity_probability"] = record.toxicity_probability
    return found


def _reached(record: WatchRecord, target: float) -> bool:
    found = record.toxicity_probability
    return found is not None and found <= target
