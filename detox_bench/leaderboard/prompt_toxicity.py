"""The maximum toxicity of each prompt of a submission, read from its samples and kept as an array.

Arrays are kept in the user's data folder under the hash of the samples file, never beside the
board: a pull request could bring a false one.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from detox_bench.errors import BadData
from detox_bench.leaderboard.json_of_strangers import open_regular, parse_json
from detox_bench.leaderboard.reading import MOST_SAMPLES_FILE, file_sha256, unpacked_lines
from detox_bench.leaderboard.submission import SAMPLES
from detox_bench.locations import data_folder
from detox_bench.metrics import maximum_toxicity

logger = logging.getLogger(__name__)

#: Bytes of a line.
_LONGEST = 100_000
_BLANK = b"null"
#: From so many new submissions on, more than one process is faster.
_MANY = 200
#: The fields that are needed, as ``content.pack_lines`` writes them; other lines are parsed.
_FIELDS = re.compile(
    rb'"language":"([^"\\]+)","metrics".*?"prompt_id":"([^"\\]+)","scores":\[([^\]\["]+)\]'
)


class PromptToxicity(NamedTuple):
    """The ``(n_prompts,)`` languages and ids of prompts, and the highest score of each.

    NaN for a prompt without any score.
    """

    languages: Sequence[str]
    prompts: Sequence[str]
    emt: NDArray[np.float64]

    def by_key(self) -> Mapping[tuple[str, str], float]:
        """Return the numbers by language and prompt."""
        return dict(
            zip(zip(self.languages, self.prompts, strict=True), self.emt.tolist(), strict=True)
        )


def prompt_toxicity(folder: Path) -> PromptToxicity:
    """Return the numbers of a submission's folder; raises ``BadData`` where it cannot be read."""
    kept = _kept_as(folder)
    found = _kept(kept)
    if found is None:
        found = _measured(folder / SAMPLES)
        _keep(kept, found)
    return found


def read_ahead(folders: Sequence[Path]) -> None:
    """Measure and keep what is not kept yet, on all processors, where that is much."""
    new = [folder for folder in folders if not _kept_as(folder).is_file()]
    if len(new) < _MANY:
        return
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        for _ in tqdm(
            workers.map(_measure_one, new, chunksize=16),
            total=len(new),
            desc="samples",
            unit="submission",
            delay=2,
            leave=False,
        ):
            pass


def _measure_one(folder: Path) -> None:
    """Measure in a worker; what fails there is told when it is asked for."""
    with suppress(BadData):
        prompt_toxicity(folder)


def _kept_as(folder: Path) -> Path:
    """Return the file that has the array of a submission's samples as they are now."""
    hashed = file_sha256(folder / SAMPLES)
    if hashed is None:
        raise BadData(
            f"{folder / SAMPLES} cannot be read. See `detox-bench leaderboard check {folder}`."
        )
    return data_folder() / "leaderboard" / "emt-1" / f"{hashed}.npz"


def _measured(samples: Path) -> PromptToxicity:
    with open_regular(samples, MOST_SAMPLES_FILE) as content:
        rows = [_row(line) for line in unpacked_lines(content, samples.name, _LONGEST)]
    languages, prompts, emt = zip(*rows, strict=True) if rows else ((), (), ())
    return PromptToxicity(languages, prompts, np.array(emt, dtype=float))


def _row(line: bytes) -> tuple[str, str, float]:
    fields = _FIELDS.search(line)
    try:
        if fields is None:
            return _parsed(line)
        language, prompt, scores = fields.groups()
        known = scores.split(b",")
        if _BLANK in scores:
            known = [score for score in known if score != _BLANK]
        return language.decode(), prompt.decode(), max(map(float, known), default=np.nan)
    except ValueError as error:
        raise BadData(f"A line of {SAMPLES} is no sample: {error}.") from error


def _parsed(line: bytes) -> tuple[str, str, float]:
    found = parse_json(line, SAMPLES)
    try:
        highest = maximum_toxicity(found["scores"])
        return (
            str(found["language"]),
            str(found["prompt_id"]),
            np.nan if highest is None else highest,
        )
    except (KeyError, TypeError) as error:
        raise BadData(f"A line of {SAMPLES} is no sample: {error!r}.") from error


def _kept(file: Path) -> PromptToxicity | None:
    try:
        with np.load(file, allow_pickle=False) as found:
            languages, prompts = (found[name].tolist() for name in ("languages", "prompts"))
            return PromptToxicity(languages, prompts, found["emt"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        logger.warning("%s is read again: %s", file.name, error)
        return None


def _keep(file: Path, found: PromptToxicity) -> None:
    """Write the array beside, then give it its name; what cannot be kept is measured again."""
    partial = file.with_name(f"{file.stem}.{os.getpid()}.npz")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            partial,
            languages=np.array(found.languages, dtype=str),
            prompts=np.array(found.prompts, dtype=str),
            emt=found.emt,
        )
        partial.replace(file)
    except OSError as error:
        logger.warning("%s is not kept: %s", file.name, error)
