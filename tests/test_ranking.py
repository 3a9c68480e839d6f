"""Value vectors against a probe: the whole computation at once, and by hand."""

import numpy as np
import pytest
import torch
from architecture_models import LAYERS, NEURONS, tiny
from conftest import tiny_gpt2

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling import architectures
from detox_bench.modeling.architectures import ARCHITECTURES, down_projections, value_vectors
from detox_bench.neurons.find import ranking
from detox_bench.neurons.find.ranking import highest, measure_vectors, vectors_of
from detox_bench.types import NeuronId


def direction(width, seed=0):
    return np.random.default_rng(seed).normal(size=width).astype(np.float32)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_layer_by_layer_is_the_same_as_all_at_once(model_type, monkeypatch):
    monkeypatch.setattr(ranking, "_AT_ONCE", 7)
    model = tiny(model_type)
    every = torch.stack([value_vectors(each) for each in down_projections(model)]).float()
    probe = direction(every.shape[-1])
    found = measure_vectors(model, probe)
    wanted = torch.cosine_similarity(every, torch.from_numpy(probe), dim=-1)
    np.testing.assert_allclose(found.cosines, wanted, atol=1e-6)
    np.testing.assert_allclose(found.norms, every.norm(dim=-1), rtol=1e-6)
    best = wanted.flatten().argsort(descending=True)[:10].tolist()
    ids = highest(found.cosines, 10)
    assert ids == [NeuronId(*divmod(place, every.shape[1])) for place in best]
    assert torch.equal(vectors_of(model, ids), every.flatten(0, 1)[best])


def small_gpt2(vectors):
    """Return a GPT-2 whose first value vectors begin with ``vectors``, all others 0."""
    model = tiny_gpt2()
    with torch.no_grad():
        for projection in down_projections(model):
            projection.weight.zero_()
        for neuron, values in enumerate(vectors):
            down_projections(model)[1].weight[neuron, : len(values)] = torch.tensor(values)
    return model


def test_a_hand_worked_table():
    """Against (2, 0, ...): (3, 4) has 3/5, (1, 0) has 1, (-2, 0) has -1, (0, 7) has 0."""
    model = small_gpt2([(3.0, 4.0), (1.0, 0.0), (-2.0, 0.0), (0.0, 7.0)])
    probe = np.zeros(16, dtype=np.float32)
    probe[0] = 2.0
    found = measure_vectors(model, probe)
    assert found.cosines[1, :4].tolist() == pytest.approx([0.6, 1.0, -1.0, 0.0])
    assert found.norms[1, :4].tolist() == [5.0, 1.0, 2.0, 7.0]
    assert highest(found.cosines) == [NeuronId(1, n) for n in (1, 0, 3, 2)]
    assert np.isnan(found.cosines[0]).all()
    assert found.n_zero == found.norms.size - 4


def test_the_length_of_the_probe_does_not_matter_and_its_sign_does():
    model, probe = tiny_gpt2(), direction(16)
    cosines = measure_vectors(model, probe).cosines
    np.testing.assert_allclose(measure_vectors(model, 1e3 * probe).cosines, cosines, atol=1e-6)
    np.testing.assert_allclose(measure_vectors(model, -probe).cosines, -cosines, atol=1e-6)


def test_the_highest_of_equal_ones_is_the_first_and_nan_is_left_out():
    values = np.array([[0.5, np.nan, 0.9], [0.9, -1.0, 0.5]])
    places = [(0, 2), (1, 0), (0, 0), (1, 2), (1, 1)]
    assert highest(values) == [NeuronId(*place) for place in places]
    assert highest(values, 1) == [NeuronId(0, 2)]
    assert highest(values, None, above=0.5) == [NeuronId(0, 2), NeuronId(1, 0)]


@pytest.mark.parametrize("broken", [np.zeros(16), np.full(16, np.nan)])
def test_a_probe_without_a_direction_is_refused(broken):
    with pytest.raises(DetoxBenchError, match="has no direction"):
        measure_vectors(tiny_gpt2(), broken)


def test_weights_that_are_no_numbers_are_refused():
    model = tiny_gpt2()
    with torch.no_grad():
        down_projections(model)[1].weight[3, 2] = torch.nan
    with pytest.raises(DetoxBenchError, match=r"not numbers \(NaN or infinite\)"):
        measure_vectors(model, direction(16))


def test_no_copy_of_a_layer_is_made_at_once(monkeypatch):
    """Of bfloat16 weights no more than ``_AT_ONCE`` vectors are in float32 at a time."""
    monkeypatch.setattr(ranking, "_AT_ONCE", 8)
    model, rows = tiny("llama").bfloat16(), []
    norm = torch.linalg.vector_norm

    def counted(part, *arguments, **options):
        rows.append(part.shape)
        return norm(part, *arguments, **options)

    probe = direction(16)
    monkeypatch.setattr(ranking.torch.linalg, "vector_norm", counted)
    monkeypatch.setattr(architectures, "_images", None)  # plain weights are looked at, not run
    found = measure_vectors(model, probe)
    assert found.cosines.dtype == np.float32
    assert [shape for shape in rows if len(shape) == 2] == [(8, 16)] * (NEURONS // 8) * LAYERS
