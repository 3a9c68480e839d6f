"""Fold an edit of neurons into weights, adapters or vectors, and prove it."""
