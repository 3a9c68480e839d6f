"""``detox-bench capability``: the table, the verdict, the JSON of the report, bad input."""

import json

import pytest
from capability_tasks_made import documents, write_task
from conftest import _saved, tiny_gpt2
from test_capability import N, result
from typer.testing import CliRunner

from detox_bench import __version__
from detox_bench.capability import pair
from detox_bench.commands import capability
from detox_bench.commands.capability_table import print_capability, verdict_line
from detox_bench.errors import BadRunFolder, DetoxBenchError
from detox_bench.harness.capability import MeasuredModel, Settings
from detox_bench.reports.evidence_tables import capability_tables

TO = "flores_translation_en-de"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    write_task(folder, "liked", documents(tiny_gpt2(), 24))
    return write_task(folder, "liked_too", documents(tiny_gpt2(), 12))


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory):
    return _saved(tiny_gpt2(seed=7), tmp_path_factory.mktemp("other"))


def invoke(*arguments):
    found = CliRunner().invoke(capability.app, list(map(str, arguments)), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_a_broken_model_is_named_and_the_json_says_what_the_table_says(
    made, gpt2_folder, other_folder, tmp_path
):
    file = tmp_path / "new" / "cost.json"
    shown = invoke(
        *(gpt2_folder, other_folder, "--tasks", f"made,{TO}", "--include_path", made),
        *("--num_fewshot", 1, "--limit", 20, "--json", file, "--batch_size", 8),
    )
    assert "first 20 documents" in " ".join(shown.split()) and "▼" in shown
    assert "of 3 tasks surely worse than before: liked" in shown
    assert "translated are 40 sentences of our own" in shown
    found = json.loads(file.read_text())
    assert (found["kind"], found["schema"]) == ("capability", 1)
    assert {"name", "weights_sha256", "configuration"} <= set(found["base"])
    assert found["base"]["weights_sha256"] != found["model"]["weights_sha256"]
    assert found["settings"] == {"limit": 20, "batch_size": "8", "num_fewshot": 1}
    assert found["versions"]["detox_bench"] == __version__ and found["versions"]["lm_eval"]
    rows = {(row["task"], row["metric"]): row for row in found["tasks"]}
    liked = rows["liked", "acc"]
    assert (liked["n"], liked["family"], liked["p_holm"] < 0.05) == (20, "made", True)
    assert liked["difference"]["high"] < 0 and liked["surely_worse"]
    assert liked["difference"]["estimate"] == pytest.approx(liked["model"] - liked["base"])
    translated = rows[TO, "chrf_plus_plus"]
    assert translated["num_fewshot"] == 1 and translated["difference"]["low"] is not None
    (mean,) = found["means"]
    assert (mean["family"], mean["tasks"], mean["n"]) == ("made", 2, 32)
    assert "liked" in found["verdict"]["worse"] and found["verdict"]["tested"] == 3


def test_a_second_command_reuses_the_base_and_says_the_same(made, gpt2_folder, tmp_path):
    command = (gpt2_folder, gpt2_folder, "--tasks", "liked", "--include_path", made)
    first = invoke(*command, "--output", tmp_path)
    (file,) = tmp_path.rglob("liked-*.json")
    before = file.stat().st_mtime_ns
    assert invoke(*command, "--output", tmp_path) == first
    assert file.stat().st_mtime_ns == before
    assert "No task surely worse than before (1 tested)." in first and "Not excluded" not in first


def test_the_verdict_says_which_loss_is_left_open():
    model = result("t", [0] * 2 + [1] * (N - 2))
    line = verdict_line(pair([result("t", [1] * N)], [model], {}))
    assert line.startswith("No task surely worse than before (1 tested). Not excluded: a loss of")
    assert line.endswith("(t, acc).")


def test_a_mean_that_is_worse_is_said_where_no_task_is():
    """Each of two tasks loses 4 other documents: p = 2/16 each, of the mean 2/256."""
    lost = [[0] * 4 + [1] * (N - 4), [1] * (N - 4) + [0] * 4]
    base = [result("a", [1] * N), result("b", [1] * N)]
    model = [result("a", lost[0]), result("b", lost[1])]
    found = pair(base, model, {"a": "f", "b": "f"})
    assert [row.p for row in found.tasks] == [2 / 16] * 2 and found.means[0].p == 2 / 256
    assert verdict_line(found) == "Surely worse: the mean of f."
    twice = found._replace(means=[*found.means, found.means[0]._replace(family="g")])
    assert verdict_line(twice) == "Surely worse: the mean of f, the mean of g."


def test_what_must_be_minded_is_below_the_table(capsys):
    base = [result("few", [1, 1], cut=True), result("whole", [1] * N, rows=False)]
    print_capability("title", pair(base, base, {}), ["a [remark]"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "Mind: a [remark]" in shown
    assert "fewer than 5 documents say nothing: few." in shown
    assert "documents were cut to the model's window: few." in shown
    assert "no value a document, so no interval and no test: whole acc." in shown
    assert "No task surely worse" in shown


def test_what_must_be_minded_is_in_the_report_too():
    base = [result("few", [1, 1], cut=True)]
    asked = MeasuredModel("m", {}, base)
    found = capability.capability_json(asked, asked, pair(base, base, {}), Settings(), ["a remark"])
    (table,) = capability_tables(found)
    assert {"a remark", "documents were cut to the model's window: few."} <= set(table.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--limit", "0"], "--limit 0 leaves no document"),
        (["--num_fewshot", "-1"], "--num_fewshot -1 is no number"),
        (["--batch_size", "0"], "--batch_size '0'"),
        (["--batch_size", "many"], "--batch_size 'many'"),
        (["--tasks", " , "], "--tasks names nothing"),
        (["--intervention", "none.json"], r"none\.json"),
    ],
)
def test_bad_options_are_one_sentence(gpt2_folder, options, words):
    with pytest.raises(DetoxBenchError, match=words):
        invoke(gpt2_folder, gpt2_folder, *options)


def test_what_cannot_be_written_is_said_before_anything_is_loaded(gpt2_folder, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for option, place in (("--output", file / "below"), ("--json", tmp_path)):
        with pytest.raises(BadRunFolder):
            invoke("not-a-model", gpt2_folder, option, place)
