"""One store scored on a Ray cluster: Ray Data, one actor a device, a scorer in each.

The driver reads the store, asks the cache, and hands blocks of unknown texts to the actors; their
answers go to the cache, and the files are written from it as by one process. The store and the
cache need to be on the driver only, the scorer's package and its weights on every machine.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detox_bench.errors import DetoxBenchError, ScorerUnavailable, missing_extra
from detox_bench.rescoring import PromptScores, Way, blocks, by_language, score_block
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer
from detox_bench.scorers.table import load_scorer
from detox_bench.stored_texts import read_samples
from detox_bench.types import ToxicityScore

#: The address that starts Ray on this machine, for the length of the command.
LOCAL = "local"
#: Read by Ray when it is imported: no reports to its makers, no remarks on its own actors.
_SILENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
#: As well: on one machine listen on 127.0.0.1 only, which Ray does where it builds no cluster.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@dataclass(frozen=True, slots=True)
class RayJob:
    """Which scorer the actors load, how many of them, and with which options.

    ``workers`` None is one a GPU, or where there is none one a processor.
    """

    scorer: str
    workers: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def cluster(address: str, workers: int | None = None) -> Iterator[None]:
    """Connect to Ray, or start it for ``LOCAL`` on 127.0.0.1, without dashboard and reports.

    Raises ``MissingExtra`` without Ray, ``DetoxBenchError`` where there is no cluster.
    """
    os.environ.update(_SILENT | (_LOOPBACK if address == LOCAL else {}))
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing_extra("Scoring with --ray", "ray") from error
    here: dict[str, Any] = {}
    if address == LOCAL:
        here = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "num_cpus": workers}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise DetoxBenchError(
            f"No Ray cluster answers at {address!r}: {str(error).splitlines()[0]} Give the "
            f"address of one, or --ray {LOCAL} for this machine."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def score_by_ray(job: RayJob) -> Way:
    """Return the way of scoring on the cluster that this process is connected to (``cluster``).

    It raises ``ScorerUnavailable`` where the actors have another scorer, or none.
    """

    def way(store: Path, scorer: Scorer) -> Iterator[PromptScores]:
        with ScoreCache() as cache:
            sent = _sent(store, scorer, cache)
            answers = _by_number(_answers(list(sent.values()), job, scorer.id))
            for number, block in enumerate(blocks(read_samples(store))):
                cut = _keep(answers(number), scorer, cache) if number in sent else 0
                first, *others = score_block(block, scorer, cache)
                yield first._replace(truncated=cut)
                yield from others

    return way


class ScoringActor:
    """Holds a scorer on a machine of the cluster and scores one block a call."""

    def __init__(self, spec: str, options: Mapping[str, Any]) -> None:
        self._scorer = load_scorer(spec, **options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Return the number of the block in ``batch`` and what ``_keep`` reads, as JSON."""
        before = getattr(self._scorer, "truncated", 0)
        scores = {
            code: self._score(texts, code) for code, texts in json.loads(batch["texts"][0]).items()
        }
        cut = getattr(self._scorer, "truncated", 0) - before
        answer = {"scorer": self._scorer.id, "scores": scores, "truncated": cut}
        return {"number": [int(batch["number"][0])], "answer": [json.dumps(answer)]}

    def _score(self, texts: Sequence[str], code: str) -> list[tuple[str, dict[str, Any]]]:
        found = score_texts(texts, code, self._scorer, progress=False)
        return [(text, score.as_json()) for text, score in zip(texts, found, strict=True)]


def _sent(store: Path, scorer: Scorer, cache: ScoreCache) -> dict[int, Any]:
    """Put the texts that the cache does not know into Ray's object store, by number of block."""
    import pyarrow
    import ray

    sent = {}
    for number, block in enumerate(blocks(read_samples(store))):
        unknown = {}
        for code, texts in by_language(block).items():
            known = cache.get(scorer.id, _cache_language(scorer, code), texts)
            unknown[code] = [text for text in dict.fromkeys(texts) if text not in known]
        if any(unknown.values()):
            # As JSON, in ASCII: Arrow has no text with lone surrogates.
            row = {"number": [number], "texts": [json.dumps(unknown)]}
            sent[number] = ray.put(pyarrow.table(row))
    return sent


def _answers(sent: Sequence[Any], job: RayJob, scorer_id: str) -> Iterator[tuple[int, Any]]:
    """Yield the number of each block and its answer, as the actors finish."""
    if not sent:
        return
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    found = ray.cluster_resources()
    gpus = int(found.get("GPU", 0))
    devices = gpus or int(found.get("CPU", 1))
    workers = min(job.workers or devices, devices, len(sent))
    scored = ray.data.from_arrow_refs(list(sent)).map_batches(
        ScoringActor,
        fn_constructor_args=(job.scorer, dict(job.options)),
        compute=ray.data.ActorPoolStrategy(size=workers),
        batch_size=1,
        num_cpus=1,
        num_gpus=1 if gpus else 0,
    )
    try:
        for row in scored.iter_rows():
            answer = json.loads(row["answer"])
            if answer["scorer"] != scorer_id:
                raise ScorerUnavailable(
                    f"The actors have the scorer {answer['scorer']}, this machine {scorer_id}. "
                    "Give all machines the same version and weights."
                )
            yield int(row["number"]), answer
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise ScorerUnavailable(
            f"Ray could not score with {job.scorer}: {last} What was scored is in the cache."
        ) from error


def _by_number(answers: Iterator[tuple[int, Any]]) -> Callable[[int], Any]:
    """Return a function that gives the answer with a number, waiting until it has come."""
    early: dict[int, Any] = {}

    def answer(number: int) -> Any:
        while number not in early:
            came, found = next(answers)
            early[came] = found
        return early.pop(number)

    return answer


def _keep(answer: Mapping[str, Any], scorer: Scorer, cache: ScoreCache) -> int:
    """Put an answer into the cache; return how many of its texts were cut."""
    for code, scores in answer["scores"].items():
        found = {text: ToxicityScore(**score) for text, score in scores}
        cache.put(scorer.id, _cache_language(scorer, code), found)
    return int(answer["truncated"])


def _cache_language(scorer: Scorer, code: str) -> str | None:
    """Return the language under which the cache has a scorer's scores, as ``score_texts`` does."""
    return code if getattr(scorer, "uses_language", True) else None
