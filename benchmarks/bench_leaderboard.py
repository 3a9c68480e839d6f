"""Time and memory of the leaderboard: ``check`` of one submission on a board of a thousand.

    python -m benchmarks.bench_leaderboard --submissions 1000 --list quick

``--list quick`` needs the prompts of RTP-LX (``detox-bench data``). Each row is a process of its
own.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.memory import Peak
from benchmarks.synthetic_board import LIST, write_board
from detox_bench.leaderboard.check_summary import markdown
from detox_bench.leaderboard.checking import check
from detox_bench.leaderboard.specification import load_specification


def main() -> None:
    """Print a row a check; ``--submission`` checks one and prints its numbers as JSON."""
    options = _options()
    if options.submission:
        print(json.dumps(_check(options.submission, options.markdown)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        board = options.board or Path(temporary) / "board"
        place = write_board(board, options.submissions, options.list)
        store = Path(temporary) / "data"
        print(f"{options.submissions:,} submissions, list {options.list}")
        print("| check | seconds | of processor | GB | exit code |\n|---|---:|---:|---:|---:|")
        for name, more in (
            ("first", []),
            ("again", []),
            ("with a summary for CI", ["--markdown"]),
        ):
            found = _child(place, store, more)
            numbers = (
                f"{found['seconds']:.1f} | {found['processor']:.1f} | {found['gigabytes']:.2f}"
            )
            print(f"| {name} | {numbers} | {found['exit']:.0f} |", flush=True)


def _check(submission: Path, summary: bool) -> dict[str, float]:
    peak = Peak()
    started, processor = time.perf_counter(), time.process_time()
    found = check([submission], None, load_specification())
    if summary:
        markdown(found)
    return {
        "seconds": time.perf_counter() - started,
        "processor": time.process_time() - processor,
        "gigabytes": peak.gigabytes(),
        "exit": found.exit_code,
    }


def _child(submission: Path, store: Path, more: list[str]) -> dict[str, float]:
    """Check in another process, whose sketches are kept in ``store``."""
    words = [sys.executable, "-m", "benchmarks.bench_leaderboard", "--submission", str(submission)]
    environment = {**os.environ, "DETOX_BENCH_DATA": str(store)}
    done = subprocess.run(
        [*words, *more], capture_output=True, text=True, check=True, env=environment
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--list", default=LIST)
    parser.add_argument("--board", type=Path, help="Keep the board in this new folder.")
    parser.add_argument("--submission", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--markdown", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
