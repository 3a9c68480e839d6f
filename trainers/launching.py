"""How many processes there are, and a word where a launcher started fewer than it was asked for."""

import logging
import os

logger = logging.getLogger(__name__)


def is_main_process() -> bool:
    """Return whether this is the process that talks to the user."""
    return int(os.environ.get("RANK", "0")) == 0


def warn_if_alone() -> None:
    """Say so where ``accelerate launch --cpu --num_processes N`` started one process.

    It sets an address to meet at and no rank: on the CPU it leaves the starting to MPI.
    """
    if "MASTER_ADDR" in os.environ and "RANK" not in os.environ and not _from_mpi():
        logger.warning(
            "This process was to be one of several and is alone: accelerate starts several CPU "
            "processes only by MPI. Use `accelerate launch --config_file $(detox-bench train-dpo "
            "--launcher cpu) --num_processes 2 -m detox_bench train-dpo ...` instead."
        )


def _from_mpi() -> bool:
    return any(
        name in os.environ for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
    )
