"""A board of many made-up submissions: as many files, lines and numbers as real ones have.

The base, and ``lab/new``, are made as ``leaderboard add`` makes them, so that a check of the last
passes. The others are neighbours: their samples are random, their ``submission.json`` is that of
``lab/new`` with their own names, mean toxicity and changes; their run ids and hashes are right.

    python -m benchmarks.synthetic_board /tmp/board --submissions 1000
"""

import argparse
import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from detox_bench.leaderboard.agreement import generation_arguments
from detox_bench.leaderboard.board import OnBoard
from detox_bench.leaderboard.content import in_sketch, readable_json, run_id, sha256
from detox_bench.leaderboard.freezing import list_prompts
from detox_bench.leaderboard.hash_rates import RATES
from detox_bench.leaderboard.making import Stated, make, put
from detox_bench.leaderboard.specification import Specification, load_specification
from detox_bench.leaderboard.submission import (
    BADGE,
    REPRODUCTION,
    SAMPLES,
    SUBMISSION,
    Contamination,
    Method,
    ModelCard,
    SampleLine,
    ScorerCard,
)
from detox_bench.runs import digest

TRACK = "ngram"
#: The list of the packaged prompts; ``quick`` needs those of RTP-LX.
LIST = "sample"
NEW = "lab/new"
_BASE = "lab/base"
_BASE_LEVEL, _NEW_LEVEL, _SPREAD = 0.35, 0.28, 0.12
#: Metrics that are near 1, where the others are near 0.
_HIGH = ("distinct_1", "distinct_2", "distinct_3", "language_share")

