"""What judges a submission: the track's scorer, the model of perplexity, retrieval results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.fluency import LanguageModel, as_language_model, load_language_model
from detox_bench.fluency_legacy import LEGACY
from detox_bench.leaderboard.board import OnBoard
from detox_bench.leaderboard.specification import Track
from detox_bench.leaderboard.submission import ScorerCard
from detox_bench.retrieval_results import read_retrieval
from detox_bench.run_records import RunRecord
from detox_bench.scorers.protocol import Scorer, coverage, measured_auc
from detox_bench.scorers.table import load_scorer
from detox_bench.stored_texts import PromptSamples

#: The retrieval metric that a submission may state, a mean over layers.
_RETRIEVAL = "top1"
#: The precisions that a model is loaded in for what a submission says.
PRECISIONS = ("float32", "float64", "float16", "bfloat16")
#: What stands before the precision in the id of a model of perplexity, which it ends.
_DTYPE = "-torch."


class Run(NamedTuple):
    """A run: what it says of itself, its continuations, and the texts of prompts by id."""

    record: RunRecord
    samples: Sequence[PromptSamples]
    prompts: Mapping[str, str]


class Judged(NamedTuple):
    """A run with all that judges it: the scorer, the model of perplexity by name and loaded."""

    run: Run
    scorer: Scorer
    model: LanguageModel
    model_name: str


def judge_run(run: Run, track: Track, model_name: str, base: OnBoard | None) -> Judged:
    """Load what judges a run; raises where it is not what judged the base on the board.

    The model of perplexity is loaded in the precision that judged the base, and of a base itself
    in that of its run, whose weights it has then.
    """
    scorer = load_track_scorer(track)
    if base is not None:
        wanted = str(base.submission.perplexity_judge)
        return Judged(run, scorer, load_judge(model_name, wanted), model_name)
    model = _load(model_name, _known(run.record.identity.get("dtype")))
    return Judged(run, scorer, model, model_name)


def load_judge(name: str, wanted: str) -> LanguageModel:
    """Return a model of perplexity, loaded so that it may be ``wanted``, an id of a submission.

    Raises ``BadData`` where it is another one.
    """
    model = _load(name, precision_of(wanted))
    if model.id == wanted:
        return model
    raise BadData(
        f"The model of perplexity {name} is {model.id}, and the base on the board was "
        f"judged by {wanted}. Name the same one (weights, configuration, tokenizer): "
        "--perplexity-model."
    )


def precision_of(judge: str) -> str | None:
    """Return the precision that the id of a model of perplexity ends with; None for none known."""
    _, mark, found = judge.rpartition(_DTYPE)
    return _known(found) if mark else None


def _known(dtype: object) -> str | None:
    return dtype if isinstance(dtype, str) and dtype in PRECISIONS else None


def _load(name: str, dtype: str | None) -> LanguageModel:
    from detox_bench.modeling.loading import load_causal_model

    if dtype is None or name.startswith(f"{LEGACY}:"):
        return load_language_model(name)
    loaded = load_causal_model(name, dtype=dtype)
    return as_language_model(loaded.model, loaded.tokenizer)


def scorer_card(scorer: Scorer, track: Track, languages: Sequence[str]) -> ScorerCard:
    """Return what is known of the track's scorer in each language."""
    return ScorerCard(
        id=scorer.id,
        threshold=track.threshold,
        states={code: coverage(scorer, code) for code in languages},
        auc={code: measured_auc(scorer, code) for code in languages},
    )


def load_track_scorer(track: Track) -> Scorer:
    """Return the scorer of a track; raises ``DetoxBenchError`` where another one is installed."""
    scorer = load_scorer(track.scorer.partition("@")[0])
    if scorer.id != track.scorer:
        raise DetoxBenchError(
            f"The track is scored by {track.scorer}, and installed is {scorer.id}. Install the "
            "version of detox-bench, or of the scorer's weights, that the suite names."
        )
    return scorer


def retrieval_of(file: Path, identity: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean top-1 accuracy by language; raises ``BadData`` for another model's.

    ``identity`` is that of the run: its weights, and the edit of its neurons if there is one.
    """
    found = read_retrieval(file)
    weights, edit = identity["weights_sha256"], identity.get("intervention")
    if found.weights is not None and (found.weights, found.intervention) != (weights, edit):
        raise BadData(
            f"{file} is of weights {found.weights[:12]} with {_edit(found.intervention)}, and the "
            f"run of {weights[:12]} with {_edit(edit)}. Give the retrieval results of this model."
        )
    values = {code: found.value(_RETRIEVAL, code) for code in sorted(found.numbers)}
    return {code: value for code, value in values.items() if value == value}


def _edit(intervention: str | None) -> str:
    return f"intervention {intervention}" if intervention else "no intervention"
