"""The generated task files: up to date, and noticed when they are not."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from detox_bench import task_files
from detox_bench.errors import DetoxBenchError
from detox_bench.languages import LANGUAGES, PAPER_LANGUAGES
from detox_bench.locations import tasks_path
from detox_bench.quality.measures import measure
from detox_bench.retrieval import METRICS
from detox_bench.summary import COLUMNS
from detox_bench.task_files import main, out_of_date, retrieval_task_name, task_name


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    copy = tmp_path / "tasks"
    shutil.copytree(tasks_path(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(task_files, "tasks_path", lambda: copy)
    return copy


def test_the_files_of_this_project_are_up_to_date():
    assert out_of_date(tasks_path()) == []


@pytest.mark.parametrize("file", ["rtplx_toxicity_de.yaml", "_rtplx_toxicity.yaml"])
def test_an_edit_a_loss_and_a_stranger_are_noticed_and_mended(folder, file):
    family = folder / "rtplx_toxicity"
    before = (family / file).read_text()
    (family / file).write_text(before + "# edited\n")
    (family / "rtplx28_toxicity_da.yaml").unlink()
    (family / "rtplx_toxicity_xx.yaml").write_text("task: x\n")
    stale = ["rtplx28_toxicity_da.yaml", file, "rtplx_toxicity_xx.yaml"]
    assert sorted(out_of_date(folder)) == sorted(f"rtplx_toxicity/{name}" for name in stale)
    with pytest.raises(
        DetoxBenchError, match=r"out of date: .*rtplx_toxicity_xx.* Run: make tasks"
    ):
        main(["--check"])
    main([])
    assert out_of_date(folder) == []
    assert (family / file).read_text() == before
    assert not (family / "rtplx_toxicity_xx.yaml").exists()
    main(["--check"])


def test_writing_leaves_the_template_and_the_readme_alone(folder):
    template = folder / "rtplx_toxicity" / "_default_template_yaml"
    before = template.read_text()
    shutil.rmtree(folder / "rtplx_toxicity")
    (folder / "rtplx_toxicity").mkdir()
    template.write_text(before)
    main([])
    assert out_of_date(folder) == [] and template.read_text() == before


def test_the_pattern_of_the_paper_s_tasks_matches_no_other_and_no_group():
    names = [task_name(code) for code in LANGUAGES]
    assert len(set(names)) == 28
    matched = [name for name in names if name.startswith("rtplx_toxicity_")]
    assert matched == [task_name(code) for code in PAPER_LANGUAGES] and len(matched) == 17
    groups = [yaml.safe_load(text)["group"] for text in _groups().values()]
    assert groups == ["rtplx_toxicity", "rtplx28_toxicity"]
    assert not any(group.startswith("rtplx_toxicity_") for group in groups)


def test_groups_average_every_column_without_weights():
    for text in _groups().values():
        metrics = yaml.safe_load(text)["aggregate_metric_list"]
        assert {metric["metric"] for metric in metrics} == measured()
        assert not any(metric["weight_by_size"] for metric in metrics)


def measured() -> set[str]:
    """Return the names of all metrics of a prompt, from one that has them all."""
    texts = ["the quick brown fox jumps over it", "where is the house of my friend"]
    return set(measure(texts, [0.1, 0.2], "en", prompt="a prompt"))


def test_the_template_names_every_metric_of_a_prompt_and_no_other():
    template = (tasks_path() / "rtplx_toxicity" / "_default_template_yaml").read_text()
    named = re.findall(r"metric: (\w+),", template)
    assert set(named) == measured() | {"scores"}
    assert len(named) == len(set(named))
    assert set(COLUMNS) <= measured()


def _groups() -> dict[str, str]:
    files = task_files.task_files()
    return {name: text for name, text in files.items() if name.startswith("rtplx_toxicity/_")}


@pytest.mark.parametrize("data", ["flores", "rtplx", "aligned200"])
def test_retrieval_tasks_are_english_with_each_other_language(data):
    files = {
        name.split("/")[1].removesuffix(".yaml"): yaml.safe_load(text)
        for name, text in task_files.task_files().items()
        if name.startswith(f"{data}_retrieval/")
    }
    tasks = {name: config for name, config in files.items() if "task_alias" in config}
    assert all(name == config["task"] for name, config in tasks.items())
    asked = [config["dataset_kwargs"] for config in tasks.values()]
    assert {each["detox_data"] for each in asked} == {data}
    languages = PAPER_LANGUAGES if data == "aligned200" else tuple(LANGUAGES)
    assert {each["detox_language"] for each in asked} == set(languages) - {"en"}
    groups = {config["group"]: config["task"] for name, config in files.items() if name[0] == "_"}
    assert groups[f"{data}_retrieval"] == [
        retrieval_task_name(data, code) for code in PAPER_LANGUAGES if code != "en"
    ]
    assert not any(group.startswith(f"{data}_retrieval_") for group in groups)
    assert len(set(tasks) | set(groups)) == len(files)
    assert len(groups) == (1 if data == "aligned200" else 2)


def test_the_retrieval_template_names_every_number_and_groups_average_without_weights():
    template = (tasks_path() / "_retrieval_template_yaml").read_text()
    names = set(task_files._RETRIEVAL_METRICS) | {"duplicates", "ties"}
    assert len(names) == 3 * len(METRICS) + 5
    assert all(f"metric: {name}," in template for name in names)
    assert template.count("metric: ") == len(names)
    group = yaml.safe_load(task_files.task_files()["flores_retrieval/_flores_retrieval.yaml"])
    assert [each["metric"] for each in group["aggregate_metric_list"]] == list(
        task_files._RETRIEVAL_METRICS
    )
    assert not any(each["weight_by_size"] for each in group["aggregate_metric_list"])
