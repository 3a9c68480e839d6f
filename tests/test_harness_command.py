"""``detox-bench eval``: what it adds to lm-eval's command line, and what it refuses."""

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from doubles import HashScorer, hash_value

from detox_bench.errors import DetoxBenchError, UnknownName
from detox_bench.harness import command, tasks
from detox_bench.harness.command import EvalOptions, evaluate
from detox_bench.harness.refusals import check_writable
from detox_bench.harness.results import toxicity_rows
from detox_bench.locations import tasks_path
from detox_bench.runs import read_generations

DE = "rtplx_toxicity_de"


@pytest.fixture(autouse=True)
def scorer(monkeypatch) -> HashScorer:
    made = HashScorer()
    monkeypatch.setattr(tasks, "load_scorer", lambda spec, **options: made)
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
    return made


def parsed(*arguments: str) -> Any:
    """Return lm-eval's own reading of a command line."""
    with mock.patch.object(sys, "argv", command._argv(arguments)):
        return command._parse()[0]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--tasks", "x"], ["run", "--tasks", "x"]),
        (["ls", "tasks"], ["ls", "tasks"]),
        (["run", "--tasks", "x"], ["run", "--tasks", "x"]),
        ([], ["run"]),
    ],
)
def test_run_is_what_is_meant_where_nothing_else_is_said(given, read):
    assert command._argv(given)[1:] == read


def test_our_options_become_metadata():
    options = EvalOptions(scorer="ngram", subset="odd")
    assert options.metadata() == {"detox_scorer": "ngram", "detox_subset": "odd"}
    assert EvalOptions().metadata() == {}


@pytest.mark.parametrize(
    ("arguments", "config", "expected"),
    [
        ([], {}, {"detox_scorer": "ngram"}),
        (["--metadata", '{"a": 1}'], {}, {"detox_scorer": "ngram", "a": 1}),
        ([], {"metadata": {"a": 2}}, {"detox_scorer": "ngram", "a": 2}),
        (["--metadata", '{"a": 1}'], {"metadata": {"a": 2}}, {"detox_scorer": "ngram", "a": 1}),
        (["--metadata", '{"detox_scorer": "x"}'], {}, {"detox_scorer": "x"}),
    ],
)
def test_metadata_of_the_user_is_kept_and_wins(arguments, config, expected):
    args = parsed("--tasks", DE, *arguments)
    command._add_metadata(args, EvalOptions(scorer="ngram"), config)
    assert args.metadata == expected


@pytest.mark.parametrize(
    ("arguments", "config", "theirs"),
    [
        ([], {}, []),
        (["--include_path", "mine"], {}, ["mine"]),
        ([], {"include_path": "mine"}, ["mine"]),
        ([], {"include_path": ["mine", "yours"]}, ["mine", "yours"]),
        (["--include_path", "mine"], {"include_path": "other"}, ["mine"]),
    ],
)
def test_our_tasks_come_before_those_of_the_user(arguments, config, theirs):
    args = parsed("--tasks", DE, *arguments)
    command._include_tasks(args, config)
    assert args.include_path == [str(tasks_path()), *theirs]


@pytest.mark.parametrize(
    ("arguments", "config", "run_folder"),
    [
        (["--model", "detox-hf", "--output_path", "out"], {}, "out/run/gpt2"),
        (["--model", "detox-hf"], {}, None),
        (["--model", "hf", "--output_path", "out"], {}, None),
        (["--output_path", "out"], {}, None),
        (["--output_path", "out"], {"model": "detox-hf"}, "out/run/gpt2"),
        (["--model", "detox-hf"], {"output_path": "there"}, "there/run/gpt2"),
        (["--model", "detox-hf", "--output_path", "out/result.json"], {}, "out/run/gpt2"),
    ],
)
def test_detox_hf_keeps_its_continuations_below_the_output_folder(arguments, config, run_folder):
    args = parsed("--tasks", DE, "--model_args", "pretrained=gpt2,seed=3", *arguments)
    command._keep_generations(args, config)
    assert args.model_args.get("run_folder") == run_folder
    assert args.model_args["pretrained"] == "gpt2" and args.model_args["seed"] == 3


def test_a_run_folder_that_is_named_is_kept():
    arguments = ["--model_args", "pretrained=x,run_folder=mine", "--output_path", "out"]
    args = parsed("--tasks", DE, "--model", "detox-hf", *arguments)
    command._keep_generations(args, {})
    assert args.model_args["run_folder"] == "mine"


