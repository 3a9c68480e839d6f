"""The run folder: nothing that was made is lost, and nothing is mixed."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detox_bench.errors import BadRunFolder
from detox_bench.runs import (
    RunFolder,
    StoredGeneration,
    check_files,
    digest,
    mend_last_line,
    read_generations,
    write_json,
)

IDENTITY = {"engine": "test-1", "seed": 0}


def generation(sample: int, text: str = "x", settings: str = "s") -> StoredGeneration:
    return StoredGeneration(settings, "prompt 0 en", digest("prompt"), "en", sample, text)


def fill(path: Path, count: int, rank: int = 0) -> None:
    with RunFolder(path, IDENTITY, rank) as run:
        run.add(generation(n, f"text {n}") for n in range(count))


def test_what_was_added_is_found_when_the_folder_is_opened_again(tmp_path):
    odd = ["line\nbreak", "\u2028", "\ud800", '"quoted"', "مرحبا", ""]
    with RunFolder(tmp_path / "deep/run", IDENTITY) as run:
        run.add(generation(n, text) for n, text in enumerate(odd))
        run.add([])
        run.add([generation(9, "other", settings="t")])
    with RunFolder(tmp_path / "deep/run", IDENTITY) as run:
        found = run.texts("s")
        assert run.texts("t") == {generation(9, settings="t").key: "other"}
    assert found == {generation(n).key: text for n, text in enumerate(odd)}


def test_a_line_is_on_disk_as_soon_as_it_was_added(tmp_path):
    with RunFolder(tmp_path, IDENTITY) as run:
        run.add([generation(0)])
        assert [each.text for each in read_generations(tmp_path)] == ["x"]


def test_a_half_written_last_line_is_cut_off_and_logged(tmp_path, caplog):
    fill(tmp_path, 3)
    file = tmp_path / "generations-0.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"settings": "s", "prompt_id": "pro')
    assert len(list(read_generations(tmp_path))) == 3
    assert not caplog.records
    with caplog.at_level(logging.WARNING), RunFolder(tmp_path, IDENTITY) as run:
        run.add([generation(3, "text 3")])
    assert "half-written line, which was removed" in caplog.text
    assert file.read_bytes().startswith(whole)
    assert [each.text for each in read_generations(tmp_path)] == [f"text {n}" for n in range(4)]


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"", b""),
        (b"half", b""),
        (b"a\n", b"a\n"),
        (b"a\nhalf", b"a\n"),
        (b"a\n" + b"h" * 200_000, b"a\n"),
        (b"a\n" * 90_000 + b"h", b"a\n" * 90_000),
        (b"h" * 65_536, b""),
    ],
    ids=["empty", "one half", "whole", "a half", "long half", "many", "one block"],
)
def test_mending_keeps_whole_lines_only(tmp_path, content, kept):
    file = tmp_path / "generations-0.jsonl"
    file.write_bytes(content)
    mend_last_line(file)
    assert file.read_bytes() == kept


ENDLESS = """
import sys
from pathlib import Path
from detox_bench.runs import RunFolder, StoredGeneration
with RunFolder(Path(sys.argv[1]), {"engine": "test-1", "seed": 0}) as run:
    for n in range(10**9):
        run.add([StoredGeneration("s", "p", "h", "en", n, "x" * 5000)])
