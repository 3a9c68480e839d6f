"""What a watch needs of a trainer: its reference model, its log, its place on the terminal."""

import logging
from collections.abc import Callable
from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer

from detox_bench.errors import DetoxBenchError
from detox_bench.trainers.watch_measure import Reference
from detox_bench.trainers.watch_quiet import adapted, loaded_once, without_adapter
from detox_bench.trainers.watch_records import WatchOptions

logger = logging.getLogger(__name__)


def reference_of(
    trainer: Trainer, options: WatchOptions, load: Callable[[], Any] | None
) -> Reference | None:
    """Return what perplexity is measured by, None where there is nothing."""
    if not options.perplexity:
        return None
    model = trainer.accelerator.unwrap_model(trainer.model)
    if adapted(model):
        return without_adapter(model)
    held = getattr(trainer, "ref_model", None)
    if held is not None and not getattr(trainer.args, "sync_ref_model", False):
        return loaded_once(lambda: trainer.accelerator.unwrap_model(held), model)
    if load is not None:
        return loaded_once(load, model)
    if options.perplexity_budget is not None:
        raise DetoxBenchError(
            "A perplexity budget needs a reference model, and this training holds none. Give "
            "load_reference, which loads the model that training starts from."
        )
    logger.warning("The watch measures no perplexity: it was given no reference model.")
    return None


def refuse_sharded(trainer: Trainer) -> None:
    """Raise ``DetoxBenchError`` if no process holds the whole model."""
    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    sharded = {
        "FSDP": bool(trainer.is_fsdp_enabled),
        "DeepSpeed ZeRO-3": trainer.is_deepspeed_enabled and getattr(plugin, "zero_stage", 0) == 3,
    }
    for name, found in sharded.items():
        if found:
            raise DetoxBenchError(
                f"Toxicity cannot be watched while {name} spreads the model over processes: no "
                "process holds all of it to sample from. Turn the watch off (every 0), or train "
                "with DDP."
            )


def make_room_on_the_terminal(trainer: Trainer) -> None:
    """Let the trainer's own lines go through ``print``, above the table, without its bar."""
    if trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(PrinterCallback)


def log_beside(trainer: Trainer, readings: dict[str, float]) -> None:
    """Give ``readings`` to the trackers of ``report_to`` and to the trainer's history.

    This is ``Trainer.log`` of transformers, not that of TRL's trainers, which also logs, and so
    empties, the means that they gather for their own next line. Callbacks that print what is
    logged are left out of it, since the readings are shown already; and a line that the trainer
    was about to log at this step is still logged, which transformers takes for done.
    """
    handler, due = trainer.callback_handler, trainer.control.should_log
    callbacks = handler.callbacks
    handler.callbacks = [
        each for each in callbacks if not isinstance(each, ProgressCallback | PrinterCallback)
    ]
    try:
        Trainer.log(trainer, readings)
    finally:
        handler.callbacks = callbacks
        trainer.control.should_log = due
