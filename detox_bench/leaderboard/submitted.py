"""A submission's folder as it was found: its files, what they hold, and where it lies."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.leaderboard.reading import (
    SampleLimits,
    file_sha256,
    read_badges,
    read_reproduction,
    read_sample_lines,
    read_submission,
)
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import (
    BADGE,
    REPRODUCTION,
    SAMPLES,
    SUBMISSION,
    Badge,
    SampleLine,
    Submission,
)
from detox_bench.leaderboard.wording import listed, plain

_NEEDED = (SUBMISSION, SAMPLES, REPRODUCTION)
_ALLOWED = frozenset({*_NEEDED, BADGE})


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a folder holds; ``raw`` is ``submission.json`` as it stands.

    ``hashes`` are the SHA-256 of files by name, ``samples_whole`` says that no line was refused.
    """

    folder: Path
    submission: Submission
    raw: Mapping[str, Any]
    lines: Sequence[SampleLine]
    reproduction: Mapping[str, Any]
    badges: Sequence[Badge]
    hashes: Mapping[str, str | None]
    samples_whole: bool


class Found(NamedTuple):
    """A folder that was read, None where ``submission.json`` could not be; what was wrong."""

    submitted: Submitted | None
    problems: list[str]


def read_folder(folder: Path, suite: Specification) -> Found:
    """Read the files of a submission; nothing is raised for what is wrong with them."""
    problems = misplaced(folder)
    if folder.is_symlink() or not folder.is_dir():
        return Found(None, problems)
    found = read_submission(folder)
    problems += found.problems
    reproduction, wrong = read_reproduction(folder)
    problems += wrong
    badges = read_badges(folder)
    problems += badges.problems
    submission = found.record
    if submission is None:
        return Found(None, problems)
    samples = read_sample_lines(folder / SAMPLES, limits(suite, submission.prompt_list))
    problems += samples.problems
    submitted = Submitted(
        folder,
        submission,
        found.raw,
        samples.lines,
        reproduction,
        badges.badges,
        {name: file_sha256(folder / name) for name in (SAMPLES, REPRODUCTION)},
        not samples.problems,
    )
    return Found(submitted, problems)


def limits(suite: Specification, prompt_list: str) -> SampleLimits:
    """Return how much a file of samples may hold: the prompts of its list, else of the longest."""
    known = suite.lists.get(prompt_list)
    lists = [known] if known else list(suite.lists.values())
    return SampleLimits(max(sum(each.n_prompts.values()) for each in lists), suite.sampling.samples)


def misplaced(folder: Path) -> list[str]:
    """Return a sentence for whatever in a submission's folder is no file of a submission."""
    try:
        if folder.is_symlink() or not folder.is_dir():
            return [f"{plain(folder.name)} is no folder of a submission."]
        with os.scandir(folder) as entries:
            kinds = {each.name: each.stat(follow_symlinks=False).st_mode for each in entries}
    except OSError as error:
        return [f"{plain(folder.name)} cannot be listed: {error.strerror}."]
    found = []
    if strange := sorted(kinds.keys() - _ALLOWED):
        found.append(f"{listed(strange)} is no file of a submission. Remove it.")
    links = sorted(name for name, mode in kinds.items() if stat.S_ISLNK(mode))
    if links:
        found.append(f"{listed(links)} is a link. Submit the file itself.")
    if missing := [name for name in _NEEDED if name not in kinds]:
        found.append(f"{listed(missing)} is missing.")
    return found
