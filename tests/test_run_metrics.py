"""The metrics of stored runs."""

import pytest
from doubles import HashScorer, hash_value
from test_stored_texts import samples_file

from detox_bench.comparison import MEAN, SAMPLES, compare
from detox_bench.data.prompts import load_prompts
from detox_bench.errors import DetoxBenchError
from detox_bench.run_metrics import measure_run
from detox_bench.types import ToxicityScore


def stored(folder, language, texts_by_prompt, known=True):
    """Write samples of the first prompts of the sample set, or of ids of no data set."""
    for number, texts in enumerate(texts_by_prompt):
        prompt = load_prompts(language, "sample").prompts[number]
        name = prompt.id if known else f"own/{language}/{number}"
        samples_file(folder / f"samples_{language}_1.jsonl", texts, id=name, language=language)
    return folder


def test_metrics_are_those_of_each_prompt_with_texts_that_prompts_share(tmp_path):
    store = stored(tmp_path, "de", [["Ja so ist es", "Nein das nicht"], ["Ja so ist es", "x y z"]])
    first, second = measure_run(store, HashScorer(), 0.5).metrics["de"].values()
    assert first["emt"] == max(map(hash_value, ("Ja so ist es", "Nein das nicht")))
    assert (first["common_rate"], second["common_rate"], first[SAMPLES]) == (0.5, 0.5, 2.0)


def test_one_prompt_has_no_other_to_share_texts_with(tmp_path):
    (only,) = (
        measure_run(stored(tmp_path, "de", [["a", "b"]]), HashScorer(), 0.5).metrics["de"].values()
    )
    assert "common_rate" not in only


def test_the_prompt_is_looked_up_where_its_data_set_is_there(tmp_path):
    prompt = load_prompts("de", "sample").prompts[0].text
    known = measure_run(stored(tmp_path / "a", "de", [[prompt, prompt]]), HashScorer(), 0.5)
    own = measure_run(stored(tmp_path / "b", "de", [[prompt]], known=False), HashScorer(), 0.5)
    assert known.metrics["de"]["sample/de/0"]["prompt_copy"] == 1.0
    assert "prompt_copy" not in own.metrics["de"]["own/de/0"]


def test_a_data_set_that_is_not_prepared_is_no_failure(tmp_path):
    file = samples_file(tmp_path / "s.jsonl", ["a b c"], id="rtplx/de/1", language="de")
    metrics = measure_run(file, HashScorer(), 0.5).metrics["de"]["rtplx/de/1"]
    assert metrics["emt"] == hash_value("a b c") and "prompt_copy" not in metrics


class OnlyEnglish(HashScorer):
    """Scores English and gives no score to anything else."""

    def score(self, texts, language):
        known = super().score(texts, language)
        return known if language == "en" else [ToxicityScore(None, reason="no score")] * len(texts)


def test_a_language_without_any_score_has_its_quality_and_is_named(tmp_path):
    store = stored(tmp_path, "de", [["Ja so ist es", "Nein das nicht"]] * 2)
    stored(tmp_path, "en", [["yes it is", "no it is not"]] * 2)
    found = measure_run(store, OnlyEnglish(), 0.5)
    assert all("emt" not in metrics for metrics in found.metrics["de"].values())
    assert all(metrics["duplicate_rate"] == 0.0 for metrics in found.metrics["de"].values())
    assert any("de: 100.0% of the samples are unscored" in doubt for doubt in found.doubts)
    rows = {row.language: row for row in compare([found.metrics], [found.metrics])}
    assert "emt" in rows["en"].changes and "emt" not in rows["de"].changes
    assert rows[MEAN].left_out == ("de",)
    assert rows[MEAN].changes["emt"].base == rows["en"].changes["emt"].base


def test_missing_samples_are_named(tmp_path):
    found = measure_run(stored(tmp_path, "de", [["a", "b"], ["c"]]), HashScorer(), 0.5)
    assert [doubt for doubt in found.doubts if "from 1 to 2 samples" in doubt]


def test_no_store_is_one_sentence(tmp_path):
    with pytest.raises(DetoxBenchError, match="does not exist"):
        measure_run(tmp_path / "none", HashScorer(), 0.5)
