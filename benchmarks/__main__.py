"""``make bench``: every benchmark, one after the other, each in a process of its own."""

import subprocess
import sys

BENCHMARKS = (
    *(
        "bench_sampling",
        "bench_scoring",
        "bench_ngram",
        "bench_rescoring",
        "bench_likelihood",
        "bench_dpo",
    ),
    *("bench_neurons", "bench_ranking", "bench_retrieval", "bench_states", "bench_leaderboard"),
)

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
