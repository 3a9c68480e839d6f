"""Whether lm-eval's model cut a document to its window, which it only says in its log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class Cut(logging.Handler):
    """Hears whether lm-eval's model cut a document, of which it warns a line each."""

    heard = False

    def emit(self, record: logging.LogRecord) -> None:
        """Note a warning of truncation; show nothing."""
        self.heard = self.heard or "runcat" in record.getMessage()


@contextmanager
def watching() -> Iterator[Cut]:
    """Yield what hears the warnings of lm-eval's model, which are not shown meanwhile."""
    cut, source = Cut(logging.WARNING), logging.getLogger("lm_eval.models.huggingface")
    before = source.level, source.propagate
    source.setLevel(logging.WARNING)
    source.propagate = False
    source.addHandler(cut)
    try:
        yield cut
    finally:
        source.removeHandler(cut)
        source.propagate = before[1]
        source.setLevel(before[0])
