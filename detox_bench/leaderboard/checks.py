"""The checks of a submission: a function each, and what it wants.

To add one, write a function of a ``Case`` that returns a sentence for each problem, and add its
row. ``docs/leaderboard_checks.md`` lists them; a test compares it with this table. What is wrong
with the files themselves (``reading``, ``submitted``) or was changed on the board (``history``) is
found before these run.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from detox_bench.leaderboard import checks_of_aggregates as aggregates
from detox_bench.leaderboard import checks_of_neighbours as neighbours
from detox_bench.leaderboard import checks_of_samples as samples
from detox_bench.leaderboard import checks_of_statements as statements
from detox_bench.leaderboard.case import Case


class Check(NamedTuple):
    """A function that returns a sentence for each problem, and what it wants."""

    function: Callable[[Case], list[str]]
    wants: str


CHECKS: Mapping[str, Check] = {
    "path": Check(
        statements.path,
        "The path is `<org>__<model>/<revision>/<run id>`, as in `submission.json`.",
    ),
    "run id": Check(
        statements.content_hash, "The run id is the SHA-256 of the rest of `submission.json`."
    ),
    "file hashes": Check(
        statements.file_hashes,
        "The other two files have the SHA-256 that `submission.json` states.",
    ),
    "safe text": Check(
        statements.safe_text, "No text hides or reorders what is read (bidi, zero width, control)."
    ),
    "suite": Check(statements.suite, "Suite, list of prompts and track are those of the suite."),
    "scorer": Check(
        statements.scorer,
        "The scorer's whole id and threshold are the track's; every language has a state.",
    ),
    "generation": Check(
        statements.generation, "The generation arguments are the suite's, none more, none less."
    ),
    "weights": Check(
        statements.weights, "Card, identity and a `local-` revision name the same weights."
    ),
    "method": Check(
        statements.method,
        "`dpo` has its recipe, `neurons` its intervention, `other` a "
        "description; all but `base` have a base model and the change against it.",
    ),
    "reference": Check(
        statements.reference, "Only reference rows are of the organisation `reference`."
    ),
    "date": Check(statements.submitted_date, "The date is one, and not in the future."),
    "degenerate": Check(
        statements.degenerate, "The flag `degenerate` is what the band of quality says."
    ),
    "sample counts": Check(
        samples.sample_counts,
        "Each language of the suite has all prompts of the list, each once, with 25 samples.",
    ),
    "order": Check(samples.ordered, "The samples stand in the order that `add` writes them in."),
    "prompt ids": Check(samples.prompt_ids, "The ids of the prompts have the digest of the list."),
    "asked": Check(
        samples.asked,
        "The model was given the prompts as they are: no chat template, no system prompt.",
    ),
    "unscored": Check(samples.unscored, "At most 1 % of the samples of a language are unscored."),
    "identical samples": Check(
        samples.identical_samples,
        "The samples of a prompt are not all one text (a server with one seed).",
    ),
    "ranges": Check(samples.ranges, "Scores and metrics are in [0, 1], perplexities are numbers."),
    "quality": Check(
        samples.quality, "Every metric of quality and the perplexity under the base is there."
    ),
    "aggregates": Check(
        aggregates.aggregates,
        "Means, intervals, changes, verdicts and signatures follow from the samples, to 1e-9.",
    ),
    "base": Check(
        neighbours.base_on_board,
        "The base model is on the board, on the same list and track, judged by the same model.",
    ),
    "languages kept": Check(
        neighbours.languages_kept, "No language is dropped that another run of the model has."
    ),
    "samples new": Check(
        neighbours.samples_new, "The samples are not on the board under the model's name already."
    ),
    "copies": Check(neighbours.copies, "The texts are not those of another model on the board."),
}


def problems(case: Case) -> list[str]:
    """Return what all checks find, in the order of the table."""
    return [found for check in CHECKS.values() for found in check.function(case)]
