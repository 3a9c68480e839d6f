"""The score cache: what goes in comes out, whatever happens to the file."""

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from detox_bench.errors import DetoxBenchError
from detox_bench.scorers.cache import CACHE_VARIABLE, ScoreCache, cache_path
from detox_bench.types import ToxicityScore

A_SCORE = ToxicityScore(0.25, {"insult": 0.5})


def _rows(path: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "scores.sqlite"


def test_a_score_comes_back_with_its_attributes_after_reopening(path):
    with ScoreCache(path) as cache:
        cache.put("s@1#a", None, {"prompt 0 en": A_SCORE})
    with ScoreCache(path) as cache:
        assert cache.get("s@1#a", None, ["prompt 0 en", "prompt 1 en"]) == {"prompt 0 en": A_SCORE}


def test_scorers_and_languages_are_kept_apart(path):
    with ScoreCache(path) as cache:
        cache.put("s@1#a", "de", {"x": A_SCORE})
        assert cache.get("s@1#b", "de", ["x"]) == {}
        assert cache.get("s@1#a", "en", ["x"]) == {}
        assert cache.get("s@1#a", "de", ["x"]) == {"x": A_SCORE}


def test_the_fields_of_a_key_do_not_run_into_each_other(path):
    with ScoreCache(path) as cache:
        cache.put("s", "de", {"x": A_SCORE})
        assert cache.get("s", None, ["dex", "de\0x"]) == {}


def test_an_unscored_text_is_not_kept(path):
    with ScoreCache(path) as cache:
        cache.put("s", None, {"x": ToxicityScore(None, reason="fell over"), "y": A_SCORE})
        assert cache.get("s", None, ["x", "y"]) == {"y": A_SCORE}
        assert len(cache) == 1


def test_more_texts_than_a_query_takes_and_odd_characters(path):
    texts = [f"text {i}" for i in range(1201)] + ["", "\ud800", "a\0b", "مرحبا", "a" * 10_000]
    with ScoreCache(path) as cache:
        cache.put("s", None, {text: ToxicityScore(i / 2000) for i, text in enumerate(texts)})
        found = cache.get("s", None, texts)
    assert [found[text].value for text in texts] == [i / 2000 for i in range(len(texts))]


def test_the_file_holds_no_text_and_no_pickle(path):
    with ScoreCache(path) as cache:
        cache.put("s", None, {"a text to look for": A_SCORE})
    ((key, value, attributes),) = _rows(path, "SELECT * FROM scores_1")
    assert len(key) == 32
    assert (value, json.loads(attributes)) == (0.25, {"insult": 0.5})
    assert b"look for" not in path.read_bytes()


def test_the_file_is_in_wal_mode(path):
    with ScoreCache(path):
        assert _rows(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize("content", [b"this is no database", os.urandom(9000)])
def test_a_file_that_is_no_database_is_moved_aside(path, caplog, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with ScoreCache(path) as cache:
        cache.put("s", None, {"x": A_SCORE})
        assert cache.get("s", None, ["x"]) == {"x": A_SCORE}
    assert path.with_name("scores.sqlite.damaged-1").read_bytes() == content
    assert "is damaged" in caplog.text


def test_a_page_damaged_in_the_middle_is_met_while_reading(path, caplog):
    with ScoreCache(path) as cache:
        cache.put("s", None, {f"text {i}": A_SCORE for i in range(2000)})
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(bytes(content))
    with ScoreCache(path) as cache:
        assert cache.get("s", None, [f"text {i}" for i in range(2000)]) == {}
        cache.put("s", None, {"x": A_SCORE})
        assert cache.get("s", None, ["x"]) == {"x": A_SCORE}
    assert "is damaged" in caplog.text
    assert path.with_name("scores.sqlite.damaged-1").exists()


def test_a_number_of_numpy_comes_back_as_a_number(path):
    with ScoreCache(path) as cache:
        cache.put("s", None, {"x": ToxicityScore(np.float32(0.25)), "y": ToxicityScore(1)})
        found = cache.get("s", None, ["x", "y"])
    assert {text: (type(f.value), f.value) for text, f in found.items()} == {
        "x": (float, 0.25),
        "y": (float, 1.0),
    }


def test_a_mistake_of_the_caller_does_not_move_a_good_file_aside(path):
    with ScoreCache(path) as cache:
        cache.put("s", None, {"x": A_SCORE})
    with pytest.raises(sqlite3.ProgrammingError):  # closed
        cache.put("s", None, {"y": A_SCORE})
    assert [p.name for p in path.parent.iterdir() if "damaged" in p.name] == []
    with ScoreCache(path) as cache:
        assert cache.get("s", None, ["x"]) == {"x": A_SCORE}


def test_a_second_damaged_file_does_not_replace_the_first(path):
    for content in (b"first, no database", b"second, no database"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        ScoreCache(path).close()
        path.unlink()
    names = sorted(p.name for p in path.parent.iterdir() if "damaged" in p.name)
    assert names == ["scores.sqlite.damaged-1", "scores.sqlite.damaged-2"]


def test_one_mends_and_another_keeps_what_was_mended(path):
    first, second = ScoreCache(path), ScoreCache(path)
    error = sqlite3.DatabaseError("database disk image is malformed")

    def broken():
        raise error

    first._mended(broken)
    first.put("s", None, {"x": A_SCORE})
    second._mended(broken)  # its file is the old one; the new one is not moved aside
    assert second.get("s", None, ["x"]) == {"x": A_SCORE}
    assert not path.with_name("scores.sqlite.damaged-2").exists()
    first.close(), second.close()


def test_a_named_file_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DetoxBenchError, match=r"cannot be opened.*DETOX_BENCH_CACHE"):
        ScoreCache(tmp_path / "file" / "scores.sqlite")


def test_the_default_file_that_cannot_be_made_is_a_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "file" / name))
    with ScoreCache() as cache:
        cache.put("s", None, {"x": A_SCORE})
        assert cache.get("s", None, ["x"]) == {"x": A_SCORE}
    assert "No score cache can be kept" in caplog.text


def test_the_variable_names_a_file_or_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_path() == tmp_path / "scores.sqlite"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "mine.db"))
    assert cache_path() == tmp_path / "mine.db"