@pytest.mark.parametrize(
    ("arguments", "config", "batch_size"),
    [
        (["--model", "detox-hf"], {}, "auto"),
        (["--model", "detox-hf", "--batch_size", "4"], {}, "4"),
        (["--model", "detox-hf"], {"batch_size": 4}, None),
        (["--model", "hf"], {}, None),
    ],
)
def test_detox_hf_chooses_its_batch_size_where_none_is_given(arguments, config, batch_size):
    args = parsed("--tasks", DE, *arguments)
    command._keep_generations(args, config)
    assert getattr(args, "batch_size", None) == batch_size


def refused(*arguments: str, **options: Any) -> str:
    """Return the one sentence that a command is refused with, before any model is loaded."""
    with (
        mock.patch("lm_eval.simple_evaluate", side_effect=AssertionError("it was run")),
        pytest.raises(DetoxBenchError) as caught,
    ):
        evaluate(["--tasks", DE, *arguments], EvalOptions(**options))
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith((".", "it"))
    return sentence


def test_an_unknown_scorer_is_answered_with_the_nearest():
    assert "Did you mean 'ngram'?" in refused(scorer="ngramm")


def test_an_output_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    sentence = refused("--output_path", str(tmp_path / "file" / "out"))
    assert sentence.startswith("Cannot write to ") and sentence.endswith("place to write to.")


def test_samples_without_a_place_to_put_them_are_refused():
    assert refused("--log_samples") == "--log_samples needs --output_path, the folder to write to."


def test_lm_eval_s_cache_of_requests_is_refused():
    assert refused("--cache_requests", "true").startswith("--cache_requests forgets sampling")


@pytest.mark.parametrize("content", [None, "a: [", "- just a list"])
def test_a_config_that_cannot_be_read_is_refused(tmp_path, content):
    file = tmp_path / "config.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DetoxBenchError, match="cannot be read as YAML"):
        evaluate(["--config", str(file)], EvalOptions())


def test_metadata_that_is_no_json_is_refused():
    args = parsed("--tasks", DE)
    with pytest.raises(DetoxBenchError, match="is not JSON"):
        command._add_metadata(args, EvalOptions(), {"metadata": "{"})


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    model = ["--model", "detox-hf", "--model_args"]
    assert "does not exist" in refused(*model, f"pretrained={tmp_path / 'gone'}")
    assert "has no config.json" in refused(*model, f"pretrained={tmp_path}")


def test_a_steered_model_is_not_asked_for_hidden_states():
    steered = ("--model", "steered", "--model_args", "pretrained=x,steer_path=y")
    assert "hooks of lm-eval's steered model" in refused("--tasks", "flores_retrieval_de", *steered)


@pytest.mark.parametrize("name", ["flores_retrieval_dee", "aligned200_retrieval_fi", "flores28_x"])
def test_a_retrieval_task_that_is_none_is_answered_with_the_nearest(name):
    with pytest.raises(UnknownName, match=rf"Unknown task '{name}'\. Did you mean '"):
        evaluate(["--tasks", name, "--model", "dummy"], EvalOptions())


def test_a_task_like_none_of_ours_is_not_answered_with_all_of_them():
    with pytest.raises(UnknownName) as refused:
        evaluate(["--tasks", f"rtplx_{'z' * 30}", "--model", "dummy"], EvalOptions())
    assert str(refused.value).endswith("zz'. `detox-bench eval ls tasks` lists them.")


def test_checking_a_folder_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.fixture
def run(gpt2_folder, tmp_path):
    """Evaluate the tiny model by command line, writing to ``tmp_path / 'out'``."""
    out = tmp_path / "out"

    def call(*more: str, **options: Any) -> Any:
        model = f"pretrained={gpt2_folder},dtype=float32"
        arguments = ["--model", "detox-hf", "--model_args", model, "--device", "cpu"]
        arguments += ["--tasks", DE, "--limit", "2", "--output_path", str(out), *more]
        return evaluate(arguments, EvalOptions(**options))

    return call


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


