"""``detox-bench pairs sample``: pairs from what a model itself writes, at matched length.

The texts are kept in the folder ``<output>.run`` and found again when the command is repeated;
what made the pairs stands in ``<output>.json``.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from detox_bench.continuations import Continuations, Wish, continue_prompts, identity
from detox_bench.data.preference_rows import rows_of
from detox_bench.data.preference_text import token_count
from detox_bench.data.preferences import fingerprint, write_pairs
from detox_bench.data.prompts import SOURCES, load_prompts
from detox_bench.data.store import content_sha256
from detox_bench.errors import BadData, DetoxBenchError, unknown_name
from detox_bench.languages import language as language_row
from detox_bench.modeling.loading import LoadedModel
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.runs import write_json
from detox_bench.scorers.cache import ScoreCache
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import Scorer, scorer_info
from detox_bench.trainers.pair_choice import (
    Candidate,
    ChoiceSettings,
    choose,
    stratified,
)
from detox_bench.types import PreferencePair, Prompt


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """Which prompts are continued, how, and which continuations become pairs.

    ``prompts`` is a name in ``data.prompts.SOURCES`` or a file: JSON lines with a ``prompt`` (or
    ``text``), or plain text with a prompt a line. ``limit`` is a number of prompts a language.
    """

    languages: tuple[str, ...] = ("en",)
    prompts: str = "auto"
    subset: str = "all"
    limit: int | None = None
    samples: int = 25
    batch_size: int = 256
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    choice: ChoiceSettings = field(default_factory=ChoiceSettings)


class Sampled(NamedTuple):
    """The pairs, and the record that is written beside them."""

    pairs: list[PreferencePair]
    record: dict[str, Any]


def sample_pairs(loaded: LoadedModel, scorer: Scorer, plan: SamplePlan, output: Path) -> Sampled:
    """Sample, score, choose, and write the pairs to ``output`` and the record beside it.

    The same weights, prompts, settings and seed give the same file in float32. Raises
    ``DetoxBenchError`` where prompts cannot be read, nothing can be written, or no pair is found.
    """
    by_language = {
        language_row(code).code: read_prompts(plan, language_row(code).code)
        for code in plan.languages
    }
    prompts = [prompt for found in by_language.values() for prompt in found]
    wish = Wish(plan.samples, plan.sampling, _run_folder(output), plan.batch_size)
    texts = continue_prompts(loaded, prompts, wish)
    pairs: list[PreferencePair] = []
    languages: dict[str, Any] = {}
    with ScoreCache() as cache:
        for code, found in by_language.items():
            chosen, languages[code] = _pairs_of(
                found, texts, plan, _Judge(scorer, cache, loaded.tokenizer)
            )
            pairs.extend(chosen)
    if not pairs:
        raise DetoxBenchError(
            f"No prompt has two continuations of one length that are {plan.choice.margin:g} apart "
            f"by {scorer.name}. Lower --margin, raise --samples, ask toxic prompts, or, "
            "where the model writes other languages than its prompts are in, give --any-language."
        )
    record = _record(loaded, scorer, plan, pairs) | {"languages": languages}
    write_pairs(output, pairs)
    write_json(output.with_name(f"{output.name}.json"), record)
    return Sampled(pairs, record)


def read_prompts(plan: SamplePlan, language: str) -> tuple[Prompt, ...]:
    """Return the prompts to continue in one language, each with an id of its own.

    Raises as ``load_prompts``, and ``BadData`` for a file that cannot be read.
    """
    if plan.prompts in SOURCES:
        found = load_prompts(language, plan.prompts, plan.subset).prompts
    elif Path(plan.prompts).exists():
        found = tuple(_prompts_in(Path(plan.prompts), language, plan.languages))
    else:
        raise unknown_name("prompt source, nor a file,", plan.prompts, SOURCES)
    if not found:
        raise BadData(f"{plan.prompts} has no prompt in {language!r}: name another --language.")
    if twice := [name for name, n in Counter(prompt.id for prompt in found).items() if n > 1]:
        raise BadData(
            f"{plan.prompts} has the id {twice[0]!r} more than once in {language!r}. Give each its "
            "own."
        )
    return found[: plan.limit]


def _prompts_in(path: Path, language: str, asked: Sequence[str]) -> Iterator[Prompt]:
    if path.is_dir():
        raise BadData(f"{path} is a folder, not a file of prompts: name one file in it.")
    if not path.name.endswith((".jsonl", ".json", ".jsonl.gz")):
        for number, line in enumerate(_text_of(path).split("\n"), 1):
            if line.strip():
                yield Prompt(f"{path.stem}/{language}/{number}", language, line.rstrip("\r"))
        return
    for row in rows_of(path):
        own = row.fields.get("language", asked[0] if len(asked) == 1 else None)
        text = row.fields.get("prompt", row.fields.get("text"))
        if not isinstance(text, str) or own is None:
            raise BadData(
                f"{row.place}: needs a text under 'prompt', and its 'language' where several are "
                "asked for."
            )
        if language_row(str(own)).code == language:
            yield Prompt(str(row.fields.get("id", row.name)), language, text)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise BadData(
            f"{path} cannot be read: {error.strerror or error}. Name another file of prompts."
        ) from error
    except UnicodeDecodeError as error:
        raise BadData(
            f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}. Save it "
            "as UTF-8, a prompt a line."
        ) from error


class _Judge(NamedTuple):
    scorer: Scorer
    cache: ScoreCache
    tokenizer: Any


def _pairs_of(
    prompts: Sequence[Prompt],
    texts: Continuations,
    plan: SamplePlan,
    judge: _Judge,
) -> tuple[list[PreferencePair], dict[str, Any]]:
    """Return the pairs of one language, and the counts that go with them."""
    candidates, unscored = _candidates(prompts, texts, judge)
    by_prompt: dict[str, list[PreferencePair]] = {}
    margins: dict[str, float] = {}
    kept_out: Counter[str] = Counter()
    for prompt in prompts:
        choices, out = choose(prompt, candidates[prompt.id], plan.choice)
        kept_out.update(out)
        made = [
            _pair(prompt, each.chosen.text, each.rejected.text, number)
            for number, each in enumerate(choices)
        ]
        margins.update((pair.id, each.margin) for pair, each in zip(made, choices, strict=True))
        if made:
            by_prompt[prompt.id] = made
    pairs = stratified(by_prompt, plan.choice)
    return pairs, {
        "prompts": len(prompts),
        "prompts_sha256": content_sha256((prompt.id, prompt.text) for prompt in prompts),
        "samples": sum(len(texts[prompt.id, prompt.language]) for prompt in prompts),
        "unscored": unscored,
        "kept_out": dict(sorted((+kept_out).items())),
        "prompts_without_pair": len(prompts) - len(by_prompt),
        "pairs_found": sum(map(len, by_prompt.values())),
        "pairs": len(pairs),
        "mean_margin": sum(margins[pair.id] for pair in pairs) / max(1, len(pairs)),
    }


def _candidates(
    prompts: Sequence[Prompt], texts: Continuations, judge: _Judge
) -> tuple[dict[str, list[Candidate]], int]:
    flat = [
        (prompt, sample, text)
        for prompt in prompts
        for sample, text in texts[prompt.id, prompt.language]
    ]
    scores = score_texts(
        [text for *_, text in flat], prompts[0].language, judge.scorer, cache=judge.cache
    )
    found: dict[str, list[Candidate]] = defaultdict(list)
    unscored = 0
    for (prompt, sample, text), score in zip(flat, scores, strict=True):
        if score.value is None:
            unscored += 1
            continue
        length = token_count(judge.tokenizer, text)
        found[prompt.id].append(Candidate(sample, text, length, score.value))
    return found, unscored


def _pair(prompt: Prompt, chosen: str, rejected: str, number: int) -> PreferencePair:
    return PreferencePair(
        id=f"on-policy/{prompt.language}/{prompt.id}/{number}",
        prompt=prompt.text,
        chosen=chosen,
        rejected=rejected,
        language=prompt.language,
        source="on-policy",
    )


def _record(
    loaded: LoadedModel, scorer: Scorer, plan: SamplePlan, pairs: Sequence[PreferencePair]
) -> dict[str, Any]:
    return {
        "model": Path(loaded.name).name if Path(loaded.name).exists() else loaded.name,
        "identity": identity(loaded, plan.sampling.seed),
        "scorer": scorer_info(scorer, plan.languages).as_json(),
        "prompts": plan.prompts if plan.prompts in SOURCES else Path(plan.prompts).name,
        "plan": json.loads(json.dumps(asdict(plan) | {"prompts": None})),
        "pairs": len(pairs),
        "fingerprint": fingerprint(pairs),
    }


def _run_folder(output: Path) -> Path:
    return output.with_name(f"{output.name}.run")
