"""``detox-bench scorers``: every row of the table, its languages, and what is known of them."""

import json

import pytest
from doubles import save_classifier
from typer.testing import CliRunner

from detox_bench.commands import scorers
from detox_bench.errors import ScorerUnavailable, UnknownName
from detox_bench.languages import LANGUAGES
from detox_bench.scorers.table import SCORERS


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(scorers.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_table_has_every_scorer_and_the_id_of_the_embedded_one():
    output = _run()
    assert all(name in output for name in SCORERS)
    assert "ngram@" in output


def test_the_json_has_every_scorer():
    rows = json.loads(_run("--json"))
    assert [row["name"] for row in rows] == list(SCORERS)
    by_name = {row["name"]: row for row in rows}
    assert by_name["ngram"]["languages"] == sorted(LANGUAGES)
    assert by_name["detoxify:multilingual"]["languages"] == [
        "en",
        "es",
        "fr",
        "it",
        "pt",
        "ru",
        "tr",
    ]
    assert by_name["detoxify:multilingual"]["id"] is None


def test_one_scorer_shows_its_languages():
    output = _run("detoxify:multilingual")
    assert "✓ fr" in output and "– de" in output


def test_the_embedded_scorer_shows_its_figures(monkeypatch):
    monkeypatch.setattr(scorers, "_validated", lambda: {"de": {"auc": 0.75}})
    assert "✓ de 0.750" in _run("ngram")
    assert json.loads(_run("ngram", "--json"))["auc"] == {"de": {"auc": 0.75}}


def test_a_folder_of_ones_own_is_loaded(tmp_path):
    save_classifier(tmp_path / "mine", ("neutral", "toxic"))
    facts = json.loads(_run(f"hf:{tmp_path / 'mine'}", "--json"))
    assert facts["id"].startswith("hf:mine@local#")
    assert facts["settings"]["toxic_label"] == "toxic"
    assert "? de" in _run(f"hf:{tmp_path / 'mine'}")


@pytest.mark.parametrize("name", ["hf:foo/bar", "hf:foo", "detoxify:{folder}/tiny.ckpt"])
def test_what_may_need_the_network_is_shown_without_it(name, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(scorers, "load_scorer", refuse)
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    (tmp_path / "tiny.ckpt").write_bytes(b"a checkpoint")
    name = name.format(folder=tmp_path)
    assert json.loads(_run(name, "--json"))["id"] is None
    assert "? de" in _run(name)


def test_a_folder_that_is_not_there_is_a_sentence():
    with pytest.raises(ScorerUnavailable, match="there is no folder no-such-folder"):
        _run("hf:./no-such-folder")


def test_an_unknown_scorer_is_a_sentence():
    with pytest.raises(UnknownName, match="Did you mean 'ngram'"):
        _run("ngrams")


def test_help_ends_with_two_examples():
    assert _run("--help").count("detox-bench scorers") >= 2
