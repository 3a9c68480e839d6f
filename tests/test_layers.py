"""The layers: every module has a rank and imports none above it; heavy packages stay below."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "detox_bench"
#: Where the modules of the package lie, as ``package-dir`` of pyproject.toml has it.
FOLDERS = {
    "detox_bench": PACKAGE,
    "leaderboard": f"{PACKAGE}.leaderboard_data",
    "tasks": f"{PACKAGE}.tasks",
    "trainers": f"{PACKAGE}.trainers",
}

#: The rank of a module, or of all modules of a sub-package. A new module needs a row here.
RANKS = {
    "": 0,
    "errors": 0,
    "types": 0,
    "languages": 0,
    "locations": 0,
    "readable_texts": 0,
    "doubts": 1,
    "metrics": 1,
    "statistics": 1,
    "student_t": 1,
    "signature": 1,
    "summary": 1,
    "data": 2,
    "scorers": 2,
    "evaluate_modules": 2,
    "quality": 2,
    "comparison": 1,
    "corpus_scores": 1,
    "task_results": 1,
    "capability": 1,
    "correlation": 1,
    "forecast": 1,
    "tokenizer_overlap": 1,
    "retrieval_cosines": 3,
    "retrieval_layer": 3,
    "retrieval": 3,
    "retrieval_results": 4,
    "forecast_runs": 5,
    "forecast_fit": 5,
    "forecast_figure": 6,
    "modeling": 3,
    "figures": 1,
    "neurons": 6,
    "neurons.edit": 5,
    "neurons.find": 6,
    "neurons.fold": 6,
    "continuations": 4,
    "fluency": 4,
    "fluency_legacy": 4,
    "run_metrics": 4,
    "suppression": 6,
    "suppression_texts": 3,
    "run_records": 4,
    "reference_runs": 4,
    "run_comparison": 5,
    "validation": 4,
    "verdicts": 2,
    "reports": 7,
    "leaderboard": 8,
    "leaderboard_data": 0,
    "runs": 1,
    "typed_commands": 1,
    "stored_texts": 3,
    "rescoring": 4,
    "score_processes": 5,
    "score_ray": 5,
    "isotonic": 1,
    "score_archives": 1,
    "score_maps": 4,
    "scorer_agreement": 1,
    "guard_prompts": 4,
    "guard_models": 4,
    "ensemble_members": 5,
    "ensemble_scorers": 5,
    "stored_scores": 5,
    "scorer_comparison": 6,
    "harness": 7,
    "tasks": 7,
    "trainers": 5,
    "task_files": 6,
    "demo": 8,
    "commands": 9,
    "cli": 9,
    "__main__": 10,
}
#: Modules of trainers that are imported only when a model is to be trained.
_TRAINING = ("trainers.build", "trainers.trainer", "trainers.watch*", "trainers.progress")
#: Packages that are slow to import, and who may do so at module level. Build scripts are run, never
#: imported.
HEAVY = {
    "torch": ("modeling.*", "neurons.*", "harness.*", "demo.train", *_TRAINING),
    "transformers": ("modeling.*", "neurons.*", "harness.*", "demo.train", *_TRAINING),
    "lm_eval": ("harness.*",),
    "datasets": ("harness.*", "evaluate_modules.*", "trainers.build"),
    "evaluate": ("evaluate_modules.*",),
    "sklearn": ("scorers.build_*",),
    "detoxify": (),
    "gguf": (),
    "httpx": (),
    "tenacity": (),
    "ray": (),
    "pyzipper": (),
    "matplotlib": (),
    "peft": (),
    "trl": ("trainers.build", "trainers.trainer"),
}


class Import(NamedTuple):
    """One import of a module: the dotted name, and whether it runs when the module is imported."""

    name: str
    at_module_level: bool


def _module_name(folder: str, file: Path) -> str:
    parts = file.relative_to(ROOT / folder).with_suffix("").parts
    return ".".join((FOLDERS[folder], *(part for part in parts if part != "__init__")))


FILES = {
    _module_name(folder, file): file
    for folder in FOLDERS
    for file in sorted((ROOT / folder).rglob("*.py"))
}


def _imports(file: Path) -> Iterator[Import]:
    tree = ast.parse(file.read_text("utf-8"))
    later = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) or _for_types_only(outer)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            names = [_imported(f"{node.module}", alias.name) for alias in node.names]
        else:
            continue
        yield from (Import(name, id(node) not in later) for name in names)


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _imported(module: str, name: str) -> str:
    """Return the module that ``from module import name`` imports."""
    whole = f"{module}.{name}"
    return whole if whole in FILES else module


def _below(name: str) -> str:
    return name.removeprefix(PACKAGE).removeprefix(".")


def _rank(name: str) -> int:
    below = _below(name)
    while below not in RANKS:
        below = below.rpartition(".")[0]
    return RANKS[below]


def _parent(name: str) -> str:
    """Return the package a module is in; a package counts as one of its own modules."""
    return name if FILES[name].name == "__init__.py" else name.rpartition(".")[0]


def test_every_module_has_a_rank_and_every_rank_a_module():
    used = {_below(name).partition(".")[0] for name in FILES}
    rows = {row.partition(".")[0] for row in RANKS}
    assert used - rows == set(), "give it a row in RANKS"
    assert rows - used == set(), "take the row out of RANKS"
    assert {row for row in RANKS if "." in row} <= {_below(name) for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_a_module_imports_from_lower_layers_or_beside_itself(name):
    own = [each.name for each in _imports(FILES[name]) if _is_ours(each.name)]
    too_high = [
        other
        for other in own
        if _rank(other) > _rank(name)
        or (_rank(other) == _rank(name) and _parent(other) != _parent(name))
    ]
    assert not too_high, f"{name} may not import {too_high}"


@pytest.mark.parametrize("name", FILES)
def test_heavy_packages_are_imported_at_module_level_only_where_allowed(name):
    below = _below(name)
    at_once = {
        each.name.partition(".")[0] for each in _imports(FILES[name]) if each.at_module_level
    }
    refused = [
        heavy
        for heavy in at_once & set(HEAVY)
        if not any(fnmatchcase(below, allowed) for allowed in HEAVY[heavy])
    ]
    assert not refused, f"{name} may import {refused} inside functions only"


@pytest.mark.parametrize("name", [name for name in FILES if "harness" not in name.split(".")])
def test_only_the_harness_knows_lm_eval(name):
    assert "lm_eval" not in {each.name.partition(".")[0] for each in _imports(FILES[name])}


@pytest.mark.parametrize("name", [name for name in FILES if ".build_" not in name])
def test_no_module_imports_a_build_script(name):
    own = {each.name for each in _imports(FILES[name])}
    assert not [other for other in own if other.startswith(f"{PACKAGE}.scorers.build_")]


def test_no_two_modules_import_each_other():
    graph = {
        name: {other.name for other in _imports(file) if _is_ours(other.name)} - {name, PACKAGE}
        for name, file in FILES.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) >= len(FILES) - 1


def test_the_package_folders_are_those_of_pyproject():
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["package-dir"] == {name: folder for folder, name in FOLDERS.items()}
    packages = {name for name, file in FILES.items() if file.name == "__init__.py"}
    assert set(setuptools["packages"]) == packages


def _is_ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")
