"""How a training run is told in the terminal: a bar, and one short line at each log."""

from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer

#: What a line shows of the numbers that TRL logs, by the name it is shown under.
_SHOWN = {
    "loss": "loss",
    "validation loss": "eval_loss",
    "margin": "rewards/margins",
    "right": "rewards/accuracies",
    "validation margin": "eval_rewards/margins",
    "gradient": "grad_norm",
}


class Bar(ProgressCallback):  # type: ignore[misc]
    """transformers' bar, with a line instead of a dictionary."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Write the line above the bar."""
        line = line_of(state, logs or {})
        if state.is_world_process_zero and self.training_bar is not None and line:
            self.training_bar.write(line)


class Lines(PrinterCallback):  # type: ignore[misc]
    """The line alone, where no bar is wanted."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Print the line."""
        line = line_of(state, logs or {})
        if state.is_local_process_zero and line:
            print(line)  # noqa: T201


def line_of(state: Any, logs: dict[str, Any]) -> str:
    """Return what is worth saying of ``logs``, or nothing."""
    found = [f"{name} {float(logs[key]):.4g}" for name, key in _SHOWN.items() if key in logs]
    return f"step {state.global_step}/{state.max_steps}: {', '.join(found)}" if found else ""


def tell_briefly(trainer: Trainer) -> None:
    """Exchange the callback that shows progress for ours."""
    for theirs, ours in ((ProgressCallback, Bar), (PrinterCallback, Lines)):
        if trainer.pop_callback(theirs) is not None:
            trainer.add_callback(ours)
