"""Neurons as detectors of toxic texts: responses against single passes, AUROC by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from architecture_models import tiny
from conftest import byte_tokenizer, tiny_gpt2

from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.modeling.architectures import ARCHITECTURES, down_projections
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.neurons.find import detectors
from detox_bench.neurons.find.detectors import measure_detectors
from detox_bench.statistics import auroc
from detox_bench.types import NeuronId

# Of one beginning, responses may be equal, and rounding would say which is higher.
TEXTS = ["text 0", "a somewhat longer text 1", "q", "number 3", "is text 4", "x" * 30]
TOXIC = [True, False, True, False, False, True]


def loaded_of(model):
    return LoadedModel("tiny", model, byte_tokenizer())


def responses(model, text):
    """Return ``(layers, neurons)``: the maxima over the tokens of one text, run alone."""
    seen = []
    hooks = [
        each.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        for each in down_projections(model)
    ]
    ids = byte_tokenizer()(text)["input_ids"]
    with torch.no_grad():
        model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return torch.stack([each.reshape(len(ids), -1).amax(0) for each in seen]).numpy()


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_padding_is_in_no_maximum(model_type, monkeypatch):
    """In one padded batch the responses are those of each text alone, in every architecture."""
    model, kept = tiny(model_type), []

    def keep(positive, negative):
        kept.append((positive.copy(), negative.copy()))
        return auroc(positive, negative)

    monkeypatch.setattr(detectors, "auroc", keep)
    found = measure_detectors(loaded_of(model), TEXTS, TOXIC)
    alone = np.stack([responses(model, text) for text in TEXTS], axis=1)
    kinds = np.array(TOXIC)
    for layer, (positive, negative) in enumerate(kept[:-1]):
        np.testing.assert_allclose(positive, alone[layer, kinds], atol=1e-4)
        np.testing.assert_allclose(negative, alone[layer, ~kinds], atol=1e-4)
    assert found.aurocs.shape == (alone.shape[0], alone.shape[2])


def test_a_hand_worked_table():
    """Neuron 0 says how high the highest byte is; bytes are ids, and `~` is above `a`.

    Toxic: "~", "b~"; others: "a", "~a". Maxima: high, high; low, high. Of the 4 pairs 2 are won and
    2 are ties: (2 + 2/2) / 4 = 3/4. Tokens: 1, 2; 1, 2. Of 4 pairs 1 is won, 2 are ties: 1/2.
    """

    class Heights(torch.nn.Module):
        """One block whose first activation is the id of the token."""

        def __init__(self):
            super().__init__()
            self.config = SimpleNamespace(max_position_embeddings=8)
            self.config.get_text_config = lambda: self.config
            self.down = torch.nn.Linear(2, 2)
            self.device = torch.device("cpu")

        def forward(self, input_ids, attention_mask, past_key_values, use_cache):
            ids = input_ids.float()
            out = self.down(torch.stack([ids, -ids], -1))
            return SimpleNamespace(logits=out, past_key_values=())

    model = Heights()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detectors, "down_projections", lambda _: [model.down])
        patch.setattr(detectors, "neuron_shape", lambda _: (1, 2, 2))
        found = measure_detectors(loaded_of(model), ["~", "b~", "a", "~a"], [1, 1, 0, 0])
    assert found.aurocs[0, 0] == 0.75
    assert found.length == 0.5
    # The second activation is minus the id, so that its maximum tells the lowest byte:
    # toxic -~, -b; others -a, -a. All 4 pairs are lost.
    assert found.aurocs[0, 1] == 0.0


def test_batches_do_not_matter(monkeypatch):
    loaded = loaded_of(tiny_gpt2())
    whole = measure_detectors(loaded, TEXTS, TOXIC)
    monkeypatch.setattr(detectors, "BATCH_TOKENS", 1)
    np.testing.assert_allclose(measure_detectors(loaded, TEXTS, TOXIC).aurocs, whole.aurocs)


def test_batches_do_not_matter_under_an_edit_of_generated_positions(monkeypatch):
    """Texts are padded on the left: the last column is the last token of each."""
    loaded = loaded_of(tiny_gpt2())
    edits = [(NeuronId(0, n), 3.0) for n in range(40)]
    edit = intervention(base_model_of(loaded.model, "tiny"), "add", edits, "generated")
    plain = measure_detectors(loaded, TEXTS, TOXIC).aurocs
    with edited(loaded.model, edit):
        whole = measure_detectors(loaded, TEXTS, TOXIC).aurocs
        monkeypatch.setattr(detectors, "BATCH_TOKENS", 1)
        np.testing.assert_allclose(measure_detectors(loaded, TEXTS, TOXIC).aurocs, whole)
    assert not np.allclose(whole, plain)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_activations_that_are_no_numbers_are_refused(value):
    """Also minus infinity at one token of one text, which no maximum shows."""
    loaded = loaded_of(tiny_gpt2())

    def damage(_, args):
        damaged = args[0].clone()
        damaged[-1, -1, 5] = value
        return (damaged,)

    down_projections(loaded.model)[1].register_forward_pre_hook(damage)
    with pytest.raises(DetoxBenchError, match=r"activations are not finite numbers.*bfloat16"):
        measure_detectors(loaded, TEXTS, TOXIC)


def test_a_text_is_looked_at_up_to_its_longest(monkeypatch):
    monkeypatch.setattr(detectors, "LONGEST", 6)
    loaded = loaded_of(tiny_gpt2())
    found = measure_detectors(loaded, TEXTS, TOXIC)
    cut = measure_detectors(loaded, [text[:6] for text in TEXTS], TOXIC)
    np.testing.assert_array_equal(found.aurocs, cut.aurocs)


@pytest.mark.parametrize(("toxic", "said"), [(True, "toxic"), (False, "not toxic")])
def test_one_kind_of_text_is_refused(toxic, said):
    with pytest.raises(BadData, match=f"All 6 texts are {said}. An AUROC needs"):
        measure_detectors(loaded_of(tiny_gpt2()), TEXTS, [toxic] * 6)


def test_a_full_disk_is_seen_before_anything_is_run(monkeypatch):
    monkeypatch.setattr(detectors.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DetoxBenchError, match=r"take 0.0 GB in .* where 0.0 GB are free"):
        measure_detectors(loaded_of(tiny_gpt2()), TEXTS, TOXIC)
