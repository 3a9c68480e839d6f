"""The model card of a checkpoint with an edit in its weights: the base's does not describe it."""

from detox_bench.neurons.edit.interventions import Intervention

FILE = "README.md"


def card(base: str, edit: Intervention) -> str:
    """Return the card: what the checkpoint is, made from what, and where the proof lies."""
    layers = ", ".join(map(str, edit.by_layer()))
    return f"""---
base_model: {base}
tags: [detox-bench, edited-neurons]
---

# {base}, with {len(edit.neurons):,} neurons edited

The weights of {base} with an edit of MLP neurons folded in by `detox-bench neurons export`:
operator `{edit.operator}`, layers {layers}; its hash is `{edit.sha256}`.
`intervention.json` holds every neuron and value and where they come from, `verification.json` the
comparison with the edited base.
Nothing else differs from {base}, whose card and licence hold for all but what the edit changes; how
toxic, fluent or able this checkpoint is has to be measured.
"""
