"""Edit neurons while a model runs: interventions as files, hooks, sweeps."""
