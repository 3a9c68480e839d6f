"""Toxic neurons: find them, edit them while a model runs, fold the edit into its weights."""
