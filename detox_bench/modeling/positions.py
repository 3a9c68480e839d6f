"""Which columns of a forward pass are the continuation, where the pass itself does not show it.

An edit of generated positions only has to tell them from the prompt. A pass over a key-value cache
is all continuation, and of a prompt put in by itself only the last column counts, since it makes
the first new token. Where prompt and continuation are run as one, the caller says where it begins.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_BEGINS: ContextVar[tuple[int, ...] | None] = ContextVar("continuation_begins", default=None)


@contextmanager
def continuation_begins(columns: Sequence[int]) -> Iterator[None]:
    """Say, for the passes in this ``with``, which column makes the first new token of each row.

    That is the column of the prompt's last token; every later one counts as continuation too.
    """
    token = _BEGINS.set(tuple(columns))
    try:
        yield
    finally:
        _BEGINS.reset(token)


def begins() -> tuple[int, ...] | None:
    """Return what ``continuation_begins`` says; None outside of it."""
    return _BEGINS.get()
