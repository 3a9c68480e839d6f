"""The hash of weights: equal for equal weights, another for any edit."""

import hashlib

import numpy as np
import pytest
import torch
from conftest import tiny_gpt2
from torch import nn

from detox_bench.modeling import fingerprint
from detox_bench.modeling.fingerprint import weights_sha256


class Two(nn.Module):
    """Two parameters of known bytes."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.tensor([1.0, 2.0]).to(dtype))
        self.a = nn.Parameter(torch.zeros(2, 1).to(dtype))


def test_it_is_the_hash_of_names_types_shapes_and_bytes_in_the_order_of_names():
    expected = hashlib.sha256(
        b"a torch.float32 (2, 1)\n"
        + np.zeros(2, "<f4").tobytes()
        + b"b torch.float32 (2,)\n"
        + np.array([1, 2], "<f4").tobytes()
    )
    assert weights_sha256(Two()) == expected.hexdigest()


def test_pieces_change_nothing(monkeypatch):
    whole = weights_sha256(tiny_gpt2())
    monkeypatch.setattr(fingerprint, "_CHUNK", 301)
    assert weights_sha256(tiny_gpt2()) == whole


def test_the_smallest_edit_shows():
    model, before = tiny_gpt2(), weights_sha256(tiny_gpt2())
    assert weights_sha256(model) == before
    with torch.no_grad():
        weight = model.transformer.h[1].mlp.c_proj.weight
        weight[3, 4] = torch.nextafter(weight[3, 4], torch.tensor(9.0))
    assert weights_sha256(model) != before
    assert weights_sha256(tiny_gpt2(seed=1)) != before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_type_is_hashed_as_itself(dtype):
    assert weights_sha256(Two(dtype)) != weights_sha256(Two())
    assert weights_sha256(Two(dtype)) == weights_sha256(Two(dtype))


def test_a_view_that_does_not_lie_in_one_piece():
    model = Two()
    model.a = nn.Parameter(torch.arange(6.0).reshape(2, 3).T[:, :1])
    copy = Two()
    copy.a = nn.Parameter(torch.tensor([[0.0], [1.0], [2.0]]))
    assert weights_sha256(model) == weights_sha256(copy)


def test_adapters_are_weights_too():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    plain = weights_sha256(tiny_gpt2())
    torch.manual_seed(1)
    assert weights_sha256(peft.get_peft_model(tiny_gpt2(), config)) != plain
