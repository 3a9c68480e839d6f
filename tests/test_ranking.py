"""The largest few: equal to ``torch.topk`` for every shape."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detox_bench.modeling.ranking import top


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3000), st.integers(1, 300), st.integers(0, 99))
def test_it_equals_topk(rows, n, count, seed):
    count = min(count, n)
    scores = torch.randn(rows, n, generator=torch.Generator().manual_seed(seed))
    found, wanted = top(scores, count), scores.topk(count)
    assert torch.equal(found.values, wanted.values)
    assert torch.equal(found.places, wanted.indices)


@pytest.mark.parametrize("n", [5001, 40_000, 50_257, 1024 * 64])
def test_vocabularies_that_do_not_divide_lose_no_place(n):
    """The largest scores are put at the very end, where the rest of the division lies."""
    scores = torch.arange(n, dtype=torch.float32).expand(2, -1)
    found = top(scores, 256)
    assert found.places[0].tolist() == list(range(n - 1, n - 257, -1))


def test_ties_give_places_that_hold_the_values_once_each():
    scores = torch.randint(0, 4, (6, 5001), generator=torch.Generator().manual_seed(0)).float()
    found = top(scores, 300)
    assert torch.equal(found.values, scores.topk(300).values)
    assert torch.equal(scores.gather(-1, found.places), found.values)
    assert all(len(set(places)) == 300 for places in found.places.tolist())
