"""The formats a submission can be exported to: for other boards, and for the model's own page.

To support another format, add a function and its row of ``FORMATS``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from detox_bench.errors import unknown_name
from detox_bench.leaderboard.format_every_eval_ever import every_eval_ever
from detox_bench.leaderboard.format_hub import eval_results, eval_yaml
from detox_bench.leaderboard.format_model_card import model_card
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.submission import Submission
from detox_bench.runs import check_files

#: What a format is made from: a submission, and the suite it is of.
Writer = Callable[[Submission, Specification], str]


class Format(NamedTuple):
    """How a submission is written, and where the file belongs."""

    write: Writer
    about: str


FORMATS: Mapping[str, Format] = {
    "every-eval-ever": Format(every_eval_ever, "JSON of schema 0.3 of Every Eval Ever"),
    "hf-eval-results": Format(eval_results, "a file for `.eval_results/` of the model repository"),
    "model-card": Format(model_card, "a section of Markdown for the model's README"),
    "eval-yaml": Format(eval_yaml, "the `eval.yaml` of the data set's repository"),
}


def export(submission: Submission, suite: Specification, to: str, output: Path) -> None:
    """Write a submission in a format of ``FORMATS``; raises ``UnknownName`` for another."""
    if to not in FORMATS:
        raise unknown_name("format", to, FORMATS)
    check_files(output)
    output.write_text(FORMATS[to].write(submission, suite), "utf-8")
