"""The base: removed, judging itself, and edited as it is."""

import pytest
from submission_doubles import (
    BASE_WEIGHTS,
    Change,
    badge,
    forge,
    model_of,
    problems,
)

from detox_bench.neurons.edit.interventions import BaseModel, intervention
from detox_bench.types import NeuronId

#: Fields that make a model with edited neurons of the base.
EDIT = intervention(BaseModel("base", "gpt2", 2, 64), "add", [(NeuronId(0, 1), -1.0)])


def edit_neurons(raw):
    """Say that the model is the base with edited neurons."""
    raw["method"] |= {"kind": "neurons", "intervention": EDIT.as_json(), "recipe": None}
    raw["identity"] |= {"weights_sha256": BASE_WEIGHTS, "intervention": EDIT.sha256}
    raw["model"] |= {"weights_sha256": BASE_WEIGHTS, "revision": f"local-{BASE_WEIGHTS[:12]}"}


def test_a_base_that_was_removed_is_named(board):
    badge(model_of(board, "lab__base"), "removed")
    assert [each for each in problems(model_of(board)) if "was removed by maintainers" in each]
    badge(model_of(board, "lab__base"), "samples-checked")
    assert problems(model_of(board)) == []


def test_edited_neurons_are_the_base_with_an_edit(board):
    folder = forge(model_of(board), Change(edit_neurons))
    assert problems(folder) == []
    found = problems(
        forge(folder, Change(lambda raw: raw["identity"].update(intervention="0" * 16)))
    )
    assert [
        each for each in found if f"method.intervention is {EDIT.sha256}, and the run was" in each
    ]


def test_a_base_judges_itself(board):
    def other_judge(raw):
        raw["perplexity_judge"] = raw["perplexity_judge"].replace(BASE_WEIGHTS[:16], "0" * 16)

    (found,) = problems(forge(model_of(board, "lab__base"), Change(other_judge)))
    assert f"and the base judges, whose weights make it perplexity@{BASE_WEIGHTS[:16]}#…" in found


def test_edited_neurons_have_the_weights_of_the_base(board):
    def own_weights(raw):
        weights = (raw["model"]["weights_sha256"], raw["model"]["revision"])
        edit_neurons(raw)
        raw["model"] |= dict(zip(("weights_sha256", "revision"), weights, strict=True))
        raw["identity"]["weights_sha256"] = weights[0]

    (found,) = problems(forge(model_of(board), Change(own_weights)))
    assert f"and the base has {BASE_WEIGHTS[:16]}…: `neurons` edits the base as it is" in found
    assert found.endswith("What was folded into the weights is submitted as `other`.")


@pytest.mark.parametrize(
    "wrong",
    [
        {"edits": [[0, 64, -1.0]]},
        {"edits": [["0", 1, -1.0]]},
        {"edits": "none"},
        {"edits": [[0, 1, "x"]]},
        {"operator": "smooth"},
        {"base_model": {}},
        {"positions": None},
    ],
)
def test_what_is_no_intervention_is_refused(board, wrong):
    def edit(raw):
        edit_neurons(raw)
        raw["method"]["intervention"] |= wrong

    (found,) = problems(forge(model_of(board), Change(edit)))
    assert found.startswith("method.intervention is no intervention, and the run was made with ")
