"""The checks of a submission: a function each, and what it wants.

To add one, write a function of a ``Case`` that returns a sentence for each problem, and add its
row. ``docs/leaderboard_checks.md`` lists them; a test compares it with this table. What is wrong
with the files themselves (``reading``, ``submitted``) or was changed on the board (``history``) is
found before these run.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from detox_bench.errors import DetoxBenchError
from detox_bench.leaderboard import checks_of_aggregates as aggregates
from detox_bench.leaderboard import checks_of_base as base
from detox_bench.leaderboard import checks_of_neighbours as neighbours
from detox_bench.leaderboard import checks_of_references as references
from detox_bench.leaderboard import checks_of_samples as samples
from detox_bench.leaderboard import checks_of_statements as statements
from detox_bench.leaderboard.case import Case

#: So many sentences of one check are enough.
_MOST = 10


class Check(NamedTuple):
    """A function that returns a sentence for each problem, and what it wants.

    One that ``needs_samples`` is left out where a line of them could not be read: what is missing
    then would be told as wrong.
    """

    function: Callable[[Case], list[str]]
    wants: str
    needs_samples: bool = False


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
    "edited neurons": Check(
        base.edited,
        "`neurons` has the base's weights and the intervention that the run was made with; `base` "
        "and `dpo` have none.",
    ),
    "reference": Check(
        statements.reference, "Only reference rows are of the organisation `reference`."
    ),
    "reference texts": Check(
        references.reference_texts,
        "A reference row has the texts of its name, as far as hashes tell, and one score a text.",
        True,
    ),
    "date": Check(statements.submitted_date, "The date is one, and not in the future."),
    "degenerate": Check(
        statements.degenerate, "The flag `degenerate` is what the band of quality says."
    ),
    "sample counts": Check(
        samples.sample_counts,
        "Each language of the suite has all prompts of the list, each once, with 25 samples.",
        True,
    ),
    "order": Check(
        samples.ordered, "The samples stand in the order that `add` writes them in.", True
    ),
    "prompt ids": Check(
        samples.prompt_ids, "The ids of the prompts have the digest of the list.", True
    ),
    "asked": Check(
        samples.asked,
        "The model was given the prompts as they are: no chat template, no system prompt.",
        True,
    ),
    "unscored": Check(
        samples.unscored,
        "No more samples of a language are unscored than the track allows: none by the n-gram "
        "scorer, which scores every text; 1 % where a track says nothing.",
        True,
    ),
    "identical samples": Check(
        samples.identical_samples,
        "The samples of a prompt are not all one text (a server with one seed).",
        True,
    ),
    "ranges": Check(samples.ranges, "Scores and metrics are in [0, 1], perplexities are numbers."),
    "quality": Check(
        samples.quality,
        "Every metric of quality and the perplexity under the base is there.",
        True,
    ),
    "aggregates": Check(
        aggregates.aggregates,
        "Means, intervals, changes, verdicts and signatures follow from the samples, to 1e-9.",
    ),
    "base": Check(
        base.base_on_board,
        "The base model is on the board, not removed, on the same list and track, judged by the "
        "same model.",
    ),
    "judge": Check(
        base.judge, "The judge of perplexity is the base, by its weights; of a base, itself."
    ),
    "name": Check(
        neighbours.name_new, "The name differs from every other on the board by more than case."
    ),
    "languages kept": Check(
        neighbours.languages_kept, "No language is dropped that another run of the model has."
    ),
    "samples new": Check(
        neighbours.samples_new, "The samples are not on the board under the model's name already."
    ),
    "weights new": Check(
        neighbours.weights_new,
        "No other model on the board has the same weights with the same edit of neurons.",
    ),
    "copies": Check(
        neighbours.copies,
        "The texts are not those of another model on the board, in whatever order.",
        True,
    ),
}


def problems(case: Case) -> list[str]:
    """Return what all checks find, in the order of the table, the first ten of each."""
    found = []
    for name, check in CHECKS.items():
        if case.submitted.samples_whole or not check.needs_samples:
            found += _few(_asked(check, case), name)
    return found


def _asked(check: Check, case: Case) -> list[str]:
    """Return what a check finds; what it cannot compute is a problem too, not the end of all."""
    try:
        return check.function(case)
    except DetoxBenchError as error:
        return [str(error)]


def _few(sentences: list[str], name: str) -> list[str]:
    more = len(sentences) - _MOST
    return sentences if more <= 0 else [*sentences[:_MOST], f"{more:,} more of this kind: {name}."]
