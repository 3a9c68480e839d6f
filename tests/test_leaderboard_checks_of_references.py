"""Reference rows: told by their hashes from rows that only have their name."""

import shutil
from pathlib import Path

import pytest
from submission_doubles import (
    BASE_WEIGHTS,
    SUITE,
    Change,
    add_base,
    forge,
    model_of,
    problems,
    stated,
)

from detox_bench.leaderboard.board import OnBoard
from detox_bench.leaderboard.content import EMPTY, text_digest
from detox_bench.leaderboard.making import make, put
from detox_bench.leaderboard.references import (
    RANDOM,
    REFERENCES,
    reference_model,
    reference_samples,
    reference_weights,
)
from detox_bench.leaderboard.submission import ModelCard, SampleLine
from detox_bench.stored_texts import PromptSamples


def lines_of(name: str, base: OnBoard) -> list[SampleLine]:
    """Return the samples of a reference row; the prompt of an id is the id itself."""
    samples = [
        PromptSamples(line.language, line.prompt_id, ("a word",) * len(line.texts))
        for line in base.lines
    ]
    prompts = {line.prompt_id: line.prompt_id for line in base.lines}
    made = reference_samples(name, samples, prompts)
    return [
        line.model_copy(
            update={
                "texts": [text_digest(text) for text in each.texts],
                "scores": [0.1] * len(each.texts),
                "perplexities": [20.0 if text else None for text in each.texts],
                "metrics": line.metrics if name != "says nothing" else {},
            }
        )
        for line, each in zip(base.lines, made, strict=True)
    ]


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """Return a board with a base and its reference rows."""
    board = tmp_path_factory.mktemp("original")
    _, base = add_base(board)
    for name in REFERENCES:
        weights = reference_weights(name, BASE_WEIGHTS)
        model = reference_model(name)
        own = stated(model, "other")
        card = ModelCard(name=model, revision=f"local-{weights[:12]}", weights_sha256=weights)
        identity = {"engine": "reference", "reference": name, "weights_sha256": weights}
        method = own.method.model_copy(update={"description": REFERENCES[name]})
        own = type(own)(
            **{
                **{field: getattr(own, field) for field in own.__slots__},
                **{"model": card, "identity": identity, "method": method},
            }
        )
        put(board, make(own, lines_of(name, base), base, SUITE))
    return board


@pytest.fixture
def board(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "board"))


def row(board: Path, name: str) -> Path:
    return model_of(board, reference_model(name).replace("/", "__"))


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_row_passes(board, name):
    assert problems(row(board, name)) == []


def one_text_more(lines):
    lines[0]["texts"][0] = text_digest("something else")


def perplexity_of_nothing(lines):
    lines[0]["perplexities"][0] = 12.0


def two_prompts_as_one(lines):
    for each in lines[1:]:
        each["texts"] = lines[0]["texts"]


def one_empty(lines):
    lines[0]["texts"][0] = EMPTY


def another_score(lines):
    lines[0]["scores"][0] = 0.9


WRONG = {
    "nothing, and something": ("says nothing", one_text_more, "has other texts than its own in ar"),
    "nothing that is judged": (
        "says nothing",
        perplexity_of_nothing,
        "has perplexities of nothing",
    ),
    "two sentences": ("one sentence", one_text_more, "has other texts than its own in ar"),
    "no English": ("always English", one_text_more, "has other texts than its own in ar"),
    "other prompts": ("repeats the prompt", two_prompts_as_one, "has other texts than 119 prompts"),
    "not the prompt alone": (
        "repeats the prompt",
        one_text_more,
        "has other texts than the prompt, as at sample/ar/0",
    ),
    "an empty text where the base has none": (
        RANDOM,
        one_empty,
        "is empty elsewhere than its base, as at sample/ar/0",
    ),
    "two scores of a text": (
        "one sentence",
        another_score,
        "has several scores for each of 1 texts",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_row_that_has_only_the_name_is_refused(board, fault):
    name, change, sentence = WRONG[fault]
    found = problems(forge(row(board, name), Change(lines=change)))
    assert f"The reference row {name} {sentence}." in found
