"""Log-likelihood requests of lm-eval, answered by our own pass.

lm-eval's does not say where a continuation begins, which an edit of generated positions must know.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tqdm import tqdm

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.likelihood import Continuation, score_tokens

_AT_ONCE = 1024  # requests

#: The log-likelihood of a continuation, and whether greedy decoding would make it.
Answer = tuple[float, bool]
#: What lm-eval asks: a key for its cache, the tokens of the context, and those of the continuation.
Request = tuple[Any, list[int], list[int]]


def score_requests(
    model: Any,
    requests: Sequence[Request],
    window: int,
    precision: Callable[[], AbstractContextManager[Any]],
    hidden: bool,
) -> list[Answer]:
    """Return an answer a request; contexts are cut on the left to ``window`` tokens put in.

    ``precision`` gives the context to run in; ``hidden`` says to show no bar.
    """
    answers: list[Answer] = []
    with tqdm(total=len(requests), desc="Log-likelihoods", disable=hidden) as bar:
        for start in range(0, len(requests), _AT_ONCE):
            part = requests[start : start + _AT_ONCE]
            asked = [Continuation(tuple(before), tuple(after)) for _, before, after in part]
            with precision():
                # As in lm-eval: the last token is not put in, and needs no room.
                scored = score_tokens(model, asked, window=window + 1)
            answers += [
                (float(each.log_probabilities.sum()), bool(each.likeliest.all())) for each in scored
            ]
            bar.update(len(part))
    return answers


def numbers(answers: list[tuple[float, bool]]) -> list[tuple[float, bool]]:
    """Return the answers; raises where one is NaN, as an edit of too large a value makes it."""
    if any(math.isnan(value) for value, _ in answers):
        raise DetoxBenchError(
            "The edited model's log-likelihoods are not numbers (NaN). Edit with smaller values, "
            "or load the model with dtype=float32."
        )
    return answers
