import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rtplx_doubles import folder_of, v03, v1

from detox_bench.data import store
from detox_bench.data.rtplx import COLUMNS, read_language, save_rtplx
from detox_bench.data.rtplx_files import open_rtplx
from detox_bench.data.store import (
    Manifest,
    content_sha256,
    damaged,
    data_folder,
    load_columns,
    load_table,
    read_manifest,
)
from detox_bench.errors import BadData


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DETOX_BENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def prepare(source: Path, replace: bool = False) -> Manifest:
    opened = open_rtplx(source)
    return save_rtplx(opened, [read_language(*pair) for pair in opened.files], replace)


@pytest.fixture
def source(tmp_path) -> Path:
    english = [v03(0, "prompt 0 en"), v03(1, "two\r\nlines\u2028", (3, 3, 4)), v03(2, " ")]
    return folder_of(tmp_path / "source", EN=english, DE=[v03("961", "prompt 960 de")])


def test_the_folder_is_the_users_own_unless_one_is_chosen(monkeypatch, data):
    assert data_folder() == data
    monkeypatch.delenv("DETOX_BENCH_DATA")
    assert data_folder().name == "detox-bench"


def test_nothing_stored_is_no_manifest():
    assert read_manifest("rtplx") is None


def test_what_is_stored_comes_back(source):
    written = prepare(source)
    manifest = read_manifest("rtplx")
    assert manifest == written
    assert damaged(manifest) == []
    rows = load_table(manifest, "en")
    assert rows.column_names == list(COLUMNS)
    assert rows["text"][:] == ["prompt 0 en", "two\nlines\u2028"]
    assert rows["parallel_id"][:] == [0, 1]
    assert rows[1]["ratings"]["Toxicity"] == [3.0, 3.0, 4.0]
    assert rows[1]["toxicity"] == pytest.approx(10 / 3)
    assert rows[1]["completion_ratings"] is None
    assert load_columns(manifest, "de", ["id", "parallel_id"]) == [
        {"id": "rtplx/de/960", "parallel_id": 960}
    ]


def test_the_manifest_says_what_was_read_and_no_path(source, data, tmp_path):
    manifest = prepare(source)
    text = (data / "rtplx/manifest.json").read_text()
    assert str(tmp_path) not in text
    assert manifest.source == "source"
    assert manifest.release == "unknown v0.3 schema"
    assert manifest.languages["en"].counts == {"read": 3, "prompts": 2, "parallel": 2}
    assert manifest.languages["en"].kept_out == {"empty prompt": 1}
    assert (manifest.total("read"), manifest.total("prompts")) == (4, 3)
    entry = manifest.languages["en"]
    assert hashlib.sha256((data / "rtplx" / entry.file).read_bytes()).hexdigest() == entry.sha256


def test_the_folder_one_stands_in_has_a_name_too(source, monkeypatch):
    monkeypatch.chdir(source)
    assert prepare(Path()).source == "source"


def test_the_content_hash_is_over_ids_and_texts(source):
    lines = b'["rtplx/en/0", "prompt 0 en"]\n["rtplx/en/1", "two\\nlines\xe2\x80\xa8"]\n'
    expected = hashlib.sha256(lines).hexdigest()
    assert prepare(source).languages["en"].content_sha256 == expected
    assert content_sha256([("ab", "c")]) != content_sha256([("a", "bc")])


def test_a_known_release_is_recognised_by_its_content(source, monkeypatch):
    content = prepare(source).content_sha256
    monkeypatch.setitem(sys.modules["detox_bench.data.rtplx"].RELEASES, content, "v9")
    assert prepare(source).release == "v9"


def test_a_new_import_takes_the_place_of_the_old_one(source, data):
    prepare(source)
    folder_of(source, EN=[v1(0, "prompt 0 en")], DE=[v1("0", "prompt 0 de")])
    manifest = prepare(source)
    assert manifest.release == "unknown v1.x schema"
    files = {path.name for path in (data / "rtplx").iterdir()}
    assert files == {"manifest.json", *(entry.file for entry in manifest.languages.values())}


