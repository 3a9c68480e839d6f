"""One store scored by several processes: each takes every n-th block, the first writes the file.

For ``accelerate launch -m detox_bench score ...`` and ``torchrun -m detox_bench score ...``, which
set ``RANK`` and ``WORLD_SIZE``. The processes share the folder that is written to; on one machine
they share the score cache too, so that what was stopped goes on. On CUDA each takes its own device.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import DetoxBenchError
from detox_bench.metrics import Scores
from detox_bench.rescoring import PromptScores, Way, blocks, file_name, score_block
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.protocol import Scorer
from detox_bench.stored_texts import read_samples

#: The first process waits so long for the slowest; the launcher stops all when one fails.
_LONGEST = timedelta(days=7)


class Processes(NamedTuple):
    """Which process this is, of how many."""

    rank: int
    total: int


def launched() -> Processes:
    """Return what the launcher said in the environment; one process where there was none.

    Raises ``DetoxBenchError`` for variables that are no process of so many.
    """
    rank, total = (os.environ.get(name, str(n)) for n, name in enumerate(("RANK", "WORLD_SIZE")))
    if not (rank.isdecimal() and total.isdecimal() and int(rank) < int(total)):
        raise DetoxBenchError(
            f"RANK={rank} and WORLD_SIZE={total} are no process of so many. Unset both, or start "
            "with accelerate launch."
        )
    return Processes(int(rank), int(total))


@contextmanager
def joined(processes: Processes) -> Iterator[None]:
    """Join the group of processes, on this process's own CUDA device, and leave it after."""
    if processes.total == 1:
        yield
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", processes.rank))
        torch.cuda.set_device(local % torch.cuda.device_count())
    distributed.init_process_group("gloo", timeout=_LONGEST)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def score_share(store: Path, scorer: Scorer, folder: Path, processes: Processes) -> None:
    """Score this process's blocks for the first process, which is at ``score_together``."""
    _wait()
    _write_part(store, scorer, _part(folder, scorer, processes.rank), processes)
    _wait()


def score_together(folder: Path, processes: Processes) -> Way:
    """Return the way of the first process: its own share, then all parts in the store's order."""

    def way(store: Path, scorer: Scorer) -> Iterator[PromptScores]:
        parts = [_part(folder, scorer, rank) for rank in range(processes.total)]
        _wait()  # nobody writes before this process has the right to
        try:
            _write_part(store, scorer, parts[processes.rank], processes)
            _wait()
            yield from _merged(store, parts)
        finally:
            for part in parts:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    return way


def _write_part(store: Path, scorer: Scorer, part: Path, processes: Processes) -> None:
    """Write a line for each of this process's blocks: the scores of its prompts."""
    try:
        with ScoreCache() as cache, part.open("w", encoding="utf-8") as out:
            for number, block in enumerate(blocks(read_samples(store))):
                if number % processes.total != processes.rank:
                    continue
                before = getattr(scorer, "truncated", 0)
                values = [each.values for each in score_block(block, scorer, cache)]
                cut = getattr(scorer, "truncated", 0) - before if processes.rank else 0
                out.write(json.dumps({"block": number, "scores": values, "truncated": cut}) + "\n")
    except OSError as error:
        raise DetoxBenchError(
            f"Process {processes.rank} cannot write {part}: {error.strerror or error}. All "
            "processes need the folder that is written to: name another --output."
        ) from error


def _merged(store: Path, parts: list[Path]) -> Iterator[PromptScores]:
    """Yield the prompts of the store with the scores in the parts, block by block."""
    lines = [_lines(part) for part in parts]
    for number, block in enumerate(blocks(read_samples(store))):
        found = next(lines[number % len(parts)], {})
        values: list[Scores] = found.get("scores", [])
        if found.get("block") != number or list(map(len, values)) != [len(b.texts) for b in block]:
            raise DetoxBenchError(
                f"{parts[number % len(parts)]} lacks scores of {store}: a process did not see this "
                "folder, or the store has grown. Give the same command again."
            )
        cut = [found["truncated"], *[0] * (len(block) - 1)]
        yield from map(PromptScores, block, values, cut)


def _lines(part: Path) -> Iterator[dict[str, Any]]:
    if part.exists():
        with part.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _part(folder: Path, scorer: Scorer, rank: int) -> Path:
    return folder / f".scores-{file_name(scorer.id)}.part-{rank}"


def _wait() -> None:
    """Wait for all processes."""
    from torch import distributed

    distributed.barrier()
