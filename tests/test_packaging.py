"""What a stranger gets who installs the wheel."""

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from detox_bench.task_files import task_files

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in (
        "detox_bench",
        "leaderboard",
        "tasks",
        "trainers",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ):
        (source / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl"))).namelist()


def test_the_wheel_holds_no_submission(wheel: list[str]) -> None:
    assert not [name for name in wheel if "submissions" in name]


def test_the_wheel_holds_the_task_files(wheel: list[str]) -> None:
    packed = {name for name in wheel if name.startswith("detox_bench/tasks/")}
    wanted = {f"detox_bench/tasks/{name}" for name in task_files()}
    assert wanted <= packed
    assert "detox_bench/tasks/rtplx_toxicity/_default_template_yaml" in packed


@pytest.mark.parametrize(
    "name",
    [
        "detox_bench/scorers/ngram.npz",
        "detox_bench/scorers/ngram.md",
        "detox_bench/data/sample_prompts.jsonl",
        "detox_bench/demo/model/config.json",
        "detox_bench/demo/model/model.safetensors",
        "detox_bench/evaluate_modules/prompt_toxicity/prompt_toxicity.py",
        "detox_bench/leaderboard_data/benchmark.yaml",
        "detox_bench/leaderboard_data/schema/submission.schema.json",
        "detox_bench/py.typed",
        "detox_bench/reports/templates/report.html.j2",
        "detox_bench/reports/templates/report.css",
        "detox_bench/trainers/__init__.py",
    ],
)
def test_the_wheel_holds(wheel: list[str], name: str) -> None:
    assert name in wheel


def test_the_wheel_holds_every_module(wheel: list[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "detox_bench").rglob("*.py")}
    assert modules <= set(wheel)


def test_nothing_top_level_but_ours(wheel: list[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"detox_bench"}


def test_entry_points_name_what_exists() -> None:
    (model,) = entry_points(group="lm_eval.models", name="detox-hf")
    assert model.load().__name__ == "DetoxHFLM"
    (tasks,) = entry_points(group="lm_eval.tasks", name="detox_bench")
    assert tasks.load().__name__ == "detox_bench.tasks"
