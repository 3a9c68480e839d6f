"""The shared key-value cache: what it returns is what repeating the cache would have returned."""

import pytest
import torch
from conftest import tiny_gpt2, tiny_llama, tiny_mistral
from transformers import DynamicCache, Gemma2Config, Gemma2ForCausalLM, StaticCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from detox_bench.modeling.cache import RoomyLayer, share, shareable


def tiny_gemma2():
    """Return a random Gemma 2, whose layers see a window and everything in turn."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=257,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        sliding_window=6,
        initializer_range=0.3,
    )
    return Gemma2ForCausalLM(config).eval()


MODELS = {
    "gpt2": tiny_gpt2,
    "llama": tiny_llama,
    "sliding window": tiny_mistral,
    "both": tiny_gemma2,
}
PROMPTS = torch.arange(20).reshape(2, 10)
ROWS = torch.tensor([1, 0, 1, 1])


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


@torch.inference_mode()
def prefilled(model) -> DynamicCache:
    return model(PROMPTS, use_cache=True).past_key_values


def repeated(cache: DynamicCache, rows: torch.Tensor) -> DynamicCache:
    cache.batch_select_indices(rows)
    return cache


@torch.inference_mode()
def steps(model, cache: DynamicCache, count: int, rows: int = len(ROWS)) -> torch.Tensor:
    """Return the logits of ``count`` steps; the tokens differ by row and step."""
    found = []
    for step in range(count):
        ids = (torch.arange(rows)[:, None] * 7 + step * 3) % 257
        found.append(model(ids, past_key_values=cache, use_cache=True).logits[:, -1])
    return torch.stack(found)


def test_stepping_equals_a_repeated_cache(model):
    expected = steps(model, repeated(prefilled(model), ROWS), 5)
    found = steps(model, share(prefilled(model), ROWS, 5), 5)
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found[:, 0], found[:, 1], atol=1e-2)


def test_the_cache_that_is_shared_stays_as_it_was(model):
    cache, untouched = prefilled(model), prefilled(model)
    first = steps(model, share(cache, ROWS, 5), 5)
    assert cache.get_seq_length() == 10
    for layer, before in zip(cache.layers, untouched.layers, strict=True):
        assert torch.equal(layer.keys, before.keys)
        assert torch.equal(layer.values, before.values)
    assert torch.equal(steps(model, share(cache, ROWS, 5), 5), first)


def test_rows_can_be_dropped_on_the_way(model):
    cache = share(prefilled(model), ROWS, 5)
    whole = steps(model, cache, 2)
    kept = torch.tensor([0, 2])
    cache.batch_select_indices(kept)
    found = steps(model, cache, 3, rows=2)
    other = repeated(prefilled(model), ROWS)
    assert torch.allclose(steps(model, other, 2), whole, atol=1e-5)
    other.batch_select_indices(kept)
    assert torch.allclose(found, steps(model, other, 3, rows=2), atol=1e-5)


def test_every_layer_of_these_models_is_shareable(model):
    cache = prefilled(model)
    assert shareable(cache)
    shared = share(cache, ROWS, 5)
    assert shareable(shared)
    assert {type(layer) for layer in shared.layers} <= {RoomyLayer, DynamicSlidingWindowLayer}


def test_a_roomy_layer_says_how_long_it_is_and_writes_in_place():
    layer = DynamicLayer()
    layer.update(torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 3, 2))
    roomy = RoomyLayer(layer, torch.tensor([0, 0]), 2)
    keys, values = roomy.update(torch.ones(2, 1, 1, 2), torch.full((2, 1, 1, 2), 2.0))
    assert keys.shape == values.shape == (2, 1, 4, 2)
    assert keys[:, :, 3].eq(1).all() and values[:, :, 3].eq(2).all() and keys[:, :, :3].eq(0).all()
    assert roomy.get_seq_length() == 4
    again, _ = roomy.update(torch.ones(2, 1, 1, 2), torch.ones(2, 1, 1, 2))
    assert again.data_ptr() == keys.data_ptr()


def test_what_is_no_dynamic_cache_of_known_layers_is_not_shareable():
    class OtherLayer(DynamicLayer):
        """A layer of a kind without a row."""

    cache = DynamicCache()
    cache.layers = [DynamicLayer(), OtherLayer()]
    assert not shareable(cache)
    assert not shareable(None)
    assert not shareable((torch.zeros(1),))
    assert not shareable(StaticCache(config=tiny_llama().config, max_cache_len=4))
