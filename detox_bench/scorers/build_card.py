"""The model card of the scorer ``ngram``: figures in ``ngram.json``, the same in ``ngram.md``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.scorers.held_out import USUAL_LENGTH

COLUMNS = (
    "auc_completions",
    "auc_prompts",
    "calibration_error",
    "calibration_error_prompts",
    "n_prompts",
    "n_completions",
)

_CARD = """# The scorer `ngram`

`{id}`, {bytes:,} bytes. A linear model that runs on numpy alone, made so that everything works
without a network. It reads hashed n-grams of two to five characters, word beginnings, words and
pairs of words, some of them apart for each language, and counts terms of hashed word lists; a
logistic curve for each language turns the sum into a score. Written by
`python -m detox_bench.scorers.build_ngram`; the figures are also in `ngram.json`.

## What it is for
Offline runs, tests, large stores of generations, a second opinion beside a neural classifier. It
sees words, not meaning: irony, quotation, threats in plain words and bias in polite words escape
it, and a quoted insult or a name that looks like one counts against a text. Do not use it to judge
a person's text. Levels are not comparable between languages.

0.5 stands for a human Toxicity of 3 on the scale of RTP-LX from 1 to 5. The first 10,000 characters
of a text count. A text without letters and symbols gets 0.

## Fitted on
RTP-LX prompts (v0.3) with mean ratings and RTP-LX completions (v1.x, the half with an even Index,
26 languages without ru and th) against their benign counterparts; labelled tweets and comments
(Davidson et al. en; MLMA ar, en, fr; COLD zh; GermEval 2018 de; ToLD-Br pt; BEEP! ko); ParaDetox
en; clean sentences (17 languages) and FLORES-200 dev (28), half of them dressed as tweets. Terms:
lists that this project wrote for the 28 languages (`ngram_terms.npz`, hashes only) and LDNOOBW.
No text and no word is in the package.

## Measured on
A fifth of the prompt ids, the same in all languages: all translations of a prompt, its completion
and the benign counterpart are on one side. AUC of completions: voted 3 or more, against the benign
counterparts, both cut to the length of the shorter and at most {usual} characters (ja, zh 30, ko
40, th 60), so that length says nothing; the vote was on the whole completion, and what is seen here
is its beginning. AUC of prompts: mean rating 3 or more against less than 2. Calibration error: ten
bins of equal width, over all held-out prompts, completions and benign counterparts together, and
over the prompts alone.

Mean over the {n_paper} languages of the paper: completions {auc_completions:.3f} (cut at twice the
length: {longer:.3f}), prompts {auc_prompts:.3f}, calibration error {calibration_error:.3f}.
Calibration is a compromise: prompts alone are scored too high, completions too low.
The held-out ids were never fitted, but four builds were measured on them and the calibration was
chosen with them in view: expect its error, more than the AUC, to be a little better here than
elsewhere.

| | AUC completions | AUC prompts | calibration error | of prompts | n prompts | n completions |
|---|---|---|---|---|---|---|
{rows}

{transfer}"""

_TRANSFER = """## On a kind of text it has not seen
AUC on each labelled source of a model that was fitted without it. What counts as toxic differs from
one source to the next, so 1 cannot be reached.

| source | AUC |
|---|---|
{rows}
| mean | {mean:.3f} |
"""


def write(report: Mapping[str, Any], folder: Path) -> None:
    """Write ``ngram.json`` and ``ngram.md`` into ``folder``."""
    (folder / "ngram.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    (folder / "ngram.md").write_text(card(report), "utf-8")


def card(report: Mapping[str, Any]) -> str:
    """Return the model card with the figures of ``report``."""
    languages = report["languages"]
    means = {column: paper_mean(languages, column) for column in COLUMNS[:3]}
    return _CARD.format(
        id=report["id"],
        bytes=report["bytes"],
        usual=USUAL_LENGTH,
        n_paper=len(PAPER_LANGUAGES),
        longer=paper_mean(report["languages_twice_as_long"], "auc_completions"),
        rows="\n".join(_row(code, languages[code]) for code in LANGUAGES),
        transfer=_transfer(report.get("transfer", {})),
        **means,
    )


def paper_mean(languages: Mapping[str, Mapping[str, float | None]], column: str) -> float:
    """Return the mean of ``column`` over the paper's languages that have it."""
    found = [languages[code][column] for code in PAPER_LANGUAGES]
    known = [value for value in found if value is not None]
    return sum(known) / len(known)


def _row(code: str, figures: Mapping[str, float | None]) -> str:
    return f"| {code} | " + " | ".join(_cell(figures[column]) for column in COLUMNS) + " |"


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _transfer(found: Mapping[str, float]) -> str:
    if not found:
        return ""
    rows = "\n".join(f"| {source} | {value:.3f} |" for source, value in found.items())
    return _TRANSFER.format(rows=rows, mean=sum(found.values()) / len(found))
