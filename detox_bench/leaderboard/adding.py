"""From a run folder to a submission on a board, or a sentence on why not.

What can be refused without loading a model is refused first.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from detox_bench.errors import DetoxBenchError, unknown_name
from detox_bench.fluency import prompt_texts
from detox_bench.leaderboard.agreement import check_run, check_scored
from detox_bench.leaderboard.board import REFERENCE, OnBoard, Place, find_base
from detox_bench.leaderboard.judging import Judged, Run, judge_run, retrieval_of, scorer_card
from detox_bench.leaderboard.making import Made, Stated, checked, make, put
from detox_bench.leaderboard.measures_of_run import lines_of_run
from detox_bench.leaderboard.methods import Told, check_told, method_of
from detox_bench.leaderboard.references import (
    REFERENCES,
    reference_model,
    reference_samples,
    reference_weights,
)
from detox_bench.leaderboard.reproduction import reproduction, without_paths
from detox_bench.leaderboard.specification import PromptList, Specification, Track
from detox_bench.leaderboard.submission import Contamination, Method, ModelCard
from detox_bench.run_records import RunRecord, read_record
from detox_bench.stored_texts import read_samples

_COMMIT = re.compile(r"[0-9a-f]{40}")


class ModelTold(NamedTuple):
    """What a user says of the model; ``revision`` is a full commit of the Hub, None of a folder."""

    name: str
    revision: str | None = None
    parameters: int | None = None
    licence: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be submitted, and where; the fields are options of ``leaderboard add``.

    ``base`` is as ``board.find_base`` takes it, None for a base model itself.
    """

    place: Place
    model: ModelTold
    told: Told
    contamination: Contamination
    base: str | None = None
    perplexity_model: str | None = None
    retrieval: Path | None = None
    hardware: str | None = None


class Added(NamedTuple):
    """Where a submission lies, and what it says."""

    folder: Path
    made: Made


def add(store: Path, wish: Wish, suite: Specification) -> Added:
    """Put what ``store`` holds on the board, and return where it lies.

    Raises ``DetoxBenchError`` (and its children) with what is wrong and what to do.
    """
    track, prompt_list = _track(suite, wish.place.track), _list(suite, wish.place.prompt_list)
    check_told(wish.told)
    _check_names(wish)
    run = _read(store)
    check_run(run.record, run.samples, suite, prompt_list)
    base = find_base(wish.place, wish.base, suite) if wish.base else None
    _check_base(wish, base)
    weights = base.submission.model.weights_sha256 if base else None
    method = method_of(wish.told, run.record, weights)
    card = _model_card(wish.model, str(run.record.identity["weights_sha256"]))
    judged = judge_run(run, track, _perplexity_model(wish, wish.told.kind, run.record), base)
    return _put(wish, suite, judged, base, (card, method))


def add_reference(store: Path, name: str, wish: Wish, suite: Specification) -> Added:
    """Put a reference row on the board, made from the run of a base that is there; as ``add``.

    ``wish.model``, ``wish.told`` and ``wish.contamination`` are not looked at.
    """
    if name not in REFERENCES:
        raise unknown_name("reference row", name, REFERENCES)
    track, prompt_list = _track(suite, wish.place.track), _list(suite, wish.place.prompt_list)
    run = _read(store)
    check_run(run.record, run.samples, suite, prompt_list)
    base = find_base(wish.place, wish.base or str(store), suite)
    weights = reference_weights(name, base.submission.model.weights_sha256)
    card = _model_card(ModelTold(reference_model(name)), weights)
    method = Method(kind="other", description=REFERENCES[name])
    identity = {"engine": REFERENCE, "reference": name, "weights_sha256": weights}
    judged = judge_run(run, track, _perplexity_model(wish, "base", run.record), base)
    record = RunRecord(
        store,
        f"{REFERENCE}: {name}",
        identity,
        run.record.generation,
        run.record.settings,
        run.record.prompts,
        None,
        run.record.versions,
    )
    written = reference_samples(name, run.samples, run.prompts)
    judged = judged._replace(run=Run(record, written, run.prompts))
    return _put(wish, suite, judged, base, (card, method))


def _put(
    wish: Wish,
    suite: Specification,
    judged: Judged,
    base: OnBoard | None,
    what: tuple[ModelCard, Method],
) -> Added:
    run, scorer = judged.run, judged.scorer
    lines = lines_of_run(run.samples, scorer, judged.model, run.prompts, suite.quality)
    check_scored(lines, suite.most_unscored_on(wish.place.track))
    stated = Stated(
        wish.place.prompt_list,
        wish.place.track,
        *what,
        contamination=wish.contamination,
        generation=run.record.generation,
        identity=without_paths(run.record.identity),
        scorer=scorer_card(scorer, suite.tracks[wish.place.track], suite.languages),
        perplexity_judge=judged.model.id,
        versions=run.record.versions,
        reproduction=reproduction(run.record, judged.model_name),
        retrieval=retrieval_of(wish.retrieval, run.record.identity) if wish.retrieval else None,
        hardware=wish.hardware,
    )
    made = make(stated, lines, base, suite)
    return Added(put(wish.place.board, made), made)


def _read(store: Path) -> Run:
    if not store.exists():
        raise DetoxBenchError(f"{store} does not exist. Give the folder of a run (its run.json).")
    samples = list(read_samples(store))
    return Run(read_record(store), samples, prompt_texts(samples))


def _track(suite: Specification, name: str) -> Track:
    if name not in suite.tracks:
        raise unknown_name("track", name, suite.tracks)
    return suite.tracks[name]


def _list(suite: Specification, name: str) -> PromptList:
    if name not in suite.lists:
        raise unknown_name("prompt list", name, suite.lists)
    return suite.lists[name]


def _check_names(wish: Wish) -> None:
    name, revision = wish.model.name, wish.model.revision
    if name.partition("/")[0] == REFERENCE:
        raise DetoxBenchError(f"The organisation {REFERENCE!r} is for reference rows: --reference.")
    if revision is not None and not _COMMIT.fullmatch(revision):
        raise DetoxBenchError(
            f"--revision {revision!r} is not a full commit of the Hub (40 hex digits). Leave it "
            "out for a model in a folder: its weights are named instead."
        )
    if (wish.told.kind == "base") != (wish.base is None):
        raise DetoxBenchError(
            "A base model has no --base." if wish.base else "Name the base model: --base."
        )


def _check_base(wish: Wish, base: OnBoard | None) -> None:
    if base and base.submission.model.name == wish.model.name:
        raise DetoxBenchError(
            f"{wish.model.name} is the name of the base model. Give the changed model its own."
        )


def _model_card(told: ModelTold, weights: str) -> ModelCard:
    revision = told.revision or f"local-{weights[:12]}"
    return checked(ModelCard, {**told._asdict(), "revision": revision, "weights_sha256": weights})


def _perplexity_model(wish: Wish, kind: str, record: RunRecord) -> str:
    """Return the name of the base model, which judges perplexity."""
    named = wish.perplexity_model
    if named is None and wish.base and Path(wish.base, "run.json").is_file():
        named = read_record(Path(wish.base)).model
    if named is None and kind in ("base", "neurons"):  # its weights are those of the base
        named = record.model
    if named is None:
        raise DetoxBenchError(
            "Perplexities are those under the base model: name its folder or Hub name with "
            "--perplexity-model, or give its run folder for --base."
        )
    return named