def test_languages_are_not_dropped_without_being_told_to(source, tmp_path):
    prepare(source)
    less = folder_of(tmp_path / "less", EN=[v03(0, "prompt 0 en")])
    with pytest.raises(BadData, match=r"holds 2 languages .* less has no de: add --replace"):
        prepare(less)
    assert set(read_manifest("rtplx").languages) == {"de", "en"}
    assert set(prepare(less, replace=True).languages) == {"en"}


def test_an_import_that_fails_leaves_the_old_store(source, data, monkeypatch):
    before = prepare(source)
    folder_of(source, EN=[v03(0, "another")])

    def full(_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_file_sha256", full)
    with pytest.raises(BadData, match=r"Cannot write the data store .* \(No space left on device"):
        prepare(source)
    monkeypatch.undo()
    monkeypatch.setenv("DETOX_BENCH_DATA", str(data))
    assert read_manifest("rtplx") == before
    assert damaged(before) == []
    assert not list((data / "rtplx").glob(".import-*"))


def test_an_import_killed_at_its_last_step_leaves_the_old_store(source, data):
    before = prepare(source)
    folder_of(source, EN=[v03(0, "another")])
    script = f"""
import os, pathlib
from detox_bench.data.rtplx import read_language, save_rtplx
from detox_bench.data.rtplx_files import open_rtplx
replace = pathlib.Path.replace
def die_at_the_manifest(path, target):
    if path.name == "manifest.json":
        os._exit(9)
    return replace(path, target)
pathlib.Path.replace = die_at_the_manifest
opened = open_rtplx(pathlib.Path({str(source)!r}))
save_rtplx(opened, [read_language(*pair) for pair in opened.files])
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert read_manifest("rtplx") == before
    assert damaged(before) == []
    assert load_columns(before, "en", ["text"])[0] == {"text": "prompt 0 en"}
    folder = data / "rtplx"
    assert list(folder.glob(".import-*"))
    assert len(list(folder.glob("*.parquet"))) > len(before.languages)
    (folder / "my own.parquet").write_text("not ours")
    after = prepare(source)
    assert after.languages["en"].counts["prompts"] == 1
    in_force = {entry.file for entry in after.languages.values()}
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "my own.parquet",
        *in_force,
    }


def test_a_folder_that_cannot_be_made_is_one_sentence(source, data):
    data.write_text("a file")
    with pytest.raises(BadData, match=r"Cannot write the data store .* set DETOX_BENCH_DATA"):
        prepare(source)


def test_damage_is_noticed_not_read(source, data):
    manifest = prepare(source)
    path = data / "rtplx" / manifest.languages["en"].file
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    (data / "rtplx" / manifest.languages["de"].file).unlink()
    assert damaged(manifest) == ["de", "en"]
    for code in ("de", "en"):
        with pytest.raises(BadData, match="is damaged or gone: run `detox-bench data rtplx SOURCE"):
            load_columns(manifest, code, ["text"])
    assert damaged(prepare(source)) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"languages": {"en": {}}}'])
def test_a_damaged_manifest_is_one_sentence_and_can_be_replaced(source, data, text):
    prepare(source)
    (data / "rtplx/manifest.json").write_text(text)
    with pytest.raises(BadData, match=r"manifest .* is damaged: run `detox-bench data rtplx"):
        read_manifest("rtplx")
    assert prepare(source) == read_manifest("rtplx")


def test_a_store_of_another_format_is_not_read(source, data):
    prepare(source)
    path = data / "rtplx/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(BadData, match="has format 2, this version reads 1: run"):
        read_manifest("rtplx")


def test_reading_needs_neither_torch_nor_datasets_and_starts_no_threads(source):
    """A thread of the parquet reader that outlives the process aborts it, now and then."""
    prepare(source)
    script = """
import sys
from pathlib import Path
from detox_bench.data.prompts import load_prompts
import pyarrow.parquet
threads = len(list(Path("/proc/self").glob("task/*")))
assert len(load_prompts("en").prompts) == 2
assert not {"torch", "datasets", "lm_eval"} & set(sys.modules)
assert len(list(Path("/proc/self").glob("task/*"))) == threads
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (0, "")
