"""Task files of detox-bench, YAML only; installed as ``detox_bench.tasks``."""
