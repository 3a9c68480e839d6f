"""Prompts of a submission continued again by ``detox-hf``, and scored: what ``verify`` compares."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from detox_bench.errors import BadData
from detox_bench.leaderboard.freezing import LISTS, list_prompts
from detox_bench.leaderboard.judging import load_track_scorer
from detox_bench.leaderboard.measures_of_run import lines_of_run
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import Submission
from detox_bench.leaderboard.submitted import Submitted, read_folder
from detox_bench.leaderboard.verifying import (
    SHARE,
    Verification,
    check_identity,
    check_verifiable,
    choose,
    compare,
)
from detox_bench.run_records import read_record
from detox_bench.runs import write_json
from detox_bench.stored_texts import read_samples
from detox_bench.task_files import task_name


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """What is verified, by which model; ``model_args`` are more arguments of ``detox-hf``.

    ``run_folder`` keeps the continuations; a temporary folder if None.
    """

    submission: Path
    model: str
    model_args: str | None = None
    share: float = SHARE
    seed: int = 0
    run_folder: Path | None = None
    quiet: bool = True


def verify(asked: VerifySettings, suite: Specification) -> Verification:
    """Generate a part of a submission again and compare it.

    Raises ``DetoxBenchError`` where the submission cannot be read, its prompts are not prepared,
    or the model is another one.
    """
    submitted = _read(asked.submission, suite)
    chosen = choose(submitted.lines, asked.share, asked.seed)
    samples = _places(submitted.submission.prompt_list, chosen)
    with TemporaryDirectory(prefix="detox-bench-verify-") as temporary:
        folder = asked.run_folder or Path(temporary) / "run"
        _evaluate(asked, submitted.submission, samples, folder, Path(temporary))
        exact = check_identity(submitted.submission.identity, read_record(folder).identity)
        scorer = load_track_scorer(suite.tracks[submitted.submission.track])
        ids = {each for found in chosen.values() for each in found}
        written = [each for each in read_samples(folder) if each.prompt_id in ids]
        made = lines_of_run(written, scorer, None, {}, ())
    return compare(submitted.lines, made, exact, asked.seed)


def _read(folder: Path, suite: Specification) -> Submitted:
    found = read_folder(folder, suite)
    if found.submitted is None or found.problems:
        raise BadData(f"{folder} is no whole submission: {' '.join(found.problems[:3])}")
    submission = found.submitted.submission
    if submission.prompt_list not in LISTS or submission.track not in suite.tracks:
        raise BadData(f"{folder} is of a list or track that the suite lacks. Check it first.")
    check_verifiable(submission)
    return found.submitted


def _places(prompt_list: str, chosen: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Return where the chosen prompts stand in the documents of each task, as ``--samples``."""
    found = {}
    for code, ids in chosen.items():
        order = {prompt.id: n for n, prompt in enumerate(list_prompts(prompt_list, code))}
        if missing := [each for each in ids if each not in order]:
            raise BadData(f"The prepared prompts lack {missing[0]}. Prepare the suite's release.")
        found[task_name(code)] = sorted(order[each] for each in ids)
    return found


def _evaluate(
    asked: VerifySettings,
    submission: Submission,
    samples: Mapping[str, list[int]],
    folder: Path,
    temporary: Path,
) -> None:
    """Run the tasks of the chosen prompts, with the seed and intervention of the submission."""
    from detox_bench.harness.command import EvalOptions, evaluate

    row = LISTS[submission.prompt_list]
    model_args = [f"pretrained={asked.model}", f"run_folder={folder}"]
    if isinstance(seed := submission.identity.get("seed"), int):
        model_args.append(f"seed={seed}")
    if submission.method.intervention is not None:
        file = temporary / "intervention.json"
        write_json(file, submission.method.intervention)
        model_args.append(f"intervention={file}")
    model_args += [asked.model_args] if asked.model_args else []
    arguments = ["--model", "detox-hf", "--model_args", ",".join(model_args)]
    arguments += ["--tasks", ",".join(samples), "--samples", json.dumps(samples)]
    options = EvalOptions(prompts=row.source, subset=row.subset, quiet=asked.quiet)
    evaluate(arguments, options)
