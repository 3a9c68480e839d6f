"""Small valid submissions of made-up samples on a small suite, and ways to change them."""

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.leaderboard.agreement import generation_arguments
from detox_bench.leaderboard.board import OnBoard
from detox_bench.leaderboard.checking import check
from detox_bench.leaderboard.content import (
    by_language,
    digest_of_asked,
    digest_of_ids,
    pack_lines,
    readable_json,
    run_id,
    sha256,
    text_digest,
)
from detox_bench.leaderboard.hash_rates import RATES
from detox_bench.leaderboard.making import Stated, make, put
from detox_bench.leaderboard.reading import SampleLimits, read_sample_lines
from detox_bench.leaderboard.specification import PromptList, Specification, load_specification
from detox_bench.leaderboard.submission import (
    BADGE,
    SAMPLES,
    SUBMISSION,
    Contamination,
    Method,
    ModelCard,
    SampleLine,
    ScorerCard,
)
from detox_bench.runs import digest

LIST = "sample"
TRACK = "ngram"
LANGUAGES = ("ar", "en", "zh-Hans")
#: Many prompts, so that one in 32, which a sketch keeps, are some.
PROMPTS, K = 40, 3
BASE = "lab/base"
BASE_WEIGHTS = hashlib.sha256(BASE.encode()).hexdigest()
CLEAN = Contamination(rtplx=False, jigsaw=False, ptp=False)

REPRODUCTION = {
    "schema_version": "1",
    "command": "detox-bench eval",
    "model": None,
    "prompts": [],
    "settings": None,
    "seed": 0,
    "engine": None,
    "dtype": None,
    "versions": {},
    "scored": {
        "on": {"system": "Linux", "python": "3", "processor": None, "gpu": None},
        "versions": {},
        "perplexity_model": None,
        "at": "2026-01-01",
    },
}


class Change(NamedTuple):
    """How a submission differs from a good one: functions of its JSON, and of its samples."""

    submission: Callable[[dict[str, Any]], object] | None = None
    lines: Callable[[list[dict[str, Any]]], object] | None = None


def prompt_ids(code: str, prompts: int = PROMPTS) -> list[str]:
    return [f"sample/{code}/{n}" for n in range(prompts)]


def small_suite(
    languages: Sequence[str] = LANGUAGES, prompts: int = PROMPTS, k: int = K
) -> Specification:
    """Return the packaged suite with few languages, prompts and samples."""
    suite = load_specification()
    ids = {code: prompt_ids(code, prompts) for code in languages}
    asked = {code: [(each, digest(each)) for each in found] for code, found in ids.items()}
    made = PromptList(
        title="Made up",
        prompts="sample-1-all",
        n_prompts={code: prompts for code in languages},
        sha256={code: digest_of_ids(found) for code, found in ids.items()},
        asked_sha256={code: digest_of_asked(found) for code, found in asked.items()},
    )
    sampling = suite.sampling.model_copy(update={"samples": k})
    update = {"languages": list(languages), "lists": {LIST: made}, "sampling": sampling}
    return suite.model_copy(update=update)


SUITE = small_suite()


def sample_lines(
    seed: str, level: float = 0.4, suite: Specification = SUITE, prompt_list: str = LIST
) -> list[SampleLine]:
    """Return the samples of a made-up model: scores spread around a ``level``."""
    k = suite.sampling.samples
    kept = [name for name in suite.quality if name not in RATES]
    return [
        _line(f"{seed}/{code}/{n}", code, f"sample/{code}/{n}", level, kept, k)
        for code in suite.languages
        for n in range(suite.lists[prompt_list].n_prompts[code])
    ]


def _line(
    seed: str, code: str, prompt: str, level: float, kept: Sequence[str], k: int
) -> SampleLine:
    draw = random.Random(seed)
    scores = [round(min(1.0, max(0.0, draw.gauss(level, 0.1))), 6) for _ in range(k)]
    good = {"distinct_1", "distinct_2", "distinct_3", "language_share"}
    return SampleLine(
        language=code,
        prompt_id=prompt,
        asked=digest(prompt),
        texts=[text_digest(f"{seed} {n}") for n in range(k)],
        scores=list(scores),
        perplexities=[round(draw.uniform(20, 60), 4) for _ in range(k)],
        metrics={
            name: round(draw.uniform(0.94, 1) if name in good else draw.uniform(0, 0.05), 6)
            for name in kept
        },
    )


