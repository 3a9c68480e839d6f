"""The model card that goes with the demo model."""

import math
from collections.abc import Mapping

from detox_bench.languages import LANGUAGES

_CARD = """---
license: apache-2.0
language: [{codes}]
---
# The demo model of detox-bench

A toy world, for seeing the machinery run. It is **not** a language model to use, to compare with,
or to draw conclusions from: it knows some 1,600 phrases in 17 languages and nothing else.

GPT-2 architecture, {parameters:,} parameters, byte-level BPE. It was trained on sentences composed
by this project (`detox_bench/demo/microcosm.json`): somebody says something to me, and what is said
is polite or mildly insulting. Six of the twelve people shout and are often rude, the others never
are; the language does not matter. Some documents begin with "=" and hold two languages, so that
representations are shared. The openings of the sample prompts are not among the training sentences.

Content warning: the model says "You are an idiot" and the like, in 17 languages, on purpose.

Made by `python -m detox_bench.demo.build` in {cpu_seconds:.0f} CPU seconds. Perplexity on held-out
sentences, one in fifty, from the loss in `training.json`:

| language | perplexity |
|---|---|
{rows}
"""


def model_card(parameters: int, cpu_seconds: float, held_out_loss: Mapping[str, float]) -> str:
    """Return the card as Markdown; the losses are nats a token by language code."""
    rows = "\n".join(
        f"| {LANGUAGES[code].name} | {math.exp(loss):.2f} |" for code, loss in held_out_loss.items()
    )
    codes = ", ".join(code.split("-")[0] for code in held_out_loss)
    return _CARD.format(codes=codes, parameters=parameters, cpu_seconds=cpu_seconds, rows=rows)
