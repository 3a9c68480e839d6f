"""Multilingual toxicity of language models: measure it, explain it, remove it, prove it is gone.

Importing this package loads neither torch nor lm_eval.
"""

__version__ = "0.1.0"