_REPRODUCTION = {
    "schema_version": "1",
    "command": "python -m benchmarks.synthetic_board",
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


#: The badge of the base, without which nothing is ranked.
_REPRODUCED = {"badge": "reproduced", "date": "2026-01-01", "note": None}


class Prompt(NamedTuple):
    """What a line of samples says of its prompt."""

    language: str
    id: str
    asked: str


def write_board(folder: Path, submissions: int, prompt_list: str = LIST, seed: int = 0) -> Path:
    """Write a board with a base, ``lab/new`` and other models; return the folder of ``lab/new``."""
    suite = load_specification()
    prompts = [
        Prompt(code, prompt.id, digest(prompt.text))
        for code in suite.languages
        for prompt in list_prompts(prompt_list, code)
    ]
    random = np.random.default_rng(seed)
    before = _lines(random, prompts, suite, _BASE_LEVEL)
    base = make(_stated(_BASE, "base", suite, prompt_list), before, None, suite)
    place = put(folder, base)
    (place / BADGE).write_bytes(readable_json([_REPRODUCED]))
    after = _lines(random, prompts, suite, _NEW_LEVEL)
    stated = _stated(NEW, "dpo", suite, prompt_list)
    new = make(stated, after, OnBoard(base.submission, before), suite)
    place = put(folder, new)
    template = new.submission.model_dump(mode="json")
    for number in tqdm(range(submissions - 2), "Submissions"):
        _write(folder, f"lab-{number % 40}/model-{number}", template, prompts, (random, suite))
    return place


def _lines(
    random: np.random.Generator, prompts: list[Prompt], suite: Specification, level: float
) -> list[SampleLine]:
    content = _samples(random, prompts, suite, level)
    return [SampleLine.model_validate_json(line) for line in content.splitlines()]


def _samples(
    random: np.random.Generator, prompts: list[Prompt], suite: Specification, level: float
) -> bytes:
    """Return the lines of samples, as ``content.pack_lines`` writes them."""
    shape = len(prompts), suite.sampling.samples
    names = sorted(name for name in suite.quality if name not in RATES)
    scores = np.clip(random.normal(level, _SPREAD, shape), 0, 1).round(6)
    perplexities = random.lognormal(4, 0.7, shape).clip(1).round(3)
    texts = random.integers(0, 2**63, shape)
    metrics = random.uniform(0, 0.05, (len(prompts), len(names))).round(6)
    metrics[:, [name in _HIGH for name in names]] += 0.94
    rows = zip(
        sorted(prompts, key=lambda each: (not in_sketch(each.id), each)),
        scores.tolist(),
        perplexities.tolist(),
        texts.tolist(),
        metrics.round(6).tolist(),
        strict=True,
    )
    return b"".join(_row(names, *row) for row in rows)


def _row(
    names: list[str],
    prompt: Prompt,
    scores: list[float],
    perplexities: list[float],
    texts: list[int],
    metrics: list[float],
) -> bytes:
    fields = {
        "asked": prompt.asked,
        "language": prompt.language,
        "metrics": dict(zip(names, metrics, strict=True)),
        "perplexities": perplexities,
        "prompt_id": prompt.id,
        "scores": scores,
        "texts": [f"{text:016x}" for text in texts],
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _stated(name: str, kind: str, suite: Specification, prompt_list: str) -> Stated:
    weights, track = hashlib.sha256(name.encode()).hexdigest(), suite.tracks[TRACK]
    return Stated(
        prompt_list,
        TRACK,
        _card(name, weights),
        Method.model_validate({"kind": kind, "recipe": {"beta": 0.1} if kind == "dpo" else None}),
        Contamination(rtplx=False, jigsaw=False, ptp=False),
        generation_arguments(suite.sampling),
        {"engine": "synthetic", "seed": 0, "weights_sha256": weights},
        ScorerCard(
            id=track.scorer,
            threshold=track.threshold,
            states=dict.fromkeys(suite.languages, "declared"),
            auc=dict.fromkeys(suite.languages),
        ),
        f"perplexity@{hashlib.sha256(_BASE.encode()).hexdigest()[:16]}#synthetic",
        {"detox_bench": "0.1.0"},
        _REPRODUCTION,
    )


def _card(name: str, weights: str) -> ModelCard:
    return ModelCard(
        name=name,
        revision=f"local-{weights[:12]}",
        weights_sha256=weights,
        parameters=int(weights[:4], 16) * 10**5,
        licence="apache-2.0",
    )


def _write(
    folder: Path,
    name: str,
    template: Mapping[str, Any],
    prompts: list[Prompt],
    rest: tuple[np.random.Generator, Specification],
) -> None:
    random, suite = rest
    level = _BASE_LEVEL + float(random.normal(-0.05, 0.04))
    content = _samples(random, prompts, suite, level)
    packed = gzip.compress(content, compresslevel=1, mtime=0)
    raw = json.loads(json.dumps(template))
    weights = hashlib.sha256(name.encode()).hexdigest()
    raw["model"] = _card(name, weights).model_dump(mode="json")
    raw["identity"]["weights_sha256"] = weights
    raw["method"] = [
        {"kind": "dpo", "recipe": {"beta": 0.1}},
        {"kind": "neurons", "intervention": {"value": 0}},
        {"kind": "other", "description": "Synthetic"},
    ][int(random.integers(3))]
    raw["samples_sha256"] = sha256(packed)
    _shift(raw, level - _NEW_LEVEL, random)
    raw["run_id"] = run_id(raw)
    place = folder / "submissions" / name.replace("/", "__") / raw["model"]["revision"]
    place = place / raw["run_id"]
    place.mkdir(parents=True)
    (place / SAMPLES).write_bytes(packed)
    (place / REPRODUCTION).write_bytes(readable_json(_REPRODUCTION))
    (place / SUBMISSION).write_bytes(readable_json(raw))


def _shift(raw: dict[str, Any], by: float, random: np.random.Generator) -> None:
    """Move toxicity and its change in every language and the mean, each a little differently."""
    codes = list(raw["languages"])
    moves: NDArray[np.float64] = by + random.normal(0, 0.01, len(codes) + 1)
    means = [raw["languages"][code]["metrics"] for code in codes] + [raw["mean"]]
    for code, metrics, move in zip([*codes, "mean"], means, moves.tolist(), strict=True):
        change = raw["change"][code]["metrics"]
        for name in ("emt", "average_toxicity"):
            for estimate in (metrics[name], change[name]["difference"]):
                estimate.update({bound: value + move for bound, value in estimate.items()})


def main() -> None:
    """Write a board to the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--list", default=LIST)
    options = parser.parse_args()
    print(write_board(options.folder, options.submissions, options.list))


if __name__ == "__main__":
    main()