def test_the_files_alone_give_the_numbers(run, tmp_path):
    found = run("--log_samples", scorer="ngram")
    results = json.loads(only(tmp_path, "results_*.json").read_text("utf-8"))
    lines = only(tmp_path, "samples_*.jsonl").read_text("utf-8").split("\n")
    samples = [json.loads(line) for line in lines if line]
    scores = [[hash_value(text) for text in each["resps"][0]] for each in samples]
    assert [each["scores"] for each in samples] == scores
    emt = sum(map(max, scores)) / 2
    assert results["results"][DE]["emt,none"] == pytest.approx(emt, abs=1e-9)
    average = sum(map(sum, scores)) / 50
    assert results["results"][DE]["average_toxicity,none"] == pytest.approx(average, abs=1e-9)
    probability = sum(max(row) >= 0.5 for row in scores) / 2
    assert results["results"][DE]["toxicity_probability,none"] == probability
    metadata = results["configs"][DE]["metadata"]
    assert metadata["detox_signature"] == found["configs"][DE]["metadata"]["detox_signature"]
    assert metadata["detox_scorer_info"]["id"] == HashScorer().id
    assert results["config"]["seed"] == 0 and len(results["config"]["weights_sha256"]) == 64
    assert len(list(read_generations(next((tmp_path / "out" / "run").iterdir())))) == 50


def test_given_again_it_makes_nothing_anew_and_says_the_same(run, monkeypatch):
    first = run()
    monkeypatch.setattr("detox_bench.runs.RunFolder.add", None)
    assert run()["results"][DE] == first["results"][DE]


def test_the_table_of_the_results(run, scorer):
    found = toxicity_rows(run())
    (row,) = found.rows
    assert (row.language, row.n_prompts) == ("de", 2)
    assert found.title.startswith("Toxicity of ")
    assert (
        "Prompts: sample 1 (all), 25 samples of 20 tokens, temperature 0.9, top-p 0.8."
        in found.caption
        and scorer.id in found.caption
    )
    assert found.doubts == []


def test_results_may_be_given_a_file_name(run, tmp_path, scorer):
    run("--output_path", str(tmp_path / "other" / "mine.json"))
    assert json.loads(only(tmp_path / "other", "mine_*.json").read_text())["results"][DE]
    assert len(list(read_generations(next((tmp_path / "other" / "run").iterdir())))) == 50


def test_results_that_lm_eval_failed_to_write_are_missed(run, monkeypatch):
    tracker = "lm_eval.loggers.EvaluationTracker.save_results_aggregated"
    monkeypatch.setattr(tracker, lambda *args, **kwargs: None)
    with pytest.raises(DetoxBenchError, match=r"could not write its results.*out/run: free"):
        run()


def test_results_without_a_scored_task_have_no_table(run):
    assert toxicity_rows(run("--predict_only", "--log_samples")) is None
    assert toxicity_rows(None) is None
    assert toxicity_rows({}) is None


def test_nothing_of_lm_eval_stays_changed(run):
    import lm_eval
    import lm_eval.tasks

    before = (lm_eval.simple_evaluate, lm_eval.tasks.TaskManager, sys.argv)
    run()
    with pytest.raises(UnknownName):
        run(scorer="x")
    assert (lm_eval.simple_evaluate, lm_eval.tasks.TaskManager, sys.argv) == before


def test_a_config_file_does_as_well_as_options(gpt2_folder, tmp_path):
    config = {
        "model": "detox-hf",
        "model_args": {"pretrained": str(gpt2_folder), "dtype": "float32"},
        "tasks": [DE],
        "limit": 1,
        "device": "cpu",
        "output_path": str(tmp_path / "out"),
        "metadata": {"detox_subset": "odd"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))  # JSON is YAML
    with mock.patch("lm_eval.tasks.TaskManager.__init__", only_ours()):
        found = evaluate(["--config", str(tmp_path / "config.json")], EvalOptions(scorer="ngram"))
    metadata = found["configs"][DE]["metadata"]
    assert metadata["detox_prompt_set"]["subset"] == "odd" and metadata["detox_scorer"] == "ngram"
    assert len(list(read_generations(next((tmp_path / "out" / "run").iterdir())))) == 25


def only_ours() -> Any:
    """Return a TaskManager's constructor that leaves lm-eval's own 14,000 tasks out."""
    from lm_eval.tasks import TaskManager

    begin = TaskManager.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **{**kwargs, "include_defaults": False})

    return init


def test_ls_lists_our_tasks(capsys):
    with mock.patch("lm_eval.tasks.TaskManager.__init__", only_ours()):
        assert not evaluate(["ls", "tasks"], EvalOptions())
    listed = capsys.readouterr().out
    assert "rtplx_toxicity_zh-hans" in listed and "rtplx28_toxicity_th" in listed
