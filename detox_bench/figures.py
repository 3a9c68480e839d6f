"""Figures as files: which kinds there are, and that the same figure is the same file."""

from pathlib import Path
from typing import Any

from detox_bench.errors import DetoxBenchError, missing_extra

FORMATS = (".svg", ".png")


def check_figure(file: Path) -> None:
    """Raise where the figure could not be drawn, before anything is measured for it."""
    if file.suffix.lower() not in FORMATS:
        raise DetoxBenchError(f"{file} is no figure. Name a file ending in {' or '.join(FORMATS)}.")
    figure_class()


def figure_class() -> Any:
    """Return matplotlib's ``Figure``; raises ``MissingExtra`` where that is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("A figure", "figures") from error
    return Figure


def save_figure(figure: Any, file: Path) -> None:
    """Write the figure; the same figure is the same file, byte for byte."""
    from matplotlib import rc_context

    about = {"Date": None} if file.suffix.lower() == ".svg" else {}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": "detox-bench"}):
            figure.savefig(file, dpi=150, metadata=about)
    except OSError as error:
        raise DetoxBenchError(f"Cannot write {file}: {error.strerror or error}.") from error
