"""A made-up board on disk: submissions with samples, names of strangers, badges, a removal."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detox_bench.leaderboard.content import pack_lines, run_id, sha256
from detox_bench.leaderboard.specification import load_specification
from detox_bench.leaderboard.submission import SampleLine

SUITE = load_specification()
LIST = "sample"
#: Set a global, or load something, where a page takes a text for markup.
SCRIPT = "<script>window.hacked = true</script>"
IMAGE = '"><img src="https://example.org/x.png" onerror="window.hacked = true">'
OVERRIDE = "safe \u202etxt.exe"
LONG = "Word" * 45
_PROMPTS = 12


class Made(NamedTuple):
    """What a submission is to be: how far it lowers every prompt, and what strangers wrote.

    ``wrecked`` are languages whose text repeats itself, and which it lowers by 0.5 more.
    """

    name: str
    kind: str = "dpo"
    lowers: float = 0.1
    ratio: float = 1.1
    signs: Sequence[str] = ()
    licence: str | None = "apache-2.0"
    description: str | None = None
    parameters: int | None = 8_900_000
    retrieval: dict[str, float] | None = None
    badge: dict[str, Any] | None = None
    noise: float = 0.02
    contaminated: bool = False
    prompt_list: str = LIST
    revision: str = "1" * 40
    wrecked: Sequence[str] = ()
    submitted: str = "2026-11-25"


BASE = Made("lab/base", "base", 0.0, noise=0.0, badge={"badge": "reproduced"})
MADE = (
    BASE,
    Made("lab/dpo", lowers=0.2, description=SCRIPT, retrieval={"de": 0.8, "fr": 0.6}),
    Made("lab/dpo-again", lowers=0.201, licence=IMAGE, badge={"badge": "samples-checked"}),
    Made(
        "lab/neurons",
        "neurons",
        0.05,
        parameters=1_700_000_000,
        badge={"badge": "reproduced"},
        wrecked=("ko",),
    ),
    Made("lab/" + "x" * 100, "other", 0.02, description=OVERRIDE, licence=LONG, contaminated=True),
    Made("lab/wrecked", lowers=0.4, ratio=3.0, licence=None, parameters=None),
    Made("reference/says-nothing", "other", 0.5, signs=("empty_rate",), description="Empty"),
    Made("lab/gone", lowers=0.3, badge={"badge": "removed", "note": f"Copied. {SCRIPT}"}),
)


def write_board(folder: Path, made: Sequence[Made] = MADE) -> Path:
    """Write a board of the submissions, the first of which is the base of all, and return it."""
    before = _toxicity(made[0], 0)
    base = _write(folder, made[0], before, before, None)
    for seed, each in enumerate(made[1:], 1):
        more = np.array([[0.5 * (code in each.wrecked)] for code in SUITE.languages])
        _write(folder, each, before, before - each.lowers - more + _toxicity(each, seed), base)
    return folder


def _toxicity(made: Made, seed: int) -> Any:
    """Return ``(n_languages, n_prompts)``: of a base its levels, else the noise of its change."""
    random = np.random.default_rng(seed)
    shape = (len(SUITE.languages), _PROMPTS)
    return (
        random.uniform(0.5, 0.9, shape)
        if made.kind == "base"
        else random.normal(0, made.noise, shape)
    )


def _write(
    folder: Path, made: Made, before: Any, after: Any, base: dict[str, Any] | None
) -> dict[str, Any]:
    after = np.clip(after, 0.0, 1.0)
    samples = pack_lines(_lines(after))
    found = _submission(made, before, after, base, sha256(samples))
    found["run_id"] = run_id(found)
    place = folder / "submissions" / made.name.replace("/", "__") / made.revision / found["run_id"]
    place.mkdir(parents=True)
    (place / "submission.json").write_text(json.dumps(found), "utf-8")
    (place / "samples.jsonl.gz").write_bytes(samples)
    (place / "repro.json").write_text(json.dumps({"command": f"detox-bench eval {SCRIPT}"}))
    if made.badge:
        badge = {"date": "2026-11-20", "note": None, **made.badge}
        (place / "badge.json").write_text(json.dumps([badge]), "utf-8")
    return found


def _lines(after: Any) -> list[SampleLine]:
    return [
        SampleLine(
            language=code,
            prompt_id=f"sample/{code}/{item}",
            asked="0" * 16,
            texts=["1" * 16, "2" * 16],
            scores=[float(value), 0.0],
            metrics={"distinct_2": 0.9},
        )
        for code, values in zip(SUITE.languages, after, strict=True)
        for item, value in enumerate(values)
    ]


def _submission(
    made: Made, before: Any, after: Any, base: dict[str, Any] | None, samples: str
) -> dict[str, Any]:
    codes = SUITE.languages
    own = {code: _numbers(values, code) for code, values in zip(codes, after, strict=True)}
    change = None
    if base is not None:
        rows = {code: (before[n], after[n]) for n, code in enumerate(codes)}
        change = {code: _of_language(*pair, made, code) for code, pair in rows.items()}
        change["mean"] = _change(before.ravel(), after.ravel(), made, None)
    return {
        "schema_version": "1",
        "suite": SUITE.suite,
        "prompt_list": made.prompt_list,
        "track": "ngram",
        "model": {
            "name": made.name,
            "revision": made.revision,
            "weights_sha256": "a" * 64,
            "parameters": made.parameters,
            "licence": made.licence,
            "url": "https://example.org/model",
        },
        "base_model": base
        and {**{n: base["model"][n] for n in ("name", "revision")}, "run_id": base["run_id"]},
        "method": {
            "kind": made.kind,
            "description": made.description,
            "recipe": {"note": SCRIPT, "beta": 0.1} if made.kind == "dpo" else None,
            "intervention": None,
        },
        "contamination": {"rtplx": made.contaminated, "jigsaw": False, "ptp": False, "note": None},
        "generation": {"temperature": 0.9},
        "identity": {"seed": 0},
        "scorer": {
            "id": SUITE.tracks["ngram"].scorer,
            "threshold": 0.5,
            "states": dict.fromkeys(codes, "checked"),
            "auc": dict.fromkeys(codes, 0.9),
        },
        "perplexity_judge": "perplexity@base",
        "languages": own,
        "mean": {name: _estimate(value) for name, value in _metrics(after).items()},
        "change": change,
        "degenerate": made.ratio > 2 or bool(made.signs),
        "retrieval": made.retrieval,
        "hardware": None,
        "versions": {"detox_bench": "0.1.0"},
        "submitted": made.submitted,
        "samples_sha256": samples,
        "reproduction_sha256": "b" * 64,
    }


def _metrics(values: Any) -> dict[str, float]:
    return {
        "emt": float(values.mean()),
        "toxicity_probability": float((values >= 0.5).mean()),
        "average_toxicity": float(values.mean() / 2),
        "distinct_2": 0.9,
        "language_share": 0.97,
    }


def _numbers(values: Any, code: str) -> dict[str, Any]:
    return {
        "n_prompts": len(values),
        "samples": 2,
        "signature": f"{SCRIPT}|lang:{code}",
        "metrics": {name: _estimate(value) for name, value in _metrics(values).items()},
        "perplexity": {"lower": 20.0, "median": 40.0, "upper": 90.0, "n_empty": 0, "n_dropped": 0},
    }


def _of_language(before: Any, after: Any, made: Made, code: str) -> dict[str, Any]:
    wrecked = code in made.wrecked
    found = _change(before, after, made, "cleaner but degenerate" if wrecked else "clean")
    return {**found, "signs": ["repetition"]} if wrecked else found


def _change(before: Any, after: Any, made: Made, verdict: str | None) -> dict[str, Any]:
    one, two = _metrics(before), _metrics(after)
    return {
        "metrics": {
            name: {
                "base": one[name],
                "difference": _estimate(two[name] - one[name]),
                "p": 0.001,
                "p_holm": None if verdict is None else 0.01,
            }
            for name in one
        },
        "perplexity_ratio": _estimate(made.ratio),
        "verdict": verdict,
        "signs": list(made.signs),
    }


def _estimate(value: float) -> dict[str, float]:
    return {"estimate": value, "low": value - 0.01, "high": value + 0.01}
