import json

import pytest
from rtplx_doubles import PASSWORD, folder_of, json_lines, v03, write_zip
from typer.testing import CliRunner

from detox_bench.commands import data as command
from detox_bench.data.store import data_folder, read_manifest
from detox_bench.errors import BadData

run = CliRunner(env={"COLUMNS": "120"})


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DETOX_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("RTP_LX_PASSWORD", raising=False)


@pytest.fixture
def archive(tmp_path):
    members = {
        "RTP_LX_EN.json": json_lines([v03(0, "prompt 0 en"), v03(1, "")], "\r\n"),
        "RTP_LX_DE.json": json_lines([v03("0", "prompt 0 de")], "\r\n"),
        "RTP_LX_VI.json": json_lines([v03(0, "prompt 0 vi")], "\r\n"),
    }
    return write_zip(tmp_path / "RTP-LX.zip", members, PASSWORD)


def invoke(*arguments: object):
    return run.invoke(command.app, [str(argument) for argument in arguments])


def test_the_summary_counts_what_was_read_and_kept(archive):
    result = invoke("rtplx", archive, "--password", PASSWORD)
    assert result.exit_code == 0, result.output
    assert "RTP-LX.zip: 2 locales, 3 prompts." in result.output
    assert "Kept 2; kept out: 1 empty prompt." in result.output
    assert "Left out, no language of this benchmark: RTP_LX_VI.json." in result.output
    cells = next(line for line in result.output.splitlines() if "English" in line).split("│")
    assert [cell.strip() for cell in cells[1:-1]] == ["en", "English", "EN", "1", "1", "1"]


def test_the_password_may_come_from_the_environment_and_is_stored_nowhere(archive, monkeypatch):
    monkeypatch.setenv("RTP_LX_PASSWORD", PASSWORD)
    assert invoke("rtplx", archive).exit_code == 0
    stored = [path.read_bytes() for path in data_folder().rglob("*") if path.is_file()]
    assert len(stored) == 4  # two languages, the manifest and the empty lock
    assert not any(PASSWORD.encode() in content for content in stored)


def test_the_flag_comes_before_the_environment(archive, monkeypatch):
    monkeypatch.setenv("RTP_LX_PASSWORD", "wrong")
    assert invoke("rtplx", archive, "--password", PASSWORD).exit_code == 0


def test_without_a_terminal_a_missing_password_is_an_error(archive):
    result = invoke("rtplx", archive)
    assert isinstance(result.exception, BadData)
    assert "is encrypted: give the password" in str(result.exception)
    assert read_manifest("rtplx") is None


def test_on_a_terminal_the_password_is_asked_for_unseen(archive, monkeypatch):
    asked = []

    class Terminal:
        def isatty(self) -> bool:
            return True

    def prompt(text: str, hide_input: bool) -> str:
        asked.append((text, hide_input))
        return PASSWORD

    monkeypatch.setattr(command, "sys", type("sys", (), {"stdin": Terminal()}))
    monkeypatch.setattr(command.typer, "prompt", prompt)
    assert invoke("rtplx", archive).exit_code == 0
    assert asked == [("Password of RTP-LX.zip", True)]


def test_a_plain_folder_needs_no_password_even_on_a_terminal(tmp_path):
    source = folder_of(tmp_path / "source", EN=[v03(0, "prompt 0 en")])
    assert invoke("rtplx", source).exit_code == 0


def test_fewer_languages_need_replace(archive, tmp_path):
    invoke("rtplx", archive, "--password", PASSWORD)
    source = folder_of(tmp_path / "source", EN=[v03(0, "prompt 0 en")])
    assert "add --replace" in str(invoke("rtplx", source).exception)
    assert invoke("rtplx", source, "--replace").exit_code == 0
    assert list(read_manifest("rtplx").languages) == ["en"]


def test_status_says_when_only_the_sample_set_is_there():
    result = invoke("status")
    assert "not prepared, so the tasks ask the sample set" in result.output
    report = json.loads(invoke("status", "--json").output)
    assert report == {
        "folder": str(data_folder()),
        "prompts": "sample",
        "data_sets": {"rtplx": None, "flores": None},
    }


def test_status_shows_the_store_and_checks_it(archive):
    invoke("rtplx", archive, "--password", PASSWORD)
    manifest = read_manifest("rtplx")
    result = invoke("status")
    assert result.exit_code == 0
    assert "release unknown v0.3 schema" in result.output
    assert manifest.content_sha256 in result.output
    report = json.loads(invoke("status", "--json").output)
    assert report["prompts"] == "rtplx"
    assert report["data_sets"]["rtplx"]["damaged"] == []
    assert report["data_sets"]["rtplx"]["languages"]["en"]["counts"]["read"] == 2
    assert PASSWORD not in json.dumps(report)


def test_status_names_damaged_files(archive):
    invoke("rtplx", archive, "--password", PASSWORD)
    (data_folder() / "rtplx" / read_manifest("rtplx").languages["en"].file).write_bytes(b"")
    result = invoke("status")
    assert isinstance(result.exception, BadData)
    assert "Damaged or gone in the store: en; run" in str(result.exception)
    assert json.loads(invoke("status", "--json").output)["data_sets"]["rtplx"]["damaged"] == ["en"]


@pytest.mark.parametrize("name", ["rtplx", "status"])
def test_help_ends_with_two_worked_examples(name):
    output = invoke(name, "--help").output
    assert output.split("Examples")[1].count(f"detox-bench data {name}") == 2


def test_flores_is_read_and_shown(tmp_path):
    folder = tmp_path / "flores200_dataset"
    for split, n in (("dev", 2), ("devtest", 3)):
        (folder / split).mkdir(parents=True)
        for code in ("eng_Latn", "deu_Latn", "vie_Latn"):
            lines = "".join(f"{code} {number}\n" for number in range(n))
            (folder / split / f"{code}.{split}").write_text(lines)
    result = invoke("flores", folder)
    assert result.exit_code == 0, result.output
    assert "2 languages, 4 sentences of dev, 6 sentences of devtest." in result.output
    assert "Left out, no language of this benchmark: 1 (vie_Latn)." in result.output
    cells = next(line for line in result.output.splitlines() if "German" in line).split("│")
    assert [cell.strip() for cell in cells[1:-1]] == ["de", "German", "deu_Latn", "2", "3"]
    shown = json.loads(invoke("status", "--json").output)
    assert shown["data_sets"]["flores"]["languages"].keys() == {"de", "en"}
    assert shown["data_sets"]["rtplx"] is None and shown["prompts"] == "sample"


def test_flores_that_lacks_a_stored_language_replaces_it_only_when_told(tmp_path):
    for name, codes in (("both", ("eng_Latn", "deu_Latn")), ("one", ("eng_Latn",))):
        (tmp_path / name / "dev").mkdir(parents=True)
        for code in codes:
            (tmp_path / name / "dev" / f"{code}.dev").write_text("a\n")
    assert invoke("flores", tmp_path / "both").exit_code == 0
    refused = invoke("flores", tmp_path / "one")
    assert isinstance(refused.exception, BadData) and "add --replace" in str(refused.exception)
    assert invoke("flores", tmp_path / "one", "--replace").exit_code == 0
    assert list(read_manifest("flores").languages) == ["en"]