"""


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def writer(tmp_path):
    """Start a process that writes to ``tmp_path`` without end; give it once it has written."""
    child = subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)])
    try:
        wait_for(lambda: any(tmp_path.glob("generations-*")))
        yield child
    finally:
        child.kill()
        child.wait()


def test_a_process_killed_in_the_middle_leaves_whole_lines(tmp_path, writer):
    file = tmp_path / "generations-0.jsonl"
    wait_for(lambda: file.stat().st_size > 200_000)
    os.kill(writer.pid, signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    written = file.read_bytes()
    with RunFolder(tmp_path, IDENTITY) as run:
        found = run.texts("s")
        run.add([generation(0)])
    assert len(found) == written.count(b"\n") > 30
    assert sorted(key.sample for key in found) == list(range(len(found)))
    assert len(list(read_generations(tmp_path))) == len(found) + 1


def test_a_second_process_is_refused_and_a_second_rank_is_not(tmp_path, writer):
    with (
        pytest.raises(BadRunFolder, match=r"^Another process is writing to .*Wait for it"),
        RunFolder(tmp_path, IDENTITY),
    ):
        pass
    fill(tmp_path, 2, rank=1)
    assert (tmp_path / "generations-1.jsonl").read_bytes().count(b"\n") == 2


def test_the_lock_goes_with_the_folder_that_was_left(tmp_path):
    with pytest.raises(KeyError), RunFolder(tmp_path, IDENTITY):
        raise KeyError
    fill(tmp_path, 1)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"engine": "test-1", "seed": 1}, "seed is 0, now 1"),
        ({"engine": "test-1"}, "seed is 0, now None"),
        ({**IDENTITY, "dtype": "bfloat16"}, "dtype is None, now 'bfloat16'"),
    ],
)
def test_another_run_is_refused_by_name_of_the_difference(tmp_path, other, difference):
    fill(tmp_path, 1)
    before = (tmp_path / "generations-0.jsonl").read_bytes()
    with pytest.raises(BadRunFolder) as caught, RunFolder(tmp_path, other):
        pass
    assert str(caught.value) == (
        f"{tmp_path} holds another run: {difference}. Name another folder."
    )
    assert (tmp_path / "generations-0.jsonl").read_bytes() == before
    fill(tmp_path, 1)  # the lock was released


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": 3}', '{"schema": 1}', "null"])
def test_a_record_that_is_none_is_one_sentence(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with (
        pytest.raises(BadRunFolder, match=r"run\.json is not the record of a run\. Name"),
        RunFolder(tmp_path, IDENTITY),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(BadRunFolder, match=r"^Cannot write to .*file/run: Not a directory\. What"),
        RunFolder(tmp_path / "file" / "run", IDENTITY),
    ):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence_and_keeps_what_was_written(tmp_path):
    fill(tmp_path, 2)
    full = tmp_path / "generations-1.jsonl"
    full.symlink_to("/dev/full")
    with (
        RunFolder(tmp_path, IDENTITY, rank=1) as run,
        pytest.raises(BadRunFolder, match=r"No space left on device\. What was written"),
    ):
        run.add([generation(2)])
    full.unlink()
    assert len(list(read_generations(tmp_path))) == 2


def test_a_write_that_takes_only_a_part_goes_on(tmp_path):
    """An operating system may write fewer bytes than it was given."""
    with RunFolder(tmp_path, IDENTITY) as run:
        whole = run._file

        class Short:
            """Writes seven bytes at a time."""

            def write(self, data: memoryview) -> int:
                return whole.write(data[:7])

            close = whole.close

        run._file = Short()
        run.add(generation(n, f"text {n}") for n in range(3))
    assert [each.text for each in read_generations(tmp_path)] == ["text 0", "text 1", "text 2"]


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"settings": "s"}', '{"other": 1}'])
def test_a_line_that_is_no_continuation_is_named(tmp_path, line):
    fill(tmp_path, 2)
    with (tmp_path / "generations-0.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BadRunFolder, match=r"generations-0\.jsonl line 3 is not a continuation"):
        list(read_generations(tmp_path))


def test_no_prompt_text_is_kept(tmp_path):
    fill(tmp_path, 1)
    (stored,) = read_generations(tmp_path)
    assert stored.prompt_hash == digest("prompt") != "prompt"
    assert json.loads((tmp_path / "run.json").read_text())["identity"] == IDENTITY


def test_a_digest_is_of_the_value_and_not_of_its_order():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
    assert len(digest("x")) == 16
    assert digest("\ud800") != digest("\ud801")


def test_json_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "run.json"
    write_json(file, {"a": "ä"})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text("utf-8")) == {"a": "ä"}
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]
    with pytest.raises(BadRunFolder, match=r"^Cannot write .*missing"):
        write_json(file / "missing" / "x.json", {})
    write_json(tmp_path / "new" / "folder" / "x.json", [1])
    assert json.loads((tmp_path / "new" / "folder" / "x.json").read_text()) == [1]


def test_what_cannot_be_written_is_seen_before_and_nothing_is_left(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    check_files(None, tmp_path / "a.json", tmp_path / "new" / "b.json")
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["a.json", "new"]
    with pytest.raises(BadRunFolder, match=r"Cannot write to .*a\.json: .* Name another place"):
        check_files(tmp_path / "a.json" / "b.json")
    with pytest.raises(BadRunFolder, match=r"new is a folder\. Name a file"):
        check_files(tmp_path / "new")
