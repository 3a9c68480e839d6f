"""``--strict`` and tables of thresholds in lm-eval: refused before anything is generated."""

import json

import pytest
from doubles import HashScorer

from detox_bench.errors import DetoxBenchError, ScorerUnavailable
from detox_bench.harness import command, tasks
from detox_bench.harness.command import EvalOptions, evaluate
from detox_bench.harness.options import TaskOptions
from detox_bench.harness.results import toxicity_rows
from detox_bench.run_comparison import Asked, compare_stores
from detox_bench.scorers.thresholds import ThresholdTable
from detox_bench.scorers.validation import Validation
from detox_bench.task_files import toxicity_languages


@pytest.fixture(autouse=True)
def scorer(monkeypatch) -> HashScorer:
    """Let a scorer stand in for every other, validated in German and measured in English."""
    made = HashScorer()
    known = Validation("made up", {code: {"auc_completions": a} for code, a in AREAS.items()})
    monkeypatch.setattr(tasks, "load_scorer", lambda spec, **options: made)
    monkeypatch.setattr("detox_bench.run_comparison.load_scorer", lambda spec: made)
    monkeypatch.setattr("detox_bench.scorers.protocol.validation_of", lambda scorer_id: known)
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
    return made


AREAS = {"de": 0.9, "en": 0.7}
DE, EN = "rtplx_toxicity_de", "rtplx_toxicity_en"


def _arguments(folder, *names: str) -> list[str]:
    model = ["--model", "detox-hf", "--model_args", f"pretrained={folder}", "--limit", "1"]
    return [*model, "--tasks", ",".join(names)]


def test_languages_of_names_patterns_and_groups():
    assert toxicity_languages([DE, "flores_retrieval_en"]) == ["de"]
    assert toxicity_languages(["rtplx_toxicity_z*"]) == ["zh-Hans"]
    assert len(toxicity_languages(["rtplx_toxicity_*"])) == 17
    assert len(toxicity_languages(["rtplx_toxicity"])) == 17
    assert len(toxicity_languages(["rtplx28_toxicity"])) == 28
    assert toxicity_languages(["nothing"]) == []


def test_all_languages_that_are_not_validated_are_named_before_anything_is_run(
    gpt2_folder, monkeypatch
):
    monkeypatch.setattr(command, "_execute", lambda *_: pytest.fail("lm-eval was run"))
    with pytest.raises(ScorerUnavailable, match=r"in en \(declared, AUC 0\.700\), fr \(unsup"):
        evaluate(_arguments(gpt2_folder, DE, EN, "rtplx_toxicity_fr"), EvalOptions(strict=True))


def test_a_validated_language_runs_and_the_results_say_so(gpt2_folder):
    results = evaluate(_arguments(gpt2_folder, DE), EvalOptions(strict=True, quiet=True))
    metadata = results["configs"][DE]["metadata"]
    assert metadata["detox_strict"] is True
    assert metadata["detox_scorer_info"]["coverage"] == {"de": "validated"}
    assert metadata["detox_scorer_info"]["auc"] == {"de": 0.9}


def test_a_task_refuses_its_language_whoever_runs_it():
    with pytest.raises(ScorerUnavailable, match=r"--strict: scorer hash@1#\w+ is not validated"):
        tasks.check_strict({"detox_strict": True}, ["en"])
    tasks.check_strict({"detox_strict": False}, ["en"])


def test_strict_is_true_or_false():
    assert TaskOptions.of({"detox_strict": True}).strict
    with pytest.raises(DetoxBenchError, match="detox_strict is 'yes': give true or false"):
        TaskOptions.of({"detox_strict": "yes"})


def _table(path, **thresholds: float) -> str:
    table = ThresholdTable("hash@1#000000000000", "best", "completions", thresholds)
    path.write_text(json.dumps(table.as_json()))
    return str(path)


def test_a_table_of_thresholds_is_part_of_the_signature(gpt2_folder, tmp_path):
    table = _table(tmp_path / "table.json", de=0.25, en=0.75)
    results = evaluate(_arguments(gpt2_folder, DE, EN), EvalOptions(threshold=table, quiet=True))
    for task, limit in ((DE, 0.25), (EN, 0.75)):
        metadata = results["configs"][task]["metadata"]
        assert metadata["detox_threshold_used"] == limit
        assert f"|thr:{limit}|" in metadata["detox_signature"]
    [german] = results["samples"][DE]
    assert german["toxicity_probability"] == float(max(german["scores"]) >= 0.25)
    assert "toxic from 0.250 to 0.750, by language" in toxicity_rows(results).caption


def test_a_table_without_a_language_stops_before_anything_is_generated(gpt2_folder, tmp_path):
    table = _table(tmp_path / "table.json", de=0.25)
    with pytest.raises(DetoxBenchError, match="has none for 'en', only for de"):
        evaluate(_arguments(gpt2_folder, DE, EN), EvalOptions(threshold=table, quiet=True))


def test_a_comparison_is_strict_too_before_a_model_of_perplexity_is_loaded(
    tmp_path, scorer, monkeypatch
):
    line = {
        "doc": {"id": "sample/en/0", "language": "en"},
        "resps": [["one", "two"]],
        "filtered_resps": [["one", "two"]],
    }
    store = tmp_path / f"samples_{EN}_2026-01-01.jsonl"
    store.write_text(json.dumps(line) + "\n")
    loads = "detox_bench.run_comparison.load_language_model"
    monkeypatch.setattr(loads, lambda name: pytest.fail("the model was loaded"))
    with pytest.raises(ScorerUnavailable, match=r"in en \(declared, AUC 0\.700\)"):
        compare_stores(store, [[store]], Asked(perplexity_model="judge", strict=True))
    with pytest.raises(DetoxBenchError, match="gone does not exist"):
        compare_stores(store, [[tmp_path / "gone"]], Asked(perplexity_model="j", strict=True))
    assert scorer.calls == []
    assert compare_stores(store, [[store]], Asked()).found
