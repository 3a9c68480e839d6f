"""Two processes score one store, on CPUs: the same files as one, byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from doubles import save_classifier
from test_stored_texts import run_folder

from detox_bench import rescoring
from detox_bench.errors import DetoxBenchError
from detox_bench.rescoring import rescore
from detox_bench.score_processes import Processes, launched
from detox_bench.scorers.table import load_scorer

LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
#: ``detox-bench`` with blocks of three prompts: the store has seven of them.
PROGRAM = """
from detox_bench import rescoring
rescoring._PROMPTS_AT_ONCE = 3
from detox_bench.cli import main
main()
"""


def launch(program: Path, *arguments: object, cache: Path) -> "subprocess.CompletedProcess[str]":
    program.write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, *LAUNCH, str(program), "score", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "DETOX_BENCH_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_two_processes_write_the_files_of_one(tmp_path, monkeypatch):
    """Twenty prompts: one process has four blocks, the other three; a long text is cut."""
    texts = [("s", f"p{p}", n, f"word {p} {n} " * (1 + p)) for p in range(20) for n in range(3)]
    run = run_folder(tmp_path / "run", texts)
    spec = f"hf:{save_classifier(tmp_path / 'model', ['ok', 'toxic'])}"
    names = ("ngram", spec)
    options = [option for name in names for option in ("--scorer", name)]
    done = launch(
        tmp_path / "program.py", run, *options, "--output", tmp_path / "two", cache=tmp_path / "c"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Every score") == 2  # one process prints the tables

    monkeypatch.setattr(rescoring, "_PROMPTS_AT_ONCE", 3)
    for name in names:
        alone = rescore(run, load_scorer(name), tmp_path / "one")
        for file in (alone.scores, alone.summary):
            assert (tmp_path / "two" / file.name).read_bytes() == file.read_bytes()
    assert '"truncated": 0' not in alone.summary.read_text()
    assert not list((tmp_path / "two").glob(".*part*"))


def test_what_one_process_cannot_do_stops_all(tmp_path):
    run = run_folder(tmp_path / "run", [("s", "p", 0, "a")])
    (run / "generations-0.jsonl").write_text("nonsense\n")
    done = launch(tmp_path / "program.py", run, cache=tmp_path / "c")
    assert done.returncode != 0
    assert "line 1 is not a continuation" in done.stderr
    assert not list(run.glob("scores-*"))


def test_the_launcher_says_which_process_this_is(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert launched() == Processes(0, 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert launched() == Processes(1, 4)
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(DetoxBenchError, match="RANK=1 and WORLD_SIZE=1 are no process"):
        launched()
