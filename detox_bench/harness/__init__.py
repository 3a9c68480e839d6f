"""The only place that imports lm_eval: tasks, the model, the wrapper around its command line."""