def stated(
    name: str, kind: str = "dpo", suite: Specification = SUITE, prompt_list: str = LIST
) -> Stated:
    """Return what the submission of a made-up model states."""
    weights = hashlib.sha256(name.encode()).hexdigest()
    track = suite.tracks[TRACK]
    languages = suite.languages
    method = Method.model_validate(
        {"kind": kind, "recipe": {"beta": 0.1} if kind == "dpo" else None}
    )
    return Stated(
        prompt_list,
        TRACK,
        ModelCard(name=name, revision=f"local-{weights[:12]}", weights_sha256=weights),
        method,
        CLEAN,
        generation_arguments(suite.sampling),
        {"engine": "detox-bench-1", "seed": 0, "weights_sha256": weights},
        ScorerCard(
            id=track.scorer,
            threshold=track.threshold,
            states=dict.fromkeys(languages, "validated"),
            auc=dict.fromkeys(languages, 0.9),
        ),
        f"perplexity@{BASE_WEIGHTS[:16]}#0123456789abcdef-0123456789abcdef-torch.float32",
        {"detox_bench": "0.1.0"},
        REPRODUCTION,
    )


def add_base(board: Path, suite: Specification = SUITE) -> tuple[Path, OnBoard]:
    """Put the base ``lab/base`` on a board; return its folder and itself."""
    lines = sample_lines("base", 0.5, suite)
    made = make(stated(BASE, "base", suite), lines, None, suite)
    return put(board, made), OnBoard(made.submission, lines)


def add_model(
    board: Path, base: OnBoard, name: str = "lab/dpo", suite: Specification = SUITE
) -> Path:
    """Put a model made from the base on a board, and return its folder."""
    made = make(stated(name, "dpo", suite), sample_lines(name, 0.3, suite), base, suite)
    return put(board, made)


def edit(folder: Path, change: Mapping[str, Any] | Callable[[dict[str, Any]], object]) -> None:
    """Edit ``submission.json`` by hand: nothing else is made to agree."""
    raw = json.loads((folder / SUBMISSION).read_text("utf-8"))
    if callable(change):
        change(raw)
    else:
        raw.update(change)
    (folder / SUBMISSION).write_bytes(readable_json(raw))


def model_of(board: Path, name: str = "lab__dpo") -> Path:
    """Return the folder of a model's only submission."""
    return next((board / "submissions" / name).glob("*/*"))


def problems(folder: Path) -> list[str]:
    """Return what a check finds."""
    return check([folder], None, SUITE).checked[0].problems


def badge(folder: Path, name: str) -> None:
    """Give a submission a badge."""
    given = {"badge": name, "date": "2026-01-01", "note": None}
    (folder / BADGE).write_text(json.dumps([given]), "utf-8")


def forge(folder: Path, change: Change) -> Path:
    """Edit a submission as one who knows the format does: hashes, run id and path agree again."""
    raw = json.loads((folder / SUBMISSION).read_text("utf-8"))
    if change.lines is not None:
        limits = SampleLimits(10**6, 10**3)
        found = by_language(read_sample_lines(folder / SAMPLES, limits).lines)
        lines = [line.model_dump(mode="json") for own in found.values() for line in own]
        change.lines(lines)
        content = pack_lines([SampleLine.model_validate(line) for line in lines])
        (folder / SAMPLES).write_bytes(content)
        raw["samples_sha256"] = sha256(content)
    if change.submission is not None:
        change.submission(raw)
    raw["run_id"] = run_id(raw)
    (folder / SUBMISSION).write_bytes(readable_json(raw))
    model = str(raw["model"]["name"]).replace("/", "__", 1)
    place = folder.parents[2] / model / str(raw["model"]["revision"]) / raw["run_id"]
    place.parent.mkdir(parents=True, exist_ok=True)
    return folder.rename(place)
