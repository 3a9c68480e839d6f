"""Activations in two models: identities, a hand-worked change, and its figure."""

import json
import sys

import numpy as np
import pytest
from architecture_models import tiny
from conftest import byte_tokenizer, tiny_gpt2

from detox_bench.data.prompts import PromptSet
from detox_bench.errors import BadIntervention, DetoxBenchError, MissingExtra
from detox_bench.figures import check_figure
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.edit.interventions import BaseModel
from detox_bench.neurons.find.activation_change import (
    ActivationChange,
    ChangePlan,
    Side,
    change_of,
    compare_models,
    measure_languages,
)
from detox_bench.neurons.find.activation_figure import draw_change
from detox_bench.neurons.find.activations import mean_activations
from detox_bench.neurons.find.choosing import NeuronChoice
from detox_bench.types import NeuronId, Prompt

NEURONS = (NeuronId(0, 3), NeuronId(1, 5))
BASE = BaseModel("before", "gpt2", 2, 64)


def prompts(code, n=6):
    found = tuple(Prompt(f"own/{code}/{i}", code, f"prompt {i} {code}") for i in range(n))
    return PromptSet("own", "1", "0" * 64, found)


def change(shift=-0.1, languages=("en", "de"), n=6):
    """Return activations of two neurons that fall by ``shift`` and by 3 times that."""
    random = np.random.default_rng(0)
    before = {code: random.normal(size=(n, 2)).astype(np.float32) for code in languages}
    after = {code: each + np.float32([shift, 3 * shift]) for code, each in before.items()}
    chosen = NeuronChoice(NEURONS, BASE, "by hand")
    control = {code: each[:, :1] for code, each in before.items()}  # does not change
    sides = (
        Side(BASE, before, control),
        Side(BaseModel("after", "gpt2", 2, 64), after, control),
    )
    asked = {code: prompts(code, n) for code in languages}
    return ActivationChange(chosen, (NeuronId(0, 9),), asked, 20, *sides)


def test_a_prompt_has_the_mean_over_its_neurons():
    """-0.1 and -0.3 everywhere: the difference is -0.2 in every language, without any spread."""
    found = change()
    for row in found.rows():
        each = change_of(row)
        assert each.difference == pytest.approx((-0.2, -0.2, -0.2), abs=1e-6)
        assert each.lower
    en = change_of(found.rows()[1])
    assert en.base == pytest.approx(found.before.activations["en"].mean())
    assert [row.language for row in found.rows()] == ["de", "en", "mean"]


def test_the_control_has_rows_of_its_own():
    found = change()
    assert [change_of(row).difference for row in found.control_rows()] == [(0, 0, 0)] * 3
    assert found._replace(control=()).control_rows() == []
    assert json.loads(json.dumps(found.as_json()))["control"]["neurons"] == [[0, 9]]


def test_the_json_has_the_means_of_each_neuron():
    found = change()
    first, second = json.loads(json.dumps(found.as_json()))["neurons"]
    assert (first["layer"], first["neuron"], second["neuron"]) == (0, 3, 5)
    for code, means in found.before.activations.items():
        assert first["before"][code] == pytest.approx(means[:, 0].mean(dtype=np.float64))
        assert first["after"][code] - first["before"][code] == pytest.approx(-0.1, abs=1e-6)
        assert second["after"][code] - second["before"][code] == pytest.approx(-0.3, abs=1e-6)


def test_languages_run_together_are_those_run_alone():
    loaded = LoadedModel("tiny", tiny_gpt2(), byte_tokenizer())
    asked = {"en": prompts("en", 3), "de": prompts("de", 5)}
    found = measure_languages(loaded, NEURONS, asked, 4)
    assert list(found) == ["en", "de"]
    for code, chosen in asked.items():
        texts = [prompt.text for prompt in chosen.prompts]
        alone = mean_activations(loaded, NEURONS, texts, 4)
        np.testing.assert_allclose(found[code], alone, atol=1e-5)


def test_a_model_against_itself_does_not_change(gpt2_folder):
    plan = ChangePlan("0:3,1:5", "all", {"en": prompts("en")}, 3, "cpu")
    found = compare_models(str(gpt2_folder), str(gpt2_folder), plan)
    (row,) = found.rows()
    assert len(found.control) == 2 and not set(found.control) & set(NEURONS)
    assert found.before.control["en"].shape == (6, 2)
    assert change_of(row).difference == (0, 0, 0)
    assert change_of(row).p == 1


def test_a_model_of_another_shape_is_refused(gpt2_folder, tmp_path):
    other = tmp_path / "other"
    tiny("gpt2").save_pretrained(other)
    byte_tokenizer().save_pretrained(other)
    plan = ChangePlan("0:3,1:5", "all", {"en": prompts("en")}, 1, "cpu")
    with pytest.raises(BadIntervention, match=r"other has layers 3 and .* 2: their neurons"):
        compare_models(str(gpt2_folder), str(other), plan)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_figure_is_drawn_and_the_same_each_time(tmp_path, suffix):
    rows = change(languages=("en", "de", "fr")).rows()
    files = [tmp_path / "new" / f"{n}{suffix}" for n in range(2)]
    for file in files:
        check_figure(file)
        draw_change(rows, ("before", "after"), file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert len(first) > 5000


def test_other_figures_are_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(DetoxBenchError, match=r"a.pdf is no figure. Name a file ending in .svg or"):
        check_figure(tmp_path / "a.pdf")


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"pip install 'detox-bench\[figures\]'"):
        check_figure(tmp_path / "a.svg")
