"""A model on lm-eval's tasks: what is measured, kept, found again, and refused."""

import json
from functools import partial
from unittest import mock

import pytest
import torch
from capability_tasks_made import documents, write_task
from conftest import _saved, detox_hf, evaluate_tasks, tiny_gpt2
from test_harness_intervention import written

from detox_bench.capability import pair
from detox_bench.corpus_scores import SCORES
from detox_bench.errors import DetoxBenchError, UnknownName
from detox_bench.harness import capability, capability_tasks
from detox_bench.harness.capability import AskedModel, Settings, check_model, measure_model
from detox_bench.harness.capability_tasks import TASK_FAMILIES, load_tasks

TO = "flores_translation_en-de"
FEW = Settings(limit=4, batch_size="2")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder of task files; the tiny GPT-2 is always right in ``liked``."""
    folder = tmp_path_factory.mktemp("tasks")
    write_task(folder, "liked", documents(tiny_gpt2(), 24))
    write_task(folder, "liked_too", documents(tiny_gpt2(), 8))
    rolling = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_choice": None}
    rolling |= {"doc_to_target": "text", "metric_list": [{"metric": "word_perplexity"}]}
    write_task(folder, "rolling", documents(tiny_gpt2(), 2), **rolling)
    long = [{"text": "word " * 60, "ends": [" ab", " cd"], "gold": 0}]
    return write_task(folder, "long", long)


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory):
    """Return a model with other random weights: broken, to whom asks what the first one likes."""
    return _saved(tiny_gpt2(seed=7), tmp_path_factory.mktemp("other"))


def measured(folder, loaded, settings=FEW, keep=None, **options):
    return measure_model(AskedModel(str(folder), **options), loaded.tasks, settings, keep)


def test_a_model_differs_from_itself_by_nothing_in_any_task(made, gpt2_folder):
    """In the translation too, whose example is shown to both alike."""
    loaded = load_tasks(["made", TO], [], [made], num_fewshot=1)
    one, other = (measured(gpt2_folder, loaded, Settings(3, "3")) for _ in range(2))
    found = pair(one.results, other.results, loaded.families)
    assert {row.name for row in found.tasks} == {"liked", "liked_too", "rolling", "long", TO}
    assert [(row.metric, row.n_tasks, row.n) for row in found.means] == [("acc", 3, 7)]
    for row in [*found.tasks, *found.means]:
        assert row.base == row.model
        if row.metric != "word_perplexity":
            assert row.difference.estimate == 0 and row.p == 1


def test_a_broken_model_is_shown_worse(made, gpt2_folder, other_folder):
    loaded = load_tasks(["liked"], [], [made])
    settings = Settings(batch_size="8")
    one, other = (measured(each, loaded, settings) for each in (gpt2_folder, other_folder))
    (row,) = pair(one.results, other.results, loaded.families).tasks
    assert (row.base, row.n, row.family) == (1, 24, None)
    assert row.model < 0.7 and row.difference.high < 0 and row.surely_worse


def test_limit_is_how_many_documents_are_asked_and_ids_name_them(made, gpt2_folder):
    (result,) = measured(gpt2_folder, load_tasks(["liked"], [], [made])).results
    assert result.items == [f"item/{n}" for n in range(4)]
    assert result.metrics["acc"].rows == [[1.0]] * 4 and result.metrics["acc"].value == 1
    assert (result.version, result.num_fewshot, result.cut) == (1.0, 0, False)


def test_identity_is_that_of_the_run_folder(made, gpt2_folder, tmp_path):
    """The report finds the run that a comparison belongs to by it."""
    file, edit = written(tmp_path)
    loaded = load_tasks(["liked"], [], [made])
    for options in ({}, {"intervention": file}):
        run = tmp_path / f"run-{len(options)}"
        texts = {k: str(v) for k, v in options.items()}
        model = detox_hf(gpt2_folder, run_folder=str(run), **texts)
        evaluate_tasks(model, "rtplx_toxicity_en", limit=1, predict_only=True)
        found = measured(gpt2_folder, loaded, **options)
        identity = json.loads((run / "run.json").read_text())["identity"]
        assert found.identity == identity
        assert identity.get("intervention") == (edit.sha256 if options else None)
        assert found.as_json() == {"name": str(gpt2_folder), **identity}


def test_an_intervention_is_on_what_is_measured(made, gpt2_folder, tmp_path):
    loaded = load_tasks(["rolling"], [], [made])
    plain, edited = (
        measured(gpt2_folder, loaded, **options)
        for options in ({}, {"intervention": written(tmp_path)[0]})
    )
    values = [each.results[0].metrics["word_perplexity"].value for each in (plain, edited)]
    assert values[0] != values[1]


def test_translations_are_counts_that_score_as_lm_eval_reports(gpt2_folder):
    (result,) = measured(gpt2_folder, load_tasks([TO], [], [], 0)).results
    assert set(result.metrics) == {"chrf_plus_plus", "bleu", "empty_rate"}
    for name, score in SCORES.items():
        metric = result.metrics[name]
        sums = torch.tensor(metric.rows).sum(0).numpy()
        assert metric.kind == name and score(sums) == pytest.approx(metric.value)
    assert result.metrics["empty_rate"].kind == "mean"
    assert result.metrics["empty_rate"].higher_is_better is False


def test_a_number_that_is_no_mean_of_documents_has_no_rows(made, gpt2_folder):
    (result,) = measured(gpt2_folder, load_tasks(["rolling"], [], [made])).results
    metric = result.metrics["word_perplexity"]
    assert metric.value > 1 and metric.rows is metric.kind is None


def test_what_is_kept_is_not_asked_again_and_what_changed_is(made, gpt2_folder, tmp_path):
    loaded = load_tasks(["liked", "liked_too"], [], [made])
    with mock.patch.object(capability, "evaluate", wraps=capability.evaluate) as asked:
        first = measured(gpt2_folder, loaded, keep=tmp_path)
        assert asked.call_count == 2
        again = load_tasks(["liked", "liked_too", TO], [], [made], 0)
        second = measured(gpt2_folder, again, keep=tmp_path)
        assert asked.call_count == 3 and second.results[:2] == first.results
        measured(gpt2_folder, loaded, Settings(5, "2"), tmp_path)
        assert asked.call_count == 5
        for file in tmp_path.rglob("liked-*.json"):
            file.write_text(file.read_text()[:-20])
        assert measured(gpt2_folder, loaded, keep=tmp_path).results == first.results
        assert asked.call_count == 6


def test_documents_or_another_model_are_no_reason_to_reuse(gpt2_folder, other_folder, tmp_path):
    rows = documents(tiny_gpt2(), 4)
    folders = [tmp_path / name for name in "ab"]
    with mock.patch.object(capability, "evaluate", wraps=capability.evaluate) as asked:
        for folder, some in zip(folders, (rows, rows[::-1]), strict=True):
            loaded = load_tasks(["liked"], [], [write_task(folder, "liked", some)])
            for model in (gpt2_folder, other_folder):
                measured(model, loaded, keep=tmp_path / "kept")
        assert asked.call_count == 4


def test_a_model_that_dies_loses_the_task_in_progress_only(made, gpt2_folder, tmp_path):
    loaded = load_tasks(["liked", "liked_too"], [], [made])
    real = capability.evaluate

    def dies(**options):
        if "liked_too" in options["task_dict"]["tasks"]:
            raise KeyboardInterrupt
        return real(**options)

    with mock.patch.object(capability, "evaluate", dies), pytest.raises(KeyboardInterrupt):
        measured(gpt2_folder, loaded, keep=tmp_path)
    with mock.patch.object(capability, "evaluate", wraps=real) as asked:
        measured(gpt2_folder, loaded, keep=tmp_path)
    assert [list(call.kwargs["task_dict"]["tasks"]) for call in asked.mock_calls] == [["liked_too"]]


def test_a_document_that_does_not_fit_is_told(made, gpt2_folder):
    (result,) = measured(gpt2_folder, load_tasks(["long"], [], [made])).results
    assert result.cut and result.items == ["0"]


def test_a_model_whose_answers_are_no_numbers_is_refused(made, tmp_path):
    model = tiny_gpt2()
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(DetoxBenchError, match=r"in liked are not numbers \(NaN\)"):
        measured(_saved(model, tmp_path), load_tasks(["liked"], [], [made]))


def test_what_is_no_model_is_one_sentence(made, tmp_path, monkeypatch, gpt2_folder):
    for name, words in ((tmp_path, "has no config.json"), (tmp_path / "x", "does not exist")):
        with pytest.raises(DetoxBenchError, match=words):
            check_model(AskedModel(str(name)))
    with pytest.raises(DetoxBenchError, match=r"has no adapter_config\.json"):
        check_model(AskedModel(str(gpt2_folder), peft=str(tmp_path)))
    with pytest.raises(DetoxBenchError, match="name/of-none cannot be loaded"):
        check_model(AskedModel("name/of-none"))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    loaded = load_tasks(["liked"], [], [made])
    with pytest.raises(DetoxBenchError, match="cannot be loaded as a causal language model"):
        measured(tmp_path, loaded)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DetoxBenchError, match="in one process"):
        measured(gpt2_folder, loaded)


@pytest.fixture
def no_data(monkeypatch):
    """Load tasks of lm-eval without their data, as settings of 0 examples."""
    task = mock.Mock(get_config=lambda name: 0)
    monkeypatch.setattr(capability_tasks, "_load", lambda name, index: {name: task})


def test_families_are_tasks_in_the_languages_and_say_what_they_lack(no_data):
    found = load_tasks(None, ["vi", "zh"], [])
    families = {"arc_vi": "arc", "arc_zh": "arc", "hellaswag_vi": "hellaswag"}
    assert found.families == families | {"m_mmlu_vi": "mmlu", "m_mmlu_zh": "mmlu"}
    translation, lacking = found.remarks
    assert "FLORES-200 is not prepared" in translation
    assert lacking == "hellaswag has no task in zh."
    asked = load_tasks(["flores_translation", "arc"], ["zh-Hans", "de"], [])
    assert set(asked.tasks) == {
        *(f"flores_translation_{pair}" for pair in ("en-zh-hans", "zh-hans-en", "en-de", "de-en")),
        *("arc_zh", "arc_de"),
    }


def test_every_family_has_tasks_in_its_languages(no_data):
    for family in TASK_FAMILIES:
        found = load_tasks([family], ["ru", "hi"], [])
        assert set(found.families.values()) == {family} and len(found.tasks) >= 2


def test_a_task_is_of_its_family_however_it_is_asked(no_data, made):
    found = load_tasks(["arc_vi", "m_mmlu_en", "liked"], [], [made])
    assert (found.families["arc_vi"], found.families["m_mmlu_en"]) == ("arc", "mmlu")
    assert found.families["liked"] is None


def test_what_is_no_task_is_one_sentence(made, tmp_path, no_data, monkeypatch):
    few = partial(capability_tasks.TaskManager, include_defaults=False)
    monkeypatch.setattr(capability_tasks, "TaskManager", few)  # not its 14,000 files
    with pytest.raises(
        UnknownName, match=r"Unknown task 'likd'. Did you mean 'liked' or 'liked_too'\?"
    ):
        load_tasks(["likd"], [], [made])
    with pytest.raises(UnknownName) as refused:
        load_tasks(["nosuch"], [], [made])
    assert str(refused.value).startswith("Unknown task 'nosuch'. We recommend the families arc, ")
    assert "liked" not in str(refused.value)  # nor any other of thousands of names
    with pytest.raises(DetoxBenchError, match="No family has a task in xx"):
        load_tasks(["arc"], ["xx"], [])
    with pytest.raises(DetoxBenchError, match="is no folder"):
        load_tasks(["liked"], [], [tmp_path / "none"])


def test_data_that_cannot_be_had_is_named_with_what_to_do():
    with pytest.raises(DetoxBenchError) as refused:
        load_tasks(["arc"], ["vi"], [])
    message = str(refused.value)
    assert message.startswith("Cannot load the data set alexandrainst/m_arc vi of the task arc_vi:")
    assert "HF_DATASETS_CACHE" in message and "\n" not in message


def test_a_task_that_runs_code_is_refused(made):
    with (
        mock.patch("lm_eval.api.task.ConfigurableTask.UNSAFE_CODE", True, create=True),
        pytest.raises(DetoxBenchError, match="liked runs code"),
    ):
        load_tasks(["liked"], [], [made])
