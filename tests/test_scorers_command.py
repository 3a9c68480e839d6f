"""``detox-bench scorers``: every row of the table, its languages, and what is known of them."""

import json

import pytest
from doubles import save_classifier
from typer.testing import CliRunner

from detox_bench.commands import scorers
from detox_bench.errors import ScorerUnavailable, UnknownName
from detox_bench.languages import LANGUAGES
from detox_bench.scorers.protocol import COVERAGE_STATES
from detox_bench.scorers.table import SCORERS
from detox_bench.scorers.validation import Validation


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
    assert "✓ fr" in output and "~ de" in output
    assert "– de" in _run("detoxify:original")


def test_the_embedded_scorer_shows_its_figures(monkeypatch):
    known = Validation("made up", {"de": {"auc": 0.75}})
    monkeypatch.setattr(scorers, "validation_of", lambda scorer_id: known)
    assert "✓ de 0.750" in _run("ngram")
    assert json.loads(_run("ngram", "--json"))["auc"] == {"de": {"auc": 0.75}}


def test_every_language_has_a_state():
    rows = {row["name"]: row["coverage"] for row in json.loads(_run("--json"))}
    assert all(list(states) == list(LANGUAGES) for states in rows.values())
    assert {state for states in rows.values() for state in states.values()} <= set(COVERAGE_STATES)
    assert rows["ngram"]["de"] == "validated" and rows["ngram"]["ru"] == "declared"
    assert rows["detoxify:multilingual"]["de"] == "transfer"
    assert rows["detoxify:original"]["de"] == "unsupported"
    assert rows["hf:<repository or folder>"]["de"] == "undeclared"
    assert "★ de 0." in _run("ngram")


def test_a_scorer_that_is_not_loaded_is_known_by_the_one_id_it_was_validated_under(monkeypatch):
    known = Validation("made up", {"de": {"auc_completions": 0.875}})
    ids = ["detoxify:original@v0.1#0f"]
    monkeypatch.setattr(scorers, "stored_ids", lambda spec: ids)
    monkeypatch.setattr(scorers, "validation_of", lambda id_: known if id_ in ids else None)
    facts = json.loads(_run("detoxify:original", "--json"))
    assert (facts["id"], facts["coverage"]["de"]) == (ids[0], "validated")
    ids.append("detoxify:original@v0.2#0f")
    facts = json.loads(_run("detoxify:original", "--json"))
    assert (facts["id"], facts["coverage"]["de"]) == (None, "unsupported")


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
