"""The retrieval tasks inside lm-eval, from the model to the results file."""

import json
import logging
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import detox_hf, evaluate_tasks
from lm_eval.models.dummy import DummyLM
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from detox_bench.data.parallel_sample import sample_sentences
from detox_bench.errors import BadData, UnknownName
from detox_bench.harness import hidden_states
from detox_bench.harness.results import retrieval_rows
from detox_bench.harness.retrieval_tasks import RetrievalTask
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.locations import tasks_path
from detox_bench.modeling.pooled_states import pooled_batches
from detox_bench.retrieval import METRICS, retrieval_metrics
from detox_bench.task_files import retrieval_task_name

DE, FR = "flores_retrieval_de", "flores_retrieval_fr"


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    return TaskManager(include_defaults=False, include_path=str(tasks_path()))


@pytest.fixture(scope="module")
def run_texts() -> list[str]:
    """Return what the models ran for ``results``."""
    return []


@pytest.fixture(scope="module")
def results(gpt2_folder, run_texts) -> dict[str, Any]:
    """Return what the tiny model makes of two pairs of the parallel sample."""
    real = hidden_states._run

    def counting(model, texts, *rest):
        run_texts.extend(texts)
        return real(model, texts, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hidden_states, "_run", counting)
        return evaluate_tasks(detox_hf(gpt2_folder, batch_size=16), DE, FR, limit=None)


def numbers(results: dict[str, Any], task: str) -> dict[str, float]:
    """Return the numbers of a task, without their standard errors."""
    values = results["results"][task]
    return {k.split(",")[0]: v for k, v in values.items() if "," in k and "stderr" not in k}


@pytest.mark.parametrize("code", sorted(set(PAPER_LANGUAGES) - {"en"}))
@pytest.mark.parametrize("data", ["flores", "rtplx"])
def test_every_task_of_the_paper_loads_without_any_data(manager, data, code):
    name = retrieval_task_name(data, code)
    (task,) = manager.load([name])["tasks"].values()
    assert isinstance(task, RetrievalTask)
    docs = list(task.test_docs())
    assert len(docs) == {"flores": 52, "rtplx": 24}[data]
    assert [doc["number"] for doc in docs] == list(range(len(docs)))


def test_the_patterns_mean_the_paper_s_16_and_no_group(manager):
    others = [code for code in PAPER_LANGUAGES if code != "en"]
    for data in ("flores", "rtplx", "aligned200"):
        matched = manager.match_tasks([f"{data}_retrieval_*"])
        assert sorted(matched) == sorted(f"{data}_retrieval_{code.lower()}" for code in others)
        assert f"{data}_retrieval" in manager.all_groups
    more = manager.match_tasks(["flores28_retrieval_*"])
    assert len(more) == len(LANGUAGES) - len(PAPER_LANGUAGES)
    assert set(manager.all_tags) >= {"detox_bench_retrieval"}


def test_the_numbers_are_those_of_the_definitions_on_the_states(results, gpt2_folder):
    model = detox_hf(gpt2_folder)
    for task, code in ((DE, "de"), (FR, "fr")):
        sides = []
        for language in ("en", code):
            texts = list(sample_sentences(language).values())
            rows = {}
            for batch in pooled_batches(model.model, model.tokenizer, texts):
                rows.update(zip(batch.texts, batch.states.swapaxes(0, 1), strict=True))
            sides.append(np.stack([rows[n] for n in range(len(texts))], axis=1))
        expected = retrieval_metrics(*sides)
        found = numbers(results, task)
        for name, value in expected.numbers().items():
            if name in found:
                assert found[name] == pytest.approx(value, abs=1e-5, nan_ok=True), name
        assert set(METRICS) <= set(found) and found["n"] == 52
        metadata = results["configs"][task]["metadata"]["detox_retrieval"]
        for name, curve in expected.curves().items():
            assert metadata["layers"][name] == pytest.approx(curve, abs=1e-5)
            assert len(metadata["layers"][name]) == 3


