"""Who judges a report: the model of perplexity that is found for it, and the scorer's card."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from detox_bench.errors import DetoxBenchError
from detox_bench.fluency import load_language_model, prompt_texts
from detox_bench.reports.agreement import Outline
from detox_bench.reports.content import ScorerCard, ScorerRow
from detox_bench.run_comparison import Asked, Judges
from detox_bench.scorers.protocol import coverage
from detox_bench.scorers.validation import LEAST_AUC, validation_of
from detox_bench.stored_texts import PromptSamples

#: The ``--perplexity-model`` that stands for none.
NO_MODEL = "none"


def with_language_model(
    judges: Judges, asked: Asked, base: Outline, samples: Sequence[PromptSamples]
) -> tuple[Judges, Mapping[str, str], list[str]]:
    """Return the judges with the model of perplexity, the prompts' texts, and what is left out.

    A model that was not named (the base is taken then) may be missing; one that was may not.
    """
    prompts, problem = _prompts(samples, asked.prompts)
    judges = judges._replace(prompts=asked.prompts)
    remarks = [f"Copies of the prompt could not be looked for: {problem}"] if problem else []
    if asked.perplexity_model == NO_MODEL:
        return judges, prompts, remarks
    name = asked.perplexity_model or base.record.model
    if problem is None and name is None:
        problem = "the base run does not say which model it is of. Name one: --perplexity-model."
    try:
        if problem or name is None:
            raise DetoxBenchError(str(problem))
        model = load_language_model(name)
    except DetoxBenchError as error:
        if asked.perplexity_model is not None:
            raise
        return judges, prompts, [*remarks, f"Perplexity is left out: {error}"]
    return judges._replace(language_model=model), prompts, remarks


def scorer_card(judges: Judges, languages: Sequence[str]) -> ScorerCard:
    """Return what is known of the scorer in the languages of the report."""
    known = validation_of(judges.scorer.id)
    rows = []
    for code in languages:
        auc = known.of(code) if known else None
        valid = auc is not None and auc >= LEAST_AUC
        rows.append(ScorerRow(code, coverage(judges.scorer, code), auc, valid))
    on = known.on if known else None
    return ScorerCard(judges.scorer.id, judges.threshold, on, LEAST_AUC, rows)


def _prompts(
    samples: Sequence[PromptSamples], file: Path | None
) -> tuple[Mapping[str, str], str | None]:
    """Return the texts of prompts that are known, and a sentence where some are not."""
    try:
        found = prompt_texts(samples, file)
    except DetoxBenchError as error:
        if file is not None:
            raise
        return {}, str(error)
    unknown = [each.prompt_id for each in samples if each.prompt_id not in found]
    if not unknown:
        return found, None
    return found, (
        f"the texts of {len(unknown)} prompts are not known, as of {unknown[0]!r}. Prepare their "
        "data set (`detox-bench data`), or give a file of prompts: --prompts FILE."
    )
