"""The sampler against a slow reference, and against itself in every other arrangement."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from conftest import tiny_gpt2, tiny_llama, tiny_mamba, tiny_mistral
from torch import Tensor

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling import sampling
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.nucleus import TRIES, SamplingSettings, draw
from detox_bench.modeling.random_numbers import uniforms
from detox_bench.modeling.sampling import Sampler, SampleRequest

SETTINGS = SamplingSettings(new_tokens=8, seed=5)
Texts = dict[tuple[str, int], list[int]]


MODELS: dict[str, Callable[[], Any]] = {
    "gpt2": tiny_gpt2,
    "llama": tiny_llama,
    "sliding window": tiny_mistral,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request) -> CausalModel:
    return CausalModel(MODELS[request.param]())


@pytest.fixture(scope="module")
def gpt2() -> CausalModel:
    return CausalModel(tiny_gpt2())


def requests(samples: int = 4) -> list[SampleRequest]:
    """Return prompts of 1 to 20 tokens, two of them of one length, two with one text."""
    texts = ["prompt 0 en", "p", "prompt 12 en", "twenty characters ok", "prompt 0 en", "مرحبا"]
    return [
        SampleRequest(f"{number}", tuple(text.encode()), tuple(range(samples)))
        for number, text in enumerate(texts)
    ]


def sample(
    model: CausalModel,
    asked: Iterable[SampleRequest],
    batch_size: int = 64,
    settings: SamplingSettings = SETTINGS,
    stop_tokens: Iterable[int] = (),
) -> Texts:
    sampler = Sampler(model, settings, stop_tokens, batch_size)
    batches = list(sampler.sample(asked))
    assert all(len(batch) <= batch_size for batch in batches)
    made = [((each.request.prompt_id, each.sample), each.tokens) for b in batches for each in b]
    assert len(dict(made)) == len(made)
    return dict(made)


@torch.inference_mode()
def reference(model: CausalModel, asked: SampleRequest, number: int, stops: set[int]) -> list[int]:
    """Draw one continuation with no cache, no batch, no mask: a whole forward pass a token."""
    tokens = list(asked.tokens)
    numbers = uniforms(SETTINGS.seed, asked.prompt_id, number, SETTINGS.new_tokens * TRIES)
    for tries in torch.from_numpy(numbers).unflatten(0, (-1, TRIES)):
        logits = model.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[:, -1]
        token = int(draw(logits, tries[None], SETTINGS).tokens)
        if token in stops:
            break
        tokens.append(token)
    return tokens[len(asked.tokens) :]


def test_every_token_is_that_of_the_slow_reference(model):
    made = sample(model, requests())
    expected = {
        (each.prompt_id, number): reference(model, each, number, set())
        for each in requests()
        for number in each.samples
    }
    assert made == expected
    assert len({tuple(tokens) for tokens in made.values()}) > 20


@pytest.mark.parametrize("batch_size", [1, 3, 25])
def test_the_batch_size_changes_no_token(model, batch_size):
    asked = requests()[:3] if batch_size == 1 else requests()
    whole = sample(model, asked, 64)
    assert sample(model, asked, batch_size) == whole


def test_order_and_limits_change_no_token(model):
    whole = sample(model, requests())
    assert sample(model, reversed(requests()), 7) == whole
    some = sample(model, requests()[2:4], 7)
    assert some == {key: tokens for key, tokens in whole.items() if key in some}
    assert len(some) == 8


def test_some_samples_of_a_prompt_are_those_it_has_among_all(gpt2):
    whole = sample(gpt2, requests(9))
    odd = [SampleRequest(each.prompt_id, each.tokens, (1, 3, 7)) for each in requests()]
    assert sample(gpt2, odd) == {key: t for key, t in whole.items() if key[1] in (1, 3, 7)}


def test_a_cache_that_cannot_be_shared_gives_the_same_tokens(model, monkeypatch):
    whole = sample(model, requests(3))
    monkeypatch.setattr(sampling, "shareable", lambda cache: False)
    assert sample(model, requests(3), 7) == whole


@pytest.mark.parametrize("shared", [True, False])
def test_stop_tokens_end_their_row_and_move_no_other(model, shared, monkeypatch):
    whole = sample(model, requests())
    stops = {tokens[at] for at, tokens in enumerate(whole.values()) if at < 8}
    if not shared:
        monkeypatch.setattr(sampling, "shareable", lambda cache: False)
    stopped = sample(model, requests(), stop_tokens=stops)
    for key, tokens in whole.items():
        end = next((at for at, token in enumerate(tokens) if token in stops), len(tokens))
        assert stopped[key] == tokens[:end]
    lengths = {len(tokens) for tokens in stopped.values()}
    assert len(lengths) > 3 and max(lengths) == 8


def test_ended_rows_are_not_decoded_further(gpt2, monkeypatch):
    rows: list[int] = []
    step = CausalModel.step
    monkeypatch.setattr(
        CausalModel,
        "step",
        lambda self, ids, mask, cache: rows.append(len(ids)) or step(self, ids, mask, cache),
    )
    sample(gpt2, requests()[:1], stop_tokens=range(257))
    assert set(rows) == {1}  # the prefill, sequences run alone to measure noise, and no step of 4
    rows.clear()
    whole = sample(gpt2, requests(40)[:1])
    assert [n for n in rows[1:] if n > 1] == [40] * 7  # those of 1 are draws that are settled
    first = {tokens[0] for tokens in list(whole.values())[:20]}
    rows.clear()
    stopped = sample(gpt2, requests(40)[:1], stop_tokens=first)
    left = sum(len(tokens) > 0 for tokens in stopped.values())
    assert 0 < left <= 30
    assert max(rows[1:]) == left


def test_two_prompts_with_one_text_get_their_own_numbers(gpt2):
    made = sample(gpt2, requests())
    assert [made["0", n] for n in range(4)] != [made["4", n] for n in range(4)]


def test_another_seed_is_another_text(gpt2):
    other = SamplingSettings(new_tokens=8, seed=6)
    assert sample(gpt2, requests(), settings=other) != sample(gpt2, requests())


def test_fewer_new_tokens_are_the_beginning_of_more(gpt2):
    short = sample(gpt2, requests(), settings=SamplingSettings(new_tokens=3, seed=5))
    assert short == {key: tokens[:3] for key, tokens in sample(gpt2, requests()).items()}


def test_the_first_token_is_distributed_as_the_nucleus_of_the_model(gpt2):
    asked = [SampleRequest(f"p{n}", tuple(b"prompt 0 en"), tuple(range(100))) for n in range(40)]
    made = sample(gpt2, asked, 1000, SamplingSettings(new_tokens=1))
    with torch.inference_mode():
        logits = gpt2.model(torch.tensor([asked[0].tokens])).logits[0, -1]
    probabilities = (logits / 0.9).double().softmax(-1)
    ordered = probabilities.sort(descending=True)
    kept = ordered.indices[ordered.values.cumsum(-1) - ordered.values < 0.8]
    wanted = torch.zeros(257, dtype=torch.float64)
    wanted[kept] = probabilities[kept] / probabilities[kept].sum()
    drawn = torch.bincount(torch.tensor([tokens[0] for tokens in made.values()]), minlength=257)
    assert drawn[wanted == 0].sum() == 0
    deviation = (drawn - 4000 * wanted)[kept] / (4000 * wanted * (1 - wanted))[kept].sqrt()
    assert deviation.abs().max() < 4.5


def test_close_draws_are_settled_by_the_sequence_alone(gpt2, monkeypatch):
    """With all draws called close and the batch's logits spoilt, every token is settled alone."""
    whole = sample(gpt2, requests(3))

    def spoilt(logits: Tensor, numbers: Tensor, settings: Any, *noise: Any) -> Any:
        if not noise:  # a settled draw
            return draw(logits, numbers, settings)
        won = draw(logits, numbers, settings, *noise)
        return won._replace(tokens=(won.tokens + 1) % 257, close=torch.ones_like(won.close))

    monkeypatch.setattr(sampling, "draw", spoilt)
    assert sample(gpt2, requests(3)) == whole


def test_a_peft_wrapped_model_is_sampled_with_its_adapter():
    peft = pytest.importorskip("peft")
    plain = sample(CausalModel(tiny_gpt2()), requests())
    config = peft.LoraConfig(
        r=2, target_modules=["c_attn"], init_lora_weights=False, fan_in_fan_out=True
    )
    torch.manual_seed(1)
    model = CausalModel(peft.get_peft_model(tiny_gpt2(), config).eval())
    adapted = sample(model, requests())
    assert adapted != plain
    assert sample(model, requests(), 5) == adapted
    with model.model.disable_adapter():
        assert sample(model, requests()) == plain


def test_bfloat16_is_sampled_without_settling(monkeypatch):
    model = CausalModel(tiny_gpt2().to(torch.bfloat16))
    made = sample(model, requests())
    assert sample(model, requests()) == made
    assert {len(tokens) for tokens in made.values()} == {8}


def test_a_model_without_a_key_value_cache_is_one_sentence():
    with pytest.raises(DetoxBenchError, match="MambaForCausalLM returns no key-value cache"):
        sample(CausalModel(tiny_mamba()), requests())


def test_no_request_makes_no_batch(gpt2):
    assert sample(gpt2, []) == {}
