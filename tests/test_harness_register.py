"""Making the tasks known to the stock command, in a copy of the place where it looks."""

from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager

from detox_bench.errors import DetoxBenchError
from detox_bench.harness import register as module
from detox_bench.harness.register import register, stub_folder, unregister
from detox_bench.languages import PAPER_LANGUAGES
from detox_bench.locations import tasks_path
from detox_bench.task_files import task_files, task_name


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Let ``tmp_path`` be the folder that lm-eval is installed in."""
    folder = tmp_path / "lm_eval"
    (folder / "tasks" / "arc").mkdir(parents=True)
    (folder / "tasks" / "arc" / "arc.yaml").write_text("task: arc\n")
    (folder / "__init__.py").touch()
    monkeypatch.setattr(module, "package_folder", lambda name: tmp_path / name)
    return folder


def test_a_stub_for_each_task_file(package):
    count = register()
    assert count == len(list(tasks_path().rglob("*.yaml"))) == len(task_files())
    assert len(list(stub_folder().glob("*.yaml"))) == count
    assert stub_folder() == package / "tasks" / "detox_bench"


def test_the_stock_command_finds_and_loads_the_tasks(package):
    register()
    manager = TaskManager(include_defaults=False, include_path=str(package / "tasks"))
    names = sorted(task_name(code) for code in PAPER_LANGUAGES)
    assert sorted(manager.match_tasks(["rtplx_toxicity_*"])) == names
    assert {"rtplx_toxicity", "rtplx28_toxicity"} <= set(manager.all_groups)
    (task,) = manager.load(["rtplx_toxicity_de"])["tasks"].values()
    assert type(task).__name__ == "ToxicityTask" and task.config.repeats == 25
    assert next(iter(task.test_docs()))["language"] == "de"


def test_registering_again_leaves_no_stub_of_a_task_that_is_gone(package):
    register()
    (stub_folder() / "rtplx_toxicity__rtplx_toxicity_xx.yaml").write_text("include: gone\n")
    assert register() == len(task_files())
    assert not (stub_folder() / "rtplx_toxicity__rtplx_toxicity_xx.yaml").exists()


def test_unregistering_takes_our_folder_away_and_nothing_else(package):
    register()
    assert unregister() is True
    assert not stub_folder().exists()
    assert (package / "tasks" / "arc" / "arc.yaml").exists()
    assert unregister() is False


@pytest.mark.parametrize("act", [register, unregister])
def test_a_folder_of_another_s_is_left_alone(package, act):
    stub_folder().mkdir()
    (stub_folder() / "mine.yaml").write_text("task: mine\n")
    with pytest.raises(DetoxBenchError, match="was not written by detox-bench and is left alone"):
        act()
    assert (stub_folder() / "mine.yaml").read_text() == "task: mine\n"


def test_what_is_left_of_an_uninstalled_lm_eval_is_named(package):
    (package / "__init__.py").unlink()
    with pytest.raises(DetoxBenchError, match=r"is no package\. Delete that folder"):
        register()


def test_a_place_that_cannot_be_written_is_one_sentence_with_the_other_way(package):
    (package / "tasks" / "arc" / "arc.yaml").unlink()
    (package / "tasks" / "arc").rmdir()
    (package / "tasks").rmdir()
    (package / "tasks").touch()
    with pytest.raises(DetoxBenchError, match=r"^Cannot write to .*lm_eval --include_path"):
        register()


def test_the_real_lm_eval_is_found():
    assert stub_folder().parent.name == "tasks"
    assert (stub_folder().parents[1] / "evaluator.py").is_file()
