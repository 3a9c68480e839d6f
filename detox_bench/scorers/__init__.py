"""Scorers: each judges one text; see ``SCORERS`` in ``detox_bench.scorers.table``."""
