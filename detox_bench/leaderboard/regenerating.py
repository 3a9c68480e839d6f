"""Prompts of a submission continued again by ``detox-hf`` and judged: what ``verify`` compares.

All that can be told before a text is made is told before: another model, scorer or judge.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.fluency import prompt_texts
from detox_bench.leaderboard.board import SUBMISSIONS
from detox_bench.leaderboard.checking import check_folder
from detox_bench.leaderboard.exact_agreement import TOLERANCES
from detox_bench.leaderboard.folders import Board, submissions_above
from detox_bench.leaderboard.freezing import LISTS, list_prompts
from detox_bench.leaderboard.judging import (
    PRECISIONS,
    load_judge,
    load_track_scorer,
    precision_of,
)
from detox_bench.leaderboard.measures_of_run import lines_of_run
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import SampleLine, Submission
from detox_bench.leaderboard.submitted import Submitted, read_folder
from detox_bench.leaderboard.verifying import (
    SHARE,
    Terms,
    Verification,
    check_identity,
    check_verifiable,
    choose,
    compare,
)
from detox_bench.leaderboard.wording import shown
from detox_bench.run_records import IDENTITY
from detox_bench.runs import write_json
from detox_bench.stored_texts import read_samples
from detox_bench.task_files import task_name

#: Of these the model itself, as it was before an edit, is the base that judges perplexity.
_OWN_JUDGE = ("base", "neurons")
#: What an argument of the model is said by that decides in which precision it is loaded.
_PRECISION = frozenset({"dtype", "mixed_precision_dtype"})
#: What the command line of `eval` says where nothing is asked for: a GPU where there is one.
_DEFAULTS = {"device": "cuda:0", "batch_size": "auto"}
#: What lm-eval and transformers raise for a model, or arguments, that cannot be.
_FAILURES = (
    *(OSError, ValueError, RuntimeError, ImportError),
    *(TypeError, KeyError, AttributeError, AssertionError),
)
_LONGEST_REASON = 300  # characters


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """What is verified, by which model; ``model_args`` are more arguments of ``detox-hf``.

    ``perplexity_model`` is the base, None for a submission that is one, or edits one. ``seed`` is
    that of the draw, a secret one if None: whoever knew it could have made up all other prompts.
    ``run_folder`` keeps the continuations; a temporary folder if None. For a ``badge`` more is
    asked, before anything is generated.
    """

    submission: Path
    model: str
    model_args: str | None = None
    perplexity_model: str | None = None
    share: float = SHARE
    seed: int | None = None
    run_folder: Path | None = None
    badge: bool = False
    quiet: bool = True


def verify(asked: VerifySettings, suite: Specification) -> Verification:
    """Generate a part of a submission again and compare it.

    Raises ``DetoxBenchError`` where the submission cannot be read, its prompts are not prepared,
    or the model or its judge is another one.
    """
    submitted = _read(asked, suite)
    submission = submitted.submission
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    chosen = choose(submitted.lines, asked.share, seed)
    places = _places(submission.prompt_list, chosen)
    judge = _judge(asked, submission)
    load_track_scorer(suite.tracks[submission.track])
    with TemporaryDirectory(prefix="detox-bench-verify-") as temporary:
        arguments = _model_arguments(asked, submission, Path(temporary))
        reasons = check_identity(submission.identity, _identity(arguments))
        folder = asked.run_folder or Path(temporary) / "run"
        _evaluate([*arguments, f"run_folder={folder}"], submission, places, asked.quiet)
        made = _lines(folder, chosen, submission, suite, judge)
    tolerance = TOLERANCES.get(precision_of(judge[1]) or "") if judge else None
    return compare(submitted.lines, made, Terms(reasons, seed, tolerance))


def _read(asked: VerifySettings, suite: Specification) -> Submitted:
    folder = asked.submission
    found = read_folder(folder, suite)
    if found.submitted is None or found.problems:
        raise BadData(f"{folder} is no whole submission: {' '.join(found.problems[:3])}")
    submission = found.submitted.submission
    if submission.prompt_list not in LISTS or submission.track not in suite.tracks:
        raise BadData(f"{folder} is of a list or track that the suite lacks. Check it first.")
    check_verifiable(submission)
    if asked.badge:
        _check_badge(folder, suite)
    return found.submitted


def _check_badge(folder: Path, suite: Specification) -> None:
    """Refuse a badge for what `check` refuses: its aggregates may not follow from its samples."""
    above = submissions_above(folder)
    if above is None:
        raise BadData(f"{folder} is on no board: in no folder called {SUBMISSIONS!r}.")
    if problems := check_folder(folder, Board(above), suite).problems:
        raise BadData(
            f"{folder} gets no badge, since `leaderboard check` refuses it: {problems[0]}"
        )


def _places(prompt_list: str, chosen: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Return where the chosen prompts stand in the documents of each task, as ``--samples``."""
    found = {}
    for code, ids in chosen.items():
        order = {prompt.id: n for n, prompt in enumerate(list_prompts(prompt_list, code))}
        if missing := [each for each in ids if each not in order]:
            raise BadData(f"The prepared prompts lack {missing[0]}. Prepare the suite's release.")
        found[task_name(code)] = sorted(order[each] for each in ids)
    return found


