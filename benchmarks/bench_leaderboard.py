"""Time and memory of the leaderboard: a submission checked, and the page built, on a full board.

    python -m benchmarks.bench_leaderboard --submissions 1000 --list quick

``--list quick`` needs the prompts of RTP-LX (``detox-bench data``). Each row is a process of its
own. A build keeps the highest score of each prompt in the user's data folder, here a new one: the
second finds it there.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.memory import Peak
from benchmarks.synthetic_board import LIST, write_board
from detox_bench.leaderboard.check_summary import markdown
from detox_bench.leaderboard.checking import check
from detox_bench.leaderboard.site import build, gather
from detox_bench.leaderboard.specification import load_specification


def main() -> None:
    """Print a row a task; ``--task`` does one and prints its numbers as JSON."""
    options = _options()
    if options.task:
        print(json.dumps(_measured(options.task, options.submission, options.output)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = options.submission or write_board(
            options.board or Path(temporary) / "board", options.submissions, options.list
        )
        print(f"{options.submissions:,} submissions, list {options.list}")
        print("| task | seconds | of processors | GB | exit code |\n|---|---:|---:|---:|---:|")
        for name, task in (*((each, each) for each in TASKS), ("build, again", "build")):
            found = _child(task, place, Path(temporary))
            numbers = (
                f"{found['seconds']:.1f} | {found['processor']:.1f} | {found['gigabytes']:.2f}"
            )
            print(f"| {name} | {numbers} | {found['exit']:.0f} |", flush=True)


def _check(submission: Path, _: Path) -> int:
    return check([submission], None, load_specification()).exit_code


def _check_with_summary(submission: Path, _: Path) -> int:
    found = check([submission], None, load_specification())
    markdown(found)
    return found.exit_code


def _build(submission: Path, output: Path) -> int:
    site, _ = gather(submission.parents[3], load_specification())
    build(site, output)
    return 0


#: What is measured, with the submission and a folder to write to.
TASKS: Mapping[str, Callable[[Path, Path], int]] = {
    "check": _check,
    "check, with the summary for CI": _check_with_summary,
    "build": _build,
}


def _measured(task: str, submission: Path, output: Path) -> dict[str, float]:
    peak, started, processors = Peak(), time.perf_counter(), _processors()
    exit_code = TASKS[task](submission, output)
    return {
        "seconds": time.perf_counter() - started,
        "processor": _processors() - processors,
        "gigabytes": peak.gigabytes(),
        "exit": exit_code,
    }


def _processors() -> float:
    """Return the seconds of this process and of the workers that have ended."""
    return sum(os.times()[:4])


def _child(task: str, submission: Path, temporary: Path) -> dict[str, float]:
    """Do a task in another process, whose user's data folder is in ``temporary``."""
    words = [sys.executable, "-m", "benchmarks.bench_leaderboard", "--task", task]
    words += ["--submission", str(submission), "--output", str(temporary / "site")]
    environment = {**os.environ, "DETOX_BENCH_DATA": str(temporary / "data")}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--list", default=LIST)
    parser.add_argument("--board", type=Path, help="Keep the board in this new folder.")
    parser.add_argument("--submission", type=Path, help="Of a board that is there: use that.")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
