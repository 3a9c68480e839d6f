"""A sweep: what is swept, what is kept, and what it says in the end."""

import json

import pytest
from conftest import byte_tokenizer, tiny_gpt2

from detox_bench.commands.neurons_sweep import SweepOutput, run_sweep
from detox_bench.commands.neurons_sweep_table import lower_in
from detox_bench.comparison import Change, ComparisonRow
from detox_bench.data.prompts import load_prompts
from detox_bench.errors import BadRunFolder, DetoxBenchError
from detox_bench.modeling.loading import LoadedModel, load_causal_model
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.modeling.sampling import Sampler
from detox_bench.neurons.edit.editing import base_model_of, edited
from detox_bench.neurons.edit.interventions import read_intervention
from detox_bench.neurons.edit.making import Chosen
from detox_bench.neurons.edit.sweeping import SweepPlan, settings, sweep
from detox_bench.neurons.find.choosing import PromptPart
from detox_bench.runs import read_generations
from detox_bench.statistics import Interval
from detox_bench.types import NeuronId

NEURONS = (NeuronId(0, 3), NeuronId(1, 60))
SETS = {"sources": Chosen(NEURONS, {}, {"from": "test"}), "1": Chosen(NEURONS[:1], {}, {})}
SMALL = {"samples": 3, "sampling": SamplingSettings(6)}


@pytest.fixture
def loaded():
    return LoadedModel("tiny", tiny_gpt2(), byte_tokenizer())


def points_of(loaded, plan, sets=SETS):
    return settings(sets, plan, base_model_of(loaded.model, "tiny"), loaded)


def test_every_value_with_every_set_and_its_control_and_nothing_that_changes_nothing(loaded):
    found = points_of(loaded, SweepPlan("add", (0.0, -1.0, -2.5), **SMALL))
    assert [point.name for point in found] == [
        "base",
        "add_sources_-1",
        "add_sources_-1_random_0",
        "add_sources_-2.5",
        "add_sources_-2.5_random_0",
        "add_1_-1",
        "add_1_-1_random_0",
        "add_1_-2.5",
        "add_1_-2.5_random_0",
    ]
    chosen, control = found[1].intervention, found[2].intervention
    assert chosen.neurons == NEURONS and not set(control.neurons) & set(NEURONS)


def test_no_control_and_measured_values(loaded):
    measured = {"all": Chosen(NEURONS, dict.fromkeys(NEURONS, 0.75), {})}
    found = points_of(loaded, SweepPlan("aura", control=None, **SMALL), measured)
    assert [point.name for point in found] == ["base", "aura_all"]
    with pytest.raises(DetoxBenchError, match="No value of the sweep changes anything"):
        points_of(loaded, SweepPlan("scale", (1.0,), **SMALL))


def texts(run):
    return {each.key: each.text for each in read_generations(run)}


def test_each_point_holds_the_texts_of_its_edit_and_is_not_made_twice(
    loaded, tmp_path, monkeypatch
):
    plan = SweepPlan("add", (-4.0,), control=None, **SMALL)
    points = points_of(loaded, plan, {"sources": SETS["sources"]})
    prompts = load_prompts("de", "sample").prompts[:2]
    runs = list(sweep(loaded, points, prompts, plan, tmp_path))
    base, changed = (texts(run) for _, run in runs)
    assert base.keys() == changed.keys() and len(base) == 6
    assert base != changed
    # The edit as a stranger would make it from the file beside the texts.
    made = read_intervention(runs[1][1] / "intervention.json")
    again = LoadedModel("tiny", tiny_gpt2(), byte_tokenizer())
    with edited(again.model, made):
        ((_, run),) = sweep(again, points[:1], prompts, plan, tmp_path / "again")
    assert texts(run) == changed
    real = Sampler.sample
    monkeypatch.setattr(
        Sampler, "sample", lambda self, asked: pytest.fail() if asked else real(self, asked)
    )
    list(sweep(loaded, points, prompts, plan, tmp_path))


def test_a_folder_of_another_edit_is_not_gone_on_with_and_keeps_its_own(loaded, tmp_path):
    prompts = load_prompts("de", "sample").prompts[:1]
    plan = SweepPlan("add", (-4.0,), control=None, **SMALL)
    first, other = (
        points_of(loaded, plan, {"sources": Chosen(neurons, {}, {})})
        for neurons in (NEURONS, NEURONS[1:])
    )
    (_, (_, run)) = sweep(loaded, first, prompts, plan, tmp_path)
    with pytest.raises(BadRunFolder, match="intervention is"):
        list(sweep(loaded, other, prompts, plan, tmp_path))
    assert read_intervention(run / "intervention.json") == first[1].intervention


def test_other_prompts_or_settings_are_kept_apart(loaded, tmp_path):
    """In one folder, one after the other, and back again: no texts are mixed or lost."""
    prompts = load_prompts("de", "sample").prompts
    plans = [
        SweepPlan("add", (-4.0,), control=None, samples=3, sampling=SamplingSettings(tokens))
        for tokens in (4, 5, 4)
    ]
    found = []
    for plan, part in zip(plans, (prompts[:2], prompts[:2], prompts[2:3]), strict=True):
        runs = list(sweep(loaded, points_of(loaded, plan)[:1], part, plan, tmp_path))
        found.append(texts(runs[0][1]))
    assert [len(each) for each in found] == [6, 6, 3]
    assert not found[0].keys() & found[2].keys()


def test_equal_strengths_are_one(loaded):
    found = points_of(loaded, SweepPlan("add", (-1.0, -1.0), control=None, **SMALL))
    assert [point.name for point in found] == ["base", "add_sources_-1", "add_1_-1"]


def test_the_command_s_table_results_and_figure(gpt2_folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    loaded = load_causal_model(str(gpt2_folder), "cpu")
    prompts = [PromptPart("sample", limit=3).prompts(code) for code in ("en", "de")]
    plan = SweepPlan("add", (-4.0,), **SMALL)
    results = run_sweep(loaded, SETS, prompts, plan, SweepOutput(tmp_path))
    found = json.loads(results.read_text("utf-8"))
    assert [(each["take"], each["value"], each["control"]) for each in found["points"]] == [
        (take, value, control) for take in SETS for value in (-4.0,) for control in (None, "random")
    ]
    assert [each["language"] for each in found["prompts"]] == ["en", "de"]
    assert (found["samples"], found["sampling"]["new_tokens"], found["seed"]) == (3, 6, 0)
    assert found["points"][0]["n_neurons"] == 2 and found["scorer"]["id"].startswith("ngram@")
    rows = {row["language"]: row for row in found["points"][0]["languages"]}
    assert {"en", "de", "mean"} <= set(rows)
    assert rows["de"]["average_toxicity"]["n_prompts"] == 3
    figure = (tmp_path / "sweep.svg").read_text("utf-8")
    assert "random control" in figure
    printed = capsys.readouterr().out
    assert "add -4, random control of sources" in printed and "lower in" in printed


def test_lower_in_counts_intervals_below_zero_and_no_means():
    def row(language, high, n=10):
        change = Change(n, 0.5, 0.4, Interval(-0.1, -0.2, high), 0.01, 0.01, ())
        return ComparisonRow(language, n, {"average_toxicity": change})

    rows = [row("de", -0.01), row("en", 0.02), row("fr", -0.01, n=3), row("mean", -0.1)]
    assert lower_in(rows) == (1, 3)
