"""``detox-bench validate-scorer``: tables, files, states, and that random weights are chance."""

import json

import pytest
from doubles import save_classifier, save_detoxify
from rtplx_doubles import EVEN, ZIP, folder_of, needs_both, real_password, v1
from typer.testing import CliRunner

from detox_bench.commands import scorers, validate_scorer
from detox_bench.errors import BadData, DetoxBenchError, UnknownName
from detox_bench.scorers.table import load_scorer
from detox_bench.scorers.thresholds import read_threshold, threshold_for
from detox_bench.scorers.validation import stored_path, validation_of


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(validate_scorer.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def rtplx(tmp_path) -> str:
    """Return made-up German records that ``ngram`` may be judged on, rude and polite by turns."""
    rows = []
    for index in range(400):
        rude = index % 2 == 0
        text = f"Satz {index}: {'du dummer Idiot' if rude else 'vielen Dank'}"
        row = v1(index, text, (4, 4, 5) if rude else (1, 1, 2))
        row["CompletionAnnotationsRaw"] |= {"Toxicity": [4, 5, 4]}
        row |= {"Completion": f"Du bist ein dummer Idiot, Nummer {index}"}
        rows.append(row | {"BenignCompletion": f"Danke dir, mein Freund, Nummer {index}"})
    return str(folder_of(tmp_path / "rtplx", DE=rows))


def test_a_scorer_is_measured_and_its_figures_are_used(rtplx, tmp_path):
    output = _run("ngram", "--on", rtplx, "--json", str(tmp_path / "all.json"))
    assert "Validated for continuations (AUC from 0.8 on): de." in output
    assert "It was fitted on four fifths of the ids of RTP-LX" in output
    ngram = load_scorer("ngram")
    stored = json.loads(stored_path(ngram.id).read_text("utf-8"))
    assert stored == json.loads((tmp_path / "all.json").read_text("utf-8"))
    parts = stored["languages"]["de"]
    # about a fifth of 400 is held out, and half of them is toxic
    assert 20 <= parts["prompts"]["n_toxic"] <= 60
    assert parts["completions"]["n_toxic"] == parts["completions"]["n_harmless"]
    assert validation_of(ngram.id).of("de") == parts["completions"]["auc"]["estimate"]
    listed = CliRunner().invoke(scorers.app, ["ngram", "--json"], catch_exceptions=False).stdout
    assert json.loads(listed)["coverage"]["de"] == "validated"
    assert json.loads(listed)["auc"]["de"]["auc_completions"] == validation_of(ngram.id).of("de")


def test_thresholds_are_written_and_can_be_used(rtplx):
    output = _run("ngram", "--on", rtplx, "--thresholds", "matched")
    path = next(line for line in output.splitlines() if line.startswith("Thresholds: "))
    table, ngram = read_threshold(path.removeprefix("Thresholds: ")), load_scorer("ngram")
    limit = threshold_for(table, ngram, "de")
    completions = json.loads(stored_path(ngram.id).read_text("utf-8"))["languages"]["de"]
    assert limit == completions["completions"]["matched_threshold"]


def test_a_labelled_file_is_enough(tmp_path):
    file = tmp_path / "mine.csv"
    rows = [f"Du dummer Idiot {n},1\nVielen Dank {n},0" for n in range(25)]
    file.write_text("text,label\n" + "\n".join(rows) + "\n")
    output = _run("ngram", "--labelled", f"de={file}")
    assert "Labelled file – mine.csv" in output
    assert validation_of(load_scorer("ngram").id).auc["de"]["auc_labelled"] > 0.9


def test_the_columns_of_a_labelled_file_can_be_named(tmp_path):
    file = tmp_path / "mine.csv"
    rows = [f"Du dummer Idiot {n},1\nVielen Dank {n},0" for n in range(25)]
    file.write_text("body,bad\n" + "\n".join(rows) + "\n")
    with pytest.raises(BadData, match="name one with --text-column"):
        _run("ngram", "--labelled", f"de={file}")
    columns = ("--text-column", "body", "--label-column", "bad")
    assert "Labelled file – mine.csv" in _run("ngram", "--labelled", f"de={file}", *columns)


def test_the_figure_is_drawn_the_same_twice(rtplx, tmp_path):
    pytest.importorskip("matplotlib", reason="the figure needs the figures extra")
    for name in ("one.svg", "two.svg"):
        _run("ngram", "--on", rtplx, "--figure", str(tmp_path / name))
    one, two = ((tmp_path / name).read_text("utf-8") for name in ("one.svg", "two.svg"))
    assert one.startswith("<?xml") and one == two


@pytest.mark.parametrize("kind", ["hf", "detoxify"])
def test_random_weights_are_no_better_than_chance(kind, tmp_path, rtplx_of_letters):
    """The proof that the measurement is honest; over a real release see docs/scorers.md."""
    if kind == "detoxify":
        pytest.importorskip("detoxify", reason="the detoxify extra is not installed")
        (tmp_path / "model").mkdir()
        spec = f"detoxify:{save_detoxify(tmp_path / 'model')}"
        options = ["-o", f"huggingface_config_path={tmp_path / 'model'}"]
    else:
        spec, options = f"hf:{save_classifier(tmp_path / 'model', ('neutral', 'toxic'))}", []
    output = _run(spec, *options, "--on", rtplx_of_letters, "--json", str(tmp_path / "all.json"))
    assert "Measured, not valid: en." in output
    parts = json.loads((tmp_path / "all.json").read_text("utf-8"))["languages"]["en"]
    for name in ("prompts", "completions"):
        toxic, harmless = (parts[name][kind] for kind in ("n_toxic", "n_harmless"))
        # of scores without meaning the area has this standard deviation (Mann and Whitney 1947)
        deviation = ((toxic + harmless + 1) / (12 * toxic * harmless)) ** 0.5
        area = parts[name]["auc"]
        assert abs(area["estimate"] - 0.5) < 4 * deviation < 0.1
        assert area["high"] - area["low"] == pytest.approx(2 * 1.96 * deviation, rel=0.2)
    assert parts["prompts"]["raters"]["auc"] > 0.9


@pytest.fixture
def rtplx_of_letters(tmp_path) -> str:
    """Return 600 records of random letters, whose ratings have nothing to do with them."""
    import random

    chance = random.Random(0)

    def text() -> str:
        return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz ", k=40)).strip() or "a"

    rows = []
    for index in range(600):
        row = v1(index, text(), chance.choice([(1, 1, 2), (4, 5, 4)]))
        row["CompletionAnnotationsRaw"] |= {"Toxicity": [4, 5, 4]}
        rows.append(row | {"Completion": text(), "BenignCompletion": text()})
    return str(folder_of(tmp_path / "letters", EN=rows))


@needs_both
def test_the_embedded_scorer_on_the_real_release_agrees_with_its_card(monkeypatch, tmp_path):
    monkeypatch.setenv("RTP_LX_PASSWORD", real_password())
    ngram = load_scorer("ngram")
    card = validation_of(ngram.id)
    file = tmp_path / "all.json"
    _run("ngram", "--on", str(ZIP), "--on", str(EVEN), "--language", "de,ko", "--json", str(file))
    for code, parts in json.loads(file.read_text("utf-8"))["languages"].items():
        area = parts["prompts"]["auc"]["estimate"]
        assert area == pytest.approx(card.auc[code]["auc_prompts"], abs=5e-5)
        # the card cuts by the majority of raters and keeps repeated prompts; this by their mean
        assert parts["completions"]["auc"]["estimate"] == pytest.approx(card.of(code), abs=0.03)
        assert 0.5 < parts["prompts"]["raters"]["alpha"] < 1


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["ngram"], BadData, "No RTP-LX has been prepared"),
        (["ngrams"], UnknownName, "Did you mean 'ngram'"),
        (["ngram", "--thresholds", "bst"], UnknownName, "Did you mean 'best'"),
        (["ngram", "--labelled", "mine.csv"], DetoxBenchError, "not of the form de=FILE"),
        (["ngram", "--labelled", "de=no.csv"], BadData, "no.csv cannot be read"),
        (["ngram", "--on", "no-such-folder"], BadData, "There is no file or folder"),
        (["ngram", "-o", "threshold"], DetoxBenchError, "not of the form name=value"),
        (["ngram", "--figure", "a.pdf"], DetoxBenchError, "a.pdf is no figure"),
    ],
)
def test_what_cannot_work_is_a_sentence(arguments, error, words):
    with pytest.raises(error, match=words):
        _run(*arguments)


def test_a_language_that_the_data_lack_is_a_sentence(rtplx):
    with pytest.raises(DetoxBenchError, match="The data have no fr, only de"):
        _run("ngram", "--on", rtplx, "--language", "fr,de")


def test_help_ends_with_two_examples():
    assert _run("--help").count("detox-bench validate-scorer") >= 2
