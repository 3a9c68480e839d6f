"""Score many texts: each different text once, sorted by length, in batches, cached.

A text the scorer fails on is unscored (``value`` None with the reason), is not cached, and never
counts as 0. Only where nothing could be scored at all is that an error.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache as memoised

from detox_bench.errors import DetoxBenchError, ScorerUnavailable
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.protocol import Scorer, coverage
from detox_bench.types import ToxicityScore

logger = logging.getLogger(__name__)

#: Texts handed to a scorer at once, and so lost at most when the process is killed.
BATCH_SIZE = 256
#: If each of this many texts fails on its own and none has been scored, the scorer is broken.
BROKEN_AFTER = 64


def score_texts(
    texts: Sequence[str],
    language: str,
    scorer: Scorer,
    *,
    cache: ScoreCache | None = None,
    progress: bool | None = None,
) -> list[ToxicityScore]:
    """Return the score of each text, in the order of ``texts``.

    Equal texts are scored once. A batch that raises is tried again in halves, down to single
    texts; what still fails is unscored. ``progress`` shows a bar on stderr; None shows it where
    that is a terminal.

    Raises ``ScorerUnavailable`` if every text failed, and whatever ``DetoxBenchError`` the scorer
    raises: that one is meant for the user.
    """
    warn_if_not_covered(scorer, language)
    different = sorted(set(texts), key=lambda text: (len(text), text))
    cache_language = language if getattr(scorer, "uses_language", True) else None
    results = {} if cache is None else cache.get(scorer.id, cache_language, different)
    missing = [text for text in different if text not in results]
    failures: dict[str, ToxicityScore] = {}
    with _progress_bar(len(missing), scorer.name, progress) as advance:
        for batch in _batches(missing, getattr(scorer, "texts_per_call", BATCH_SIZE)):
            scored, failed = _score_batch(scorer, batch, language)
            if cache is not None:
                cache.put(scorer.id, cache_language, _cacheable(scored))
            results.update(scored)
            failures.update(failed)
            _check_alive(scorer, failures, len(missing), len(results))
            advance(len(batch))
    results.update(failures)
    return [results[text] for text in texts]


def warn_if_not_covered(scorer: Scorer, language: str) -> None:
    """Warn, once a process for each scorer and language, of a language that is not declared."""
    state = coverage(scorer, language)
    if state in ("transfer", "unsupported"):
        _warn_not_covered(scorer.id, language, state, ", ".join(sorted(scorer.languages)))


@memoised
def _warn_not_covered(scorer_id: str, language: str, state: str, declared: str) -> None:
    """Log the one sentence on a language that is not declared; the cache makes it once."""
    logger.warning(
        "Scorer %s is not made for language %r: its scores there are recorded as %r. Declared: %s.",
        scorer_id,
        language,
        state,
        declared,
    )


def _score_batch(
    scorer: Scorer, batch: Sequence[str], language: str
) -> tuple[dict[str, ToxicityScore], dict[str, ToxicityScore]]:
    """Return the scores of ``batch`` by text, and the failures by text, halving what raises."""
    try:
        return _attempt(scorer, batch, language), {}
    except DetoxBenchError:
        raise
    except Exception as error:
        if len(batch) == 1:
            logger.debug("scorer %s failed on one text", scorer.id, exc_info=True)
            return {}, {batch[0]: ToxicityScore(None, reason=_reason(error))}
    middle = len(batch) // 2
    scored, failed = _score_batch(scorer, batch[:middle], language)
    more_scored, more_failed = _score_batch(scorer, batch[middle:], language)
    return scored | more_scored, failed | more_failed


def _attempt(scorer: Scorer, batch: Sequence[str], language: str) -> dict[str, ToxicityScore]:
    """Return the scores of ``batch`` by text; raise whatever the scorer raises."""
    scores = scorer.score(batch, language)
    if len(scores) != len(batch):
        raise ValueError(f"{scorer.id} gave {len(scores)} scores for {len(batch)} texts")
    return {text: _checked(score) for text, score in zip(batch, scores, strict=True)}


def _checked(score: ToxicityScore) -> ToxicityScore:
    """Return ``score``, unscored if its value is no number in [0, 1]."""
    if score.value is None or 0.0 <= score.value <= 1.0:
        return score
    return ToxicityScore(None, reason=f"the scorer gave {score.value}, which is not in [0, 1]")


def _cacheable(scores: dict[str, ToxicityScore]) -> dict[str, ToxicityScore]:
    """Return the scores that have a value, and no reason why they may be another next time."""
    return {t: each for t, each in scores.items() if each.value is not None and each.reason is None}


def _check_alive(scorer: Scorer, failures: dict[str, ToxicityScore], n: int, scored: int) -> None:
    """Raise if every text asked of the scorer failed: all ``n``, or the first ``BROKEN_AFTER``."""
    if scored == 0 and failures and len(failures) >= min(n, BROKEN_AFTER):
        first = next(iter(failures.values())).reason
        raise ScorerUnavailable(
            f"Scorer {scorer.id} failed on each of the first {len(failures)} texts; "
            f"the first failure was: {first}. Mend that, or choose another scorer."
        )


def _reason(error: Exception) -> str:
    """Return one short line on ``error``."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:200]


def _batches(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield ``texts`` in runs of ``size``."""
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


@contextmanager
def _progress_bar(total: int, name: str, progress: bool | None) -> Iterator[Callable[[int], None]]:
    """Yield what to call with the number of texts just done; it moves a bar, or nothing."""
    wanted = sys.stderr.isatty() if progress is None else progress
    if not wanted or not total:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    rate, start, done = TextColumn("{task.fields[rate]:,.0f} texts/s"), time.monotonic(), 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate)
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task(f"Scoring with {name}", total=total, rate=0.0)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            shown.update(task, completed=done, rate=done / (time.monotonic() - start + 1e-9))

        yield advance
