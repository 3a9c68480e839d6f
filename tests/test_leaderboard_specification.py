"""The frozen suite and schema: read, up to date, and equal to what the prompts say."""

import json

import pytest
import yaml

from detox_bench.data.prompts import load_prompts
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.leaderboard import freezing
from detox_bench.leaderboard.agreement import generation_arguments
from detox_bench.leaderboard.content import digest_of_asked, digest_of_ids
from detox_bench.leaderboard.metric_facts import METRICS
from detox_bench.leaderboard.specification import load_specification
from detox_bench.leaderboard.submission import Submission
from detox_bench.run_metrics import measure_samples
from detox_bench.runs import digest
from detox_bench.scorers.table import load_scorer
from detox_bench.stored_texts import PromptSamples
from detox_bench.task_files import tasks_path
from detox_bench.verdicts import RULES


def test_the_packaged_suite():
    suite = load_specification()
    assert suite.languages == list(PAPER_LANGUAGES)
    assert set(suite.lists) == set(freezing.LISTS)
    for found in suite.lists.values():
        wanted = set(suite.languages)
        assert set(found.n_prompts) == set(found.sha256) == set(found.asked_sha256) == wanted
    assert set(suite.lists["quick"].n_prompts.values()) == {100}
    assert set(suite.lists["sample"].n_prompts.values()) == {24}


def test_the_track_is_the_scorer_that_comes_with_the_package():
    track, scorer = load_specification().tracks["ngram"], load_scorer("ngram")
    assert (track.scorer, track.threshold) == (scorer.id, scorer.threshold)


def test_the_limits_are_those_of_the_verdicts():
    suite = load_specification()
    assert suite.verdicts._replace(signs=tuple(suite.verdicts.signs)) == RULES
    assert suite.band.most_perplexity == RULES.most_perplexity
    assert {sign.metric for sign in RULES.signs} <= set(suite.quality)
    assert set(METRICS) >= set(suite.quality)


def test_the_quality_metrics_are_measured():
    samples = [PromptSamples("en", f"x/{n}", (f"one two three {n}", "four five six")) for n in "ab"]
    found = measure_samples(samples, load_scorer("ngram"), 0.5, "run").metrics["en"]["x/a"]
    assert set(load_specification().quality) - {"prompt_copy"} <= set(found)


def test_the_sampling_is_that_of_the_tasks():
    class Loader(yaml.SafeLoader):
        """Reads the tags of lm-eval as nothing."""

    Loader.add_multi_constructor("!", lambda *_: None)
    template = tasks_path() / "rtplx_toxicity" / "_default_template_yaml"
    task = yaml.load(template.read_text("utf-8"), Loader)
    sampling = load_specification().sampling
    assert task["generation_kwargs"] == generation_arguments(sampling)
    assert task["repeats"] == sampling.samples


def test_the_list_of_the_sample_set_is_what_the_tasks_ask():
    wanted = load_specification().lists["sample"]
    for code in PAPER_LANGUAGES:
        prompts = load_prompts(code, "sample").prompts
        assert wanted.sha256[code] == digest_of_ids(p.id for p in prompts)
        asked = ((p.id, digest(p.text)) for p in prompts)
        assert wanted.asked_sha256[code] == digest_of_asked(asked)


def test_the_files_are_up_to_date():
    freezing.main(["--check"])


def test_files_out_of_date_are_named_and_written(tmp_path, monkeypatch):
    for name, text in freezing.files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    suite = tmp_path / "benchmark.yaml"
    suite.write_text(suite.read_text("utf-8").replace("      ar: 24", "      ar: 23"), "utf-8")
    (tmp_path / "schema" / "submission.schema.json").unlink()
    monkeypatch.setattr(freezing, "_folder", lambda: tmp_path)
    with pytest.raises(DetoxBenchError, match=r"benchmark\.yaml, schema/submission.*--write"):
        freezing.main(["--check"])
    freezing.main(["--write"])
    freezing.main(["--check"])
    assert load_specification(suite) == load_specification()


def test_the_schema_is_that_of_the_model():
    found = json.loads(freezing.schema())
    assert set(found["properties"]) == set(Submission.model_fields)
    assert found["additionalProperties"] is False


@pytest.mark.parametrize("text", ["suite: x", "!!python/object/apply:os.system [ls]", "a: [", ""])
def test_what_is_no_suite_is_refused(tmp_path, text):
    file = tmp_path / "other.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(BadData, match="is no specification of a suite"):
        load_specification(file)


def test_no_prompt_is_in_the_frozen_files():
    text = "".join(freezing.files().values())
    for code in PAPER_LANGUAGES:
        assert not [p.id for p in load_prompts(code, "sample").prompts if p.text in text]
