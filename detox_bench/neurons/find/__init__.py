"""Find the neurons that make a model toxic: a probe, a ranking, what they are active on."""
