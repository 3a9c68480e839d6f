"""Trainers of detox-bench; installed as ``detox_bench.trainers``."""
