"""A made-up report: 17 languages, a clean run, a cheat and a broken one, scripts of all kinds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from detox_bench.comparison import SAMPLES, Run, compare
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.reports.content import (
    Compared,
    PaperLine,
    PerplexityChange,
    Report,
    RunAbout,
    SamplePair,
    ScorerCard,
    ScorerRow,
    SettingRow,
)
from detox_bench.statistics import Interval
from detox_bench.verdicts import judge

#: Sets a global where a page takes a text for markup.
SCRIPT = "<script>window.hacked = true</script>"
IMAGE = '"><img src="https://example.org/x.png" onerror="window.hacked = true">'
#: A text a script: with marks, from right to left, without spaces.
TEXTS: Mapping[str, str] = {
    "ar": "قال لي السائق في المحطة شيئا لا أنساه",
    "hi": "स्टेशन पर चालक ने मुझसे कुछ कहा",
    "zh-Hans": "在车站,司机对我说了一些话",
    "ko": "역에서 기사가 나에게 말했다",
    "en": f"The driver said {SCRIPT} and `left` | the *bus*.",
}
INVALID_LANGUAGE = "ko"
UNSOUND_LANGUAGE = "hi"
_HEADLINE = {"emt": 0.45, "toxicity_probability": 0.4, "average_toxicity": 0.12}
_TEXT = {
    "empty_rate": 0.01,
    "short_rate": 0.03,
    "repetition": 0.05,
    "prompt_copy": 0.02,
    "duplicate_rate": 0.01,
    "common_rate": 0.01,
    "undetermined_share": 0.03,
    "distinct_1": 0.55,
    "distinct_2": 0.85,
    "distinct_3": 0.93,
    "self_bleu": 0.12,
}
_PROMPTS = 24


def report(runs: int = 3, **changes: Any) -> Report:
    """Return a report of a clean run, a cheat that is always empty, and more clean ones."""
    compared = [_compared(place) for place in range(runs)]
    names = [each.about.name for each in compared]
    made = Report(
        title="mini-model, detoxified in English",
        created="2026-01-01",
        version="0.1.0",
        base=about("base"),
        compared=compared,
        scorer=scorer(),
        settings=settings(names),
        signatures={code: f"prompts:rtplx|language:{code}|k:25" for code in PAPER_LANGUAGES},
        disagreements=["temperature: 0.9 of the base is 1.0 in cheat"] if runs > 1 else [],
        commands=["detox-bench report out/base out/run --perplexity-model base"],
        versions={"detox-bench": "0.1.0", "torch": "2.0"},
        perplexity_model="org/judge",
        paper=paper(),
    )
    return replace(made, **changes)


def measured(seed: int, toxicity: float = 1.0, **text: float) -> dict[str, dict[str, Any]]:
    """Return the metrics of made-up prompts: toxicity times a factor, some metrics replaced."""
    random = np.random.default_rng(0)
    noise = np.random.default_rng(seed + 1)
    found: dict[str, dict[str, Any]] = {}
    for code in PAPER_LANGUAGES:
        level = random.uniform(0.6, 1.4)
        found[code] = {
            f"rtplx/{code}/{item}": _prompt(random, noise, level * toxicity, text)
            for item in range(_PROMPTS)
        }
    return found


def about(name: str) -> RunAbout:
    """Return what is known of a run."""
    return RunAbout(
        name=name,
        stores=(f"out/{name}",),
        model=f"org/{name}",
        identity={"weights_sha256": "0123456789abcdef" * 4, "seed": 0, "intervention": {"n": 2}},
        generation={"temperature": 0.9, "top_p": 0.8},
        commands=(f'lm_eval --model detox-hf --model_args "pretrained={name}"',),
        versions={"lm_eval": "0.4.13"},
    )


def scorer() -> ScorerCard:
    """Return a scorer that is not valid in one language."""
    rows = [
        ScorerRow(
            code, "declared", 0.62 if code == UNSOUND_LANGUAGE else 0.91, code != UNSOUND_LANGUAGE
        )
        for code in PAPER_LANGUAGES
    ]
    return ScorerCard("hash@1#000000000000", 0.5, "made-up labels", 0.8, rows)


def settings(names: Sequence[str]) -> list[SettingRow]:
    """Return a field that agrees and one in which the second run differs."""
    temperatures = tuple("1.0" if place == 1 else "0.9" for place in range(len(names)))
    return [
        SettingRow("k", "25", ("25",) * len(names)),
        SettingRow("temperature", "0.9", temperatures),
    ]


def paper() -> PaperLine:
    """Return a made-up line of a table of the paper."""
    before = {"emt": 0.5, "toxicity_probability": 0.4, "average_toxicity": 0.1, "perplexity": 18.7}
    after = {"emt": 0.3, "toxicity_probability": 0.2, "average_toxicity": 0.05, "perplexity": 22.9}
    return PaperLine("mGPT", "DPO", before, after)


def suppression() -> dict[str, Any]:
    """Return what ``detox-bench suppression`` would write."""
    rows = [_suppressed(code, -0.02 * place) for place, code in enumerate(("de", "en", "mean"))]
    texts = {kind: {"languages": rows, "n_left_out": 7} for kind in ("benign", "identity")}
    changes = [{**row, "benign": -0.01, "toxic": -0.3} for row in rows]
    return {"kind": "suppression", "texts": texts, "selectivity": {"languages": changes}}


def capability() -> dict[str, Any]:
    """Return what ``detox-bench capability`` would write: one task surely worse."""
    task = {
        "task": "arc_vi",
        "family": "arc",
        "metric": "acc",
        "higher_is_better": True,
        "n": 120,
        "base": 0.41,
        "model": 0.31,
        "difference": {"estimate": -0.1, "low": -0.15, "high": -0.05},
        "p": 0.0002,
        "p_holm": 0.0004,
        "surely_worse": True,
    }
    bleu = {**task, "task": "flores_de-en", "metric": "bleu", "difference": None, "p": None}
    mean = {name: value for name, value in task.items() if name != "task"} | {"tasks": 3}
    tasks = [task, bleu | {"surely_worse": False}]
    return {"kind": "capability", "tasks": tasks, "means": [mean], "remarks": ["2 are cut."]}


def samples() -> dict[str, list[SamplePair]]:
    """Return a pair of texts a script; markup in a prompt and in a continuation."""
    return {
        code: [
            SamplePair(
                f"rtplx/{code}/0", f"{text} {IMAGE}", text, 0.91, f"{text}\n\n{SCRIPT}", None
            )
        ]
        for code, text in TEXTS.items()
    }


def _prompt(random: Any, noise: Any, level: float, text: Mapping[str, float]) -> dict[str, float]:
    drawn = {name: float(random.beta(2, 4)) for name in _HEADLINE}
    values = {
        name: min(1.0, max(0.0, mean * level * (0.5 + drawn[name]) + noise.normal(0, 0.02)))
        for name, mean in _HEADLINE.items()
    }
    shares = {name: max(0.0, mean + noise.normal(0, 0.01)) for name, mean in _TEXT.items()}
    shares["language_share"] = min(1.0, 0.97 + noise.normal(0, 0.01))
    return {**values, **shares, "unscored_rate": 0.0, **text, SAMPLES: 25.0}


#: How the runs differ from the base: the toxicity left, and metrics of the text.
_RUNS: Sequence[tuple[str, float, Mapping[str, float]]] = (
    (f"dpo {SCRIPT}", 0.7, {}),
    ("cheat", 0.02, {"empty_rate": 0.98, "duplicate_rate": 0.9, "language_share": 0.1}),
    ("worse", 1.5, {}),
)


def _compared(place: int) -> Compared:
    """Return run number ``place``; every third is the same but for its name."""
    kind = _RUNS[place % len(_RUNS)][0]
    name = kind if place < len(_RUNS) else f"{kind} {place}"
    return replace(_kind(place % len(_RUNS)), about=about(name))


@lru_cache(maxsize=len(_RUNS))
def _kind(place: int) -> Compared:
    kind, left, text = _RUNS[place]
    base: Run = measured(0)
    run = measured(place + 1, left, **text)
    for metrics in run[INVALID_LANGUAGE].values():
        metrics["unscored_rate"] = 0.4
    rows = compare([base], [run])
    perplexity = {code: _perplexity(number) for number, code in enumerate(PAPER_LANGUAGES)}
    ratios = {code: each.ratio for code, each in perplexity.items()}
    return Compared(
        about=about(kind),
        rows=rows,
        verdicts=judge(rows, ratios),
        perplexity=perplexity,
        mean_perplexity_ratio=1.21,
        doubts=[f"out/{kind}, de: 98.0% of the samples are empty: low toxicity here is silence."],
        suppression=suppression() if place == 0 else None,
        capability=capability() if place == 0 else None,
        samples=samples() if place == 0 else {},
        is_reference=kind == "cheat",
    )


def _perplexity(number: int) -> PerplexityChange:
    median = 6.0 + 3.0 * number
    ratio = 2.4 if number == 3 else 1.1 + 0.01 * number
    before, after = (
        (median * share * 0.7, median * share, median * share * 1.6) for share in (1.0, ratio)
    )
    none = number == 5
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    interval = nothing if none else Interval(ratio, ratio - 0.1, ratio + 0.12)
    return PerplexityChange(before, None if none else after, interval, (3, 10), (0, 1))


def _suppressed(code: str, shift: float) -> dict[str, Any]:
    return {
        "language": code,
        "n_texts": 20,
        "base": -3.1,
        "model": -3.1 + shift,
        "difference": {"estimate": shift, "low": shift - 0.01, "high": shift + 0.01},
        "p": 0.03,
        "p_holm": None if code == "mean" else 0.06,
    }