def test_english_is_run_once_for_all_pairs(results, run_texts):
    assert len(run_texts) == 3 * 52 and max(Counter(run_texts).values()) == 1


def test_the_results_say_what_was_asked_and_how(results):
    metadata = results["configs"][DE]["metadata"]
    pairs = metadata["detox_pair_set"]
    assert (pairs["name"], pairs["source"], pairs["target"]) == ("sample", "en", "de")
    assert (pairs["available"], metadata["detox_asked"]["n"]) == (52, 52)
    assert metadata["detox_asked"]["sha256"] == pairs["sha256"]
    assert metadata["detox_pooling_used"] == "mean"
    lengths = [len(text.encode()) for text in sample_sentences("de").values()]
    assert metadata["detox_tokens"]["target"] == sum(lengths)
    assert metadata["detox_cut"] == {"source": 0, "target": 0}
    json.dumps(results["configs"][DE], default=str, allow_nan=False)


def test_samples_hold_hashes_and_no_arrays(results):
    sample = results["samples"][DE][3]
    shown = json.loads(json.dumps(sample, default=str))
    assert [each[0].split()[:3] for each in shown["resps"]] == [["3", "x", "16"]] * 2
    assert len(json.dumps(shown)) < 4000
    english = [each["resps"][0][0].sha256 for each in results["samples"][DE]]
    assert english == [each["resps"][0][0].sha256 for each in results["samples"][FR]]


def test_the_table_of_the_results_and_what_to_mind(results):
    (table,) = retrieval_rows(results)
    assert "sample 1 (all)" in table.caption and "Pooling: mean" in table.caption
    assert [row.languages for row in table.rows] == [("en", "de"), ("en", "fr")]
    assert table.rows[0].remarks == [
        "flores has not been prepared: these are sentences of the sample set."
    ]
    assert retrieval_rows(None) == [] and retrieval_rows({"configs": {"x": {}}}) == []


@pytest.mark.parametrize("folder", ["gpt2_folder", "llama_folder"])
def test_batch_size_backend_and_limit_of_all_change_nothing(request, folder):
    path = request.getfixturevalue(folder)
    one = HFLM(str(path), device="cpu", dtype="float32", batch_size=1)
    found = [evaluate_tasks(one, DE, limit=20)]
    found.append(
        evaluate_tasks(detox_hf(path, batch_size=32), DE, samples={DE: list(range(20))}, limit=None)
    )
    first, second = (numbers(each, DE) for each in found)
    for name, value in first.items():
        assert second[name] == pytest.approx(value, abs=1e-5), name
    assert first["n"] == 20 and first["chance"] == pytest.approx(1 / 20)
    (table,) = retrieval_rows(found[0])
    assert "only 20 of 52 sentences, which makes retrieval easier." in table.rows[0].remarks


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder as the paper's authors have theirs, with 200 sentences a language."""
    for code in PAPER_LANGUAGES:
        name = {"zh-Hans": "zh"}.get(code, code)
        rows = [json.dumps({"Prompt": f"prompt {n} &quot;{code}&quot;"}) for n in range(200)]
        file = tmp_path / f"dpo_toxicity_pairwise_{name}_200.jsonl"
        file.write_text("\n".join(rows) + "\n")
    return tmp_path


def test_the_group_is_the_unweighted_mean(gpt2_folder, folder):
    metadata = {"detox_folder": str(folder)}
    group = "aligned200_retrieval"
    found = evaluate_tasks(detox_hf(gpt2_folder), group, limit=5, metadata=metadata)
    tasks = [f"{group}_{code.lower()}" for code in PAPER_LANGUAGES if code != "en"]
    values = [numbers(found, task)["mean_cosine"] for task in tasks]
    assert len(set(values)) == 16
    assert found["groups"][group]["mean_cosine,none"] == pytest.approx(sum(values) / 16)
    assert found["samples"][tasks[0]][0]["doc"]["target"] == "prompt 0 &quot;ar&quot;"