def test_a_full_disk_is_warned_of_once(path, caplog):
    with ScoreCache(path) as cache:
        cache._connection.execute("PRAGMA max_page_count = 1")  # "database or disk is full"
        big = {f"text {i}": ToxicityScore(0.5, {"x" * 200: 1.0}) for i in range(500)}
        cache.put("s", None, big)
        cache.put("s", None, big)
        assert cache.get("s", None, list(big)) == {}
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "no longer cached" in caplog.text


WRITER = """
import sys
from detox_bench.scorers.cache import ScoreCache
from detox_bench.types import ToxicityScore
path, name, kill = sys.argv[1:]
cache = ScoreCache(path)
print("open", flush=True); sys.stdin.readline()
for i in range(50):
    cache.put("s", None, {f"{name} {i} {j}": ToxicityScore(0.5) for j in range(10)})
    if kill == "kill" and i == 20:
        print("written", flush=True); sys.stdin.readline()
"""


def _writer(path: Path, name: str, kill: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, kill]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_one_file(path):
    writers = [_writer(path, name) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdout.readline() == "open\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdin.close(), writer.stdout.close()
    with ScoreCache(path) as cache:
        assert len(cache) == 2 * 50 * 10


def test_a_killed_process_loses_nothing_it_had_committed(path):
    writer = _writer(path, "a", "kill")
    writer.stdin.write("\n")
    writer.stdin.flush()
    assert [writer.stdout.readline() for _ in range(2)] == ["open\n", "written\n"]
    writer.send_signal(signal.SIGKILL)
    writer.wait(60)
    writer.stdin.close(), writer.stdout.close()
    with ScoreCache(path) as cache:
        assert len(cache) == 21 * 10


ENDLESS = """
import sys
from detox_bench.scorers.cache import ScoreCache
from detox_bench.types import ToxicityScore
cache, first = ScoreCache(sys.argv[1]), int(sys.argv[2])
i = first
while True:
    cache.put("s", None, {f"{i} {j}": ToxicityScore(j / 1000) for j in range(1000)})
    print(i, flush=True)
    i += 1
"""


def test_killed_in_the_middle_of_writing_again_and_again(path):
    committed = []
    for turn in range(4):
        command = [sys.executable, "-c", ENDLESS, str(path), str(1000 * turn)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        committed += [int(writer.stdout.readline()) for _ in range(3 + turn)]
        time.sleep(0.001 * turn)  # at another point of the next commit
        writer.kill()
        committed += [int(line) for line in writer.stdout]
        writer.stdout.close(), writer.wait(60)
        with ScoreCache(path) as cache:
            for i in committed:
                found = cache.get("s", None, [f"{i} {j}" for j in range(1000)])
                assert [found[f"{i} {j}"].value for j in range(1000)] == [
                    j / 1000 for j in range(1000)
                ]
            assert len(cache) % 1000 == 0  # a commit is there as a whole, or not at all
    assert not [p for p in path.parent.iterdir() if "damaged" in p.name]
