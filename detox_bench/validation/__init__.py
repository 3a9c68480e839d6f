"""Validation of scorers: how well scores agree with what people said of the same texts."""
