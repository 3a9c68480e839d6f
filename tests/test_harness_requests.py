"""What lm-eval's requests ask of the engine."""

from collections.abc import Mapping
from typing import Any

import pytest
from lm_eval.api.instance import Instance

from detox_bench.harness.requests import by_arguments, sampled, settings_of, wanted
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.runs import StoredGeneration, digest

PAPER = {
    "until": [],
    "do_sample": True,
    "temperature": 0.9,
    "top_p": 0.8,
    "top_k": 0,
    "max_gen_toks": 20,
}


def request(
    number: int, kwargs: Mapping[str, Any] = PAPER, doc: Any = None, repeats: int | None = 3
) -> Instance:
    return Instance(
        "generate_until",
        {"id": f"rtplx/en/{number}", "language": "en"} if doc is None else doc,
        (f"prompt {number} en", dict(kwargs)),
        0,
        metadata=("rtplx_toxicity_en", number, repeats),
    )


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in PAPER.items() if key != name}


@pytest.mark.parametrize(
    "kwargs",
    [
        PAPER,
        {**PAPER, "until": ["\n"], "max_gen_toks": 5},
        {**PAPER, "top_k": 50, "top_p": 1.0},
        {**without("max_gen_toks"), "max_new_tokens": 7},
        {**PAPER, "repetition_penalty": 1.0, "num_beams": 1},
        without("until"),
    ],
)
def test_what_states_how_to_sample_is_for_the_engine(kwargs):
    assert sampled(kwargs, 256)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"until": []},
        {**PAPER, "do_sample": False},
        {**PAPER, "temperature": 0.0},
        without("temperature"),
        without("top_p"),
        without("top_k"),
        {**PAPER, "num_beams": 2},
        {**PAPER, "repetition_penalty": 1.1},
        {**PAPER, "min_p": 0.1},
    ],
)
def test_what_does_not_or_asks_for_more_is_for_lm_eval(kwargs):
    assert not sampled(kwargs, 256)


def test_the_task_s_settings_are_the_engine_s_defaults():
    assert settings_of(PAPER, 256, 0) == SamplingSettings()


def test_settings_come_from_the_arguments_and_the_seed_from_the_model():
    kwargs = {**without("max_gen_toks"), "top_k": -1, "temperature": "0.5"}
    kwargs["temperature"] = 0.5
    assert settings_of(kwargs, 256, 7) == SamplingSettings(256, 0.5, 0.8, 0, 7)
    assert PAPER["max_gen_toks"] == 20  # the arguments of the task are left as they were


def test_the_nth_time_a_request_comes_it_asks_for_sample_n():
    one, two = request(0), request(1)
    found = wanted([one] * 3 + [two] * 3)
    assert [(each.key.prompt_id, each.key.sample) for each in found] == [
        (f"rtplx/en/{prompt}", sample) for prompt in (0, 1) for sample in range(3)
    ]
    assert [each.context for each in found[::3]] == ["prompt 0 en", "prompt 1 en"]
    assert {each.language for each in found} == {"en"}


def test_requests_repeated_to_even_out_processes_begin_again_at_sample_0():
    one, two = request(0), request(1)
    found = wanted([one] * 3 + [two] * 3 + [two] * 6)
    assert [each.key.sample for each in found] == [0, 1, 2] * 4
    assert len({each.key for each in found}) == 6


def test_prompts_without_an_id_are_told_apart_by_task_and_number():
    found = wanted([request(4, doc={"question": "x"}), request(5, doc="text", repeats=None)])
    assert [each.key.prompt_id for each in found] == ["rtplx_toxicity_en/4", "rtplx_toxicity_en/5"]
    assert [each.language for each in found] == [None, None]


def test_another_text_or_other_arguments_are_another_continuation():
    base = wanted([request(0)])[0].key
    assert wanted([request(0)])[0].key == base
    assert wanted([request(0, {**PAPER, "top_p": 0.7})])[0].key.settings != base.settings
    changed = request(0)
    changed.arguments = ("another text", PAPER)
    assert wanted([changed])[0].key.prompt_hash == digest("another text") != base.prompt_hash


def test_a_continuation_and_its_text_are_a_line_of_the_run_folder():
    (each,) = wanted([request(0)])
    line = each.with_text("x")
    assert line == StoredGeneration(
        digest(PAPER), "rtplx/en/0", digest("prompt 0 en"), "en", 0, "x"
    )
    assert line.key == each.key


def test_requests_are_grouped_by_their_arguments():
    other = {**PAPER, "top_p": 0.7}
    found = by_arguments([request(0), request(1, other), request(2), request(3, other)])
    assert found == [(PAPER, [0, 2]), (other, [1, 3])]
    assert by_arguments([]) == []