def _judge(asked: VerifySettings, submission: Submission) -> tuple[str, str] | None:
    """Return the model of perplexity by name and by id, None for no judge; loads it to see."""
    own = asked.model if submission.method.kind in _OWN_JUDGE else None
    name, wanted = asked.perplexity_model or own, submission.perplexity_judge
    if name is not None and wanted is not None:
        load_judge(name, wanted)
        return name, wanted
    if asked.badge:
        raise BadData(
            "A badge needs perplexities that are judged again, by the base model: name its folder "
            "or Hub name with --perplexity-model."
        )
    return None


def _model_arguments(asked: VerifySettings, submission: Submission, temporary: Path) -> list[str]:
    """Return the arguments of ``detox-hf``: model, seed, precision and edit as submitted."""
    found = [f"pretrained={asked.model}"]
    if type(seed := submission.identity.get("seed")) is int:
        found.append(f"seed={seed}")
    if submission.method.intervention is not None:
        file = temporary / "intervention.json"
        write_json(file, submission.method.intervention)
        found.append(f"intervention={file}")
    own = asked.model_args.split(",") if asked.model_args else []
    dtype = submission.identity.get("dtype")
    if dtype is not None and not _PRECISION & {each.partition("=")[0].strip() for each in own}:
        if dtype not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise BadData(f"identity.dtype is {shown(dtype)}, and should be one of {known}.")
        found.append(f"dtype={dtype}")
    return [*found, *own]


def _identity(arguments: Sequence[str]) -> dict[str, Any]:
    """Return what texts of the model depend on; it is loaded, and let go again."""
    from detox_bench.harness.model import DetoxHFLM

    try:
        model = DetoxHFLM.create_from_arg_string(",".join(arguments), _DEFAULTS)
    except _FAILURES as error:
        told = " ".join(str(error).split())[:_LONGEST_REASON]
        raise DetoxBenchError(f"The model cannot be loaded: {told} See --model-args.") from error
    found = model.get_model_info()
    return {name: found[name] for name in IDENTITY if name in found}


def _evaluate(
    model_args: Sequence[str],
    submission: Submission,
    places: Mapping[str, list[int]],
    quiet: bool,
) -> None:
    """Run the tasks of the chosen prompts."""
    from detox_bench.harness.command import EvalOptions, evaluate

    row = LISTS[submission.prompt_list]
    arguments = ["--model", "detox-hf", "--model_args", ",".join(model_args)]
    arguments += ["--tasks", ",".join(places), "--samples", json.dumps(places)]
    evaluate(arguments, EvalOptions(prompts=row.source, subset=row.subset, quiet=quiet))


def _lines(
    folder: Path,
    chosen: Mapping[str, Sequence[str]],
    submission: Submission,
    suite: Specification,
    judge: tuple[str, str] | None,
) -> list[SampleLine]:
    """Return the chosen prompts' lines of a run, as ``add`` makes them."""
    ids = {each for found in chosen.values() for each in found}
    written = [each for each in read_samples(folder) if each.prompt_id in ids]
    scorer = load_track_scorer(suite.tracks[submission.track])
    model = load_judge(*judge) if judge else None
    return lines_of_run(written, scorer, model, prompt_texts(written), suite.quality)
