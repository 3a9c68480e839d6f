"""Scoring on Ray: two workers on this machine write the file of one process."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from doubles import save_classifier
from test_stored_texts import run_folder

from detox_bench.errors import MissingExtra
from detox_bench.rescoring import rescore
from detox_bench.score_ray import LOCAL, cluster
from detox_bench.scorers.table import load_scorer

RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason="Ray is not installed: pip install '.[ray]'")
#: Scores with ``ngram``, then a classifier, then, from its cache, both again; says who listens.
PROGRAM = """
import sys
from pathlib import Path
from detox_bench import rescoring
rescoring._PROMPTS_AT_ONCE = 3
from detox_bench.rescoring import rescore
from detox_bench.score_ray import LOCAL, RayJob, cluster, score_by_ray
from detox_bench.scorers.table import load_scorer
run, out, *names = sys.argv[1:]
with cluster(LOCAL, 2):
    import psutil
    for name in names:
        rescore(Path(run), load_scorer(name), Path(out), way=score_by_ray(RayJob(name, 2)))
        rescore(Path(run), load_scorer(name), Path(out) / "again", way=score_by_ray(RayJob("no")))
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    places = {c.laddr.ip for p in ours for c in p.net_connections("tcp") if c.status == "LISTEN"}
    print(sorted(places))
"""


@needs_ray
def test_two_workers_write_the_file_of_one_process(tmp_path):
    """Seven blocks; what was scored is in the cache, so that a scorer that is none can follow."""
    texts = [("s", f"p{p}", n, f"word {p} {n} " * (1 + p)) for p in range(20) for n in range(3)]
    run = run_folder(tmp_path / "run", [*texts, ("s", "p20", 0, "\ud800 alone")])
    names = "ngram", f"hf:{save_classifier(tmp_path / 'model', ['ok', 'toxic'])}"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(run), str(tmp_path / "ray"), *names],
        env={**os.environ, "DETOX_BENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    listening = done.stdout.splitlines()[-1]
    assert listening in ("['127.0.0.1', '::ffff:127.0.0.1']", "['127.0.0.1']"), listening
    for name in names:
        alone = rescore(run, load_scorer(name), tmp_path / "one")
        for folder in (tmp_path / "ray", tmp_path / "ray" / "again"):
            found, expected = map(_lines, (folder / alone.scores.name, alone.scores))
            assert [row["prompt_id"] for row in found] == [row["prompt_id"] for row in expected]
            for one, other in zip(found, expected, strict=True):
                assert one["scores"] == pytest.approx(other["scores"], abs=1e-6)
            if name == "ngram":  # rounded: the same file
                assert (folder / alone.scores.name).read_bytes() == alone.scores.read_bytes()
        summaries = [tmp_path / out / alone.summary.name for out in ("ray", "one")]
        truncated = [json.loads(file.read_text())["scorer"]["truncated"] for file in summaries]
        assert truncated[0] == truncated[1]


@pytest.mark.skipif(RAY, reason="Ray is installed")
def test_without_ray_the_extra_is_named():
    told = pytest.raises(MissingExtra, match=r"--ray needs: pip install 'detox-bench\[ray\]'")
    with told, cluster(LOCAL):
        pass


def _lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]
