"""The command line: quick to ask for help, and one sentence for a user's mistake."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from test_stored_texts import run_folder, samples_file

from detox_bench import __version__, cli
from detox_bench.cli import COMMANDS
from detox_bench.errors import DetoxBenchError
from detox_bench.locations import tasks_path

HEAVY = {"torch", "transformers", "lm_eval", "datasets", "sklearn", "pandas"}


def detox_bench(capsys, monkeypatch, *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", ["detox-bench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr()
    return int(stopped.value.code or 0), printed.out, printed.err


@pytest.fixture
def command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: detox_bench(capsys, monkeypatch, *arguments)


def loaded_by(*arguments: str) -> tuple[set[str], str]:
    """Return which heavy packages a command loads in a process of its own, and its output."""
    program = (
        "import atexit, json, sys\n"
        f"sys.argv = ['detox-bench', *{list(arguments)!r}]\n"
        "atexit.register(lambda: print(json.dumps(list(sys.modules)), file=sys.stderr))\n"
        "from detox_bench.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return HEAVY & set(json.loads(done.stderr.splitlines()[-1])), done.stdout


def test_help_lists_every_command_and_loads_nothing_heavy():
    loaded, printed = loaded_by("--help")
    assert loaded == set()
    for name, line in COMMANDS.items():
        assert name in printed and line.split(":")[0].split(";")[0] in printed


@pytest.mark.parametrize("arguments", [("tasks-path",), ("eval", "--help"), ("score", "--help")])
def test_light_commands_load_nothing_heavy(arguments):
    assert loaded_by(*arguments)[0] == set()


def test_importing_the_package_loads_nothing_heavy():
    program = "import sys, detox_bench.rescoring, detox_bench.task_files; print(list(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not [name for name in ("torch", "lm_eval", "transformers") if f"'{name}'" in done.stdout]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_two_examples(command, name):
    code, printed, _ = command(name, "--help")
    assert code == 0
    assert f"detox-bench {name}" in printed
    _, examples, worked = printed.partition("Examples")
    assert examples
    assert worked.count("detox-bench") + worked.count("lm_eval --") >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_of_its_name(name):
    module = Path(cli.__file__).parent / "commands" / f"{name.replace('-', '_')}.py"
    assert module.is_file()


def test_every_module_with_an_app_is_a_command():
    modules = (Path(cli.__file__).parent / "commands").glob("*.py")
    apps = {m.stem.replace("_", "-") for m in modules if "\napp = " in m.read_text("utf-8")}
    assert apps == set(COMMANDS)


def test_a_short_option_means_the_same_in_every_command():
    meant: dict[str, set[str]] = {}
    for name in COMMANDS:
        module = import_module(f"detox_bench.commands.{name.replace('-', '_')}")
        for option in options_of(typer.main.get_command(module.app)):
            for short in (each for each in option.opts if len(each) == 2):
                meant.setdefault(short, set()).add(option.opts[0])
    assert meant["-o"] == {"--option"}  # so that no --output has it
    assert {short: names for short, names in meant.items() if len(names) > 1} == {}


def options_of(command):
    """Yield the options of a command and of all below it."""
    yield from command.params
    for below in getattr(command, "commands", {}).values():
        yield from options_of(below)


def test_the_version(command):
    assert command("--version")[:2] == (0, f"detox-bench {__version__}\n")


def test_no_command_shows_help(command):
    _, printed, other = command()
    assert "tasks-path" in printed + other


def test_tasks_path_prints_a_folder_and_nothing_else(command):
    code, printed, _ = command("tasks-path")
    assert (code, printed) == (0, f"{tasks_path()}\n")
    assert (Path(printed.strip()) / "rtplx_toxicity").is_dir()


def test_an_unknown_command_is_a_mistake_of_the_user(command):
    code, _, said = command("evall")
    assert code == 2
    assert "No such command 'evall'" in said and "Traceback" not in said


def test_an_unknown_option_is_a_mistake_of_the_user(command):
    code, _, said = command("score", "x", "--nonsense")
    assert code == 2 and "--nonsense" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("score", "missing"), "missing does not exist. Give a run folder or a samples file."),
        (("score", ".", "--scorer", "ngrm"), "Unknown scorer 'ngrm'. Did you mean 'ngram'?"),
        (("score", ".", "-o", "x"), "--option 'x' is not of the form name=value."),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(command, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, printed, error = command(*arguments)
    assert code == 1 and printed == ""
    assert error.startswith(said) and error.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (DetoxBenchError("It is broken. Mend it."), 1, "It is broken. Mend it.\n"),
        (KeyboardInterrupt(), 130, "Stopped"),
    ],
)
def test_what_a_command_raises_ends_as_a_sentence(command, monkeypatch, raised, code, said):
    def fail() -> None:
        raise raised

    monkeypatch.setattr("detox_bench.commands.tasks_path.tasks_path", fail)
    found, printed, error = command("tasks-path")
    assert found == code and printed == "" and error.startswith(said)


def test_the_exit_code_of_a_command_is_that_of_the_program(command, monkeypatch):
    def leave() -> None:
        raise typer.Exit(3)

    monkeypatch.setattr("detox_bench.commands.tasks_path.tasks_path", leave)
    assert command("tasks-path") == (3, "", "")


def test_a_bug_is_not_hidden(monkeypatch):
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("detox_bench.commands.tasks_path.tasks_path", fail)
    monkeypatch.setattr(sys, "argv", ["detox-bench", "tasks-path"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_reader_that_stops_early_is_no_error():
    program = [sys.executable, "-m", "detox_bench.cli", "score", "--help"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert "Traceback" not in done.stderr and "Error" not in done.stderr


@pytest.fixture
def hash_scorer(monkeypatch):
    from doubles import HashScorer

    monkeypatch.setattr(
        "detox_bench.commands.score.load_scorer", lambda spec, **options: HashScorer()
    )


def test_score_prints_a_table_and_says_where_everything_is(command, tmp_path, hash_scorer):
    run_folder(tmp_path / "run", [("s", f"p{n % 2}", n // 2, f"text {n}") for n in range(6)])
    code, printed, _ = command("score", str(tmp_path / "run"))
    assert code == 0
    assert "de German" in printed and "EMT" in printed
    scores, summary = tmp_path.rglob("scores-*.jsonl"), tmp_path.rglob("scores-*.json")
    assert str(next(scores)) in printed.replace("\n", "")
    assert str(next(summary)) in printed.replace("\n", "")


def test_score_prints_json_alone(command, tmp_path, hash_scorer):
    samples_file(tmp_path / "samples_1.jsonl", ["a", "b"])
    arguments = ("--json", "--output", str(tmp_path / "there"), "--threshold", "0")
    code, printed, _ = command("score", str(tmp_path / "samples_1.jsonl"), *arguments)
    found = json.loads(printed)
    (row,) = found["languages"]
    assert found["threshold"] == 0.0 and found["scorer"]["id"].startswith("hash@")
    assert code == 0 and row["language"] == "en" and row["n_prompts"] == 1
    assert row["toxicity_probability"]["estimate"] == 1.0
    assert len(list((tmp_path / "there").iterdir())) == 2
