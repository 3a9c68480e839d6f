"""Greedy decoding in batches, against transformers' own and against itself."""

import pytest
import torch
from conftest import byte_tokenizer, tiny_gpt2, tiny_llama, tiny_mistral

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.greedy import encode_prompts, greedy
from detox_bench.modeling.loading import LoadedModel

TEXTS = ["prompt 0 en", "p", "prompt 12 en", "twenty characters ok", "prompt 0 en", "مرحبا"]
PROMPTS = [tuple(text.encode()) for text in TEXTS]


@pytest.fixture(scope="module", params=[tiny_gpt2, tiny_llama, tiny_mistral])
def model(request):
    return request.param()


def decode(model, **options):
    batches = greedy(CausalModel(model), PROMPTS, 8, **options)
    return {each.place: each.tokens for batch in batches for each in batch}


def test_it_decodes_what_transformers_does_without_padding(model):
    found = decode(model)
    for place, prompt in enumerate(PROMPTS):
        made = model.generate(
            torch.tensor([prompt]),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert found[place] == made[0, len(prompt) :].tolist()


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_the_batch_changes_no_token(model, batch_size):
    assert decode(model, batch_size=batch_size) == decode(model, batch_size=2)


def test_a_row_counts_up_to_the_step_that_makes_its_stop_token_and_the_others_go_on(model):
    free = decode(model)
    stop = free[0][2]
    steps = dict.fromkeys(range(len(PROMPTS)), 0)

    def count(step):
        for place, running in zip(step.places, step.running.tolist(), strict=True):
            steps[place] += running

    found = decode(model, stop_tokens=[stop], seen=count)
    for place, tokens in free.items():
        end = tokens.index(stop) if stop in tokens else None
        assert found[place] == tokens[:end]
        assert steps[place] == (8 if end is None else end + 1)
    assert steps[0] <= 3


def test_nothing_is_run_once_every_row_has_ended(model):
    passes = []
    stops = range(257)
    found = decode(model, stop_tokens=stops, seen=passes.append, batch_size=3)
    assert set(map(tuple, found.values())) == {()}
    assert len(passes) == 2  # one a batch


def test_prompts_are_cut_on_the_left_to_leave_room_for_the_new_tokens():
    loaded = LoadedModel("tiny", tiny_gpt2(), byte_tokenizer())
    text = "".join(chr(97 + n % 26) for n in range(300))
    (tokens,) = encode_prompts(loaded, [text], 20)
    assert loaded.tokenizer.decode(tokens) == text[-108:]  # a window of 128
    with pytest.raises(DetoxBenchError, match="128 new tokens do not fit a window of 128"):
        encode_prompts(loaded, [text], 128)