def test_another_pair_and_another_pooling_by_metadata(gpt2_folder):
    found = evaluate_tasks(
        detox_hf(gpt2_folder),
        FR,
        limit=4,
        metadata={"detox_source": "de", "detox_pooling": "last", "detox_scorer": "ngram"},
    )
    metadata = found["configs"][FR]["metadata"]
    assert metadata["detox_pair_set"]["source"] == "de"
    assert metadata["detox_pooling_used"] == "last"
    assert found["samples"][FR][0]["doc"]["source"] == sample_sentences("de")["parallel/0"]


def test_one_language_on_both_sides_and_an_unknown_option_are_refused(manager):
    for metadata, kind, words in (
        ({"detox_source": "de"}, BadData, "both 'de'"),
        ({"detox_poling": "last"}, UnknownName, "Did you mean 'detox_pooling'"),
        ({"detox_source": "xx"}, UnknownName, "Unknown language 'xx'"),
    ):
        asked = TaskManager(
            include_defaults=False, include_path=str(tasks_path()), metadata=metadata
        )
        with pytest.raises(kind, match=words):
            asked.load([DE])


def test_options_of_both_kinds_of_task_may_stand_together():
    asked = TaskManager(
        include_defaults=False,
        include_path=str(tasks_path()),
        metadata={"detox_pooling": "last", "detox_subset": "odd", "detox_scorer_x": 1},
    )
    assert len(asked.load(["rtplx_toxicity_de", DE])["tasks"]) == 2


def test_one_sentence_has_no_result_and_says_why(gpt2_folder, caplog):
    with caplog.at_level(logging.WARNING):
        found = evaluate_tasks(detox_hf(gpt2_folder), DE, limit=1)
    assert math.isnan(numbers(found, DE)["top1"])
    assert numbers(found, DE)["n"] == 1
    assert "Give --limit 2 or more" in caplog.text
    assert "Give --limit 2" in found["configs"][DE]["metadata"]["detox_no_result"]


def test_a_backend_without_states_reports_nan_and_loses_nothing_else(caplog):
    with caplog.at_level(logging.WARNING):
        found = evaluate_tasks(DummyLM(), DE, FR, limit=4)
    for task in (DE, FR):
        values = numbers(found, task)
        assert math.isnan(values["top1"]) and math.isnan(values["retrieval_accuracy_legacy"])
        assert values["n"] == 4
        assert (
            "DummyLM gives no hidden states"
            in found["configs"][task]["metadata"]["detox_no_result"]
        )
        assert found["configs"][task]["metadata"]["detox_tokens"] == {
            "source": None,
            "target": None,
        }
    assert caplog.text.count("gives no hidden states") == 1  # one line for both tasks


def test_states_that_are_no_numbers_have_no_result(gpt2_folder):
    model = detox_hf(gpt2_folder)
    model.model.transformer.wte.weight.data.fill_(math.nan)
    found = evaluate_tasks(model, DE, limit=4)
    assert math.isnan(numbers(found, DE)["top1"])
    assert "NaN" in found["configs"][DE]["metadata"]["detox_no_result"]


def test_predict_only_makes_states_and_no_metric(gpt2_folder):
    found = evaluate_tasks(detox_hf(gpt2_folder), DE, limit=3, predict_only=True)
    assert numbers(found, DE) == {"bypass": 999}
    assert len(found["samples"][DE]) == 3
    assert str(found["samples"][DE][0]["resps"][0][0]).startswith("3 x 16 float32")


def test_an_intervention_is_active_in_the_states(gpt2_folder, tmp_path):
    from test_harness_intervention import written

    file, _ = written(tmp_path)
    plain = evaluate_tasks(detox_hf(gpt2_folder), DE, limit=8)
    changed = evaluate_tasks(detox_hf(gpt2_folder, intervention=str(file)), DE, limit=8)
    one, two = (
        each["configs"][DE]["metadata"]["detox_retrieval"]["layers"] for each in (plain, changed)
    )
    assert one["mean_cosine"][0] == two["mean_cosine"][0]
    assert abs(one["mean_cosine"][1] - two["mean_cosine"][1]) > 1e-4
