"""Files of parallel data sets: line i stays line i, and what breaks that is an error."""

import gzip
import io
import json
import os
import re
import tarfile
import zipfile

import pytest

from detox_bench.data import archives
from detox_bench.data.archives import SourceFile
from detox_bench.data.parallel_files import Column, check_equal_lengths, open_files, texts_of
from detox_bench.errors import BadData

PATTERN = re.compile(r"(?:.*/)?[a-z]+\.txt")
COLUMN = Column(("text", "sentence"))


def file(name: str, content: bytes) -> SourceFile:
    return SourceFile(name, len(content), lambda: content)


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("between", ["\n", "\r\n"])
def test_lines_are_texts_whatever_their_ends(between, end):
    content = f"one{between}two words{between} three {end}".encode()
    assert texts_of(file("a.txt", content), COLUMN) == ["one", "two words", " three "]


def test_other_separators_stay_inside_a_text_and_a_mark_at_the_beginning_goes():
    content = "\ufeffone\u2028still one\x85\ntwo\x0b\n".encode()
    assert texts_of(file("a.txt", content), COLUMN) == ["one\u2028still one\x85", "two\x0b"]


@pytest.mark.parametrize(("content", "line"), [(b"a\n\nb\n", 2), (b"a\n \t\n", 2), (b"a\n\n", 2)])
def test_a_blank_line_is_an_error_with_its_number(content, line):
    with pytest.raises(BadData, match=rf"a\.txt, line {line}: blank, so that the lines behind"):
        texts_of(file("a.txt", content), COLUMN)


def test_an_empty_file_and_one_that_is_not_utf_8_are_errors():
    with pytest.raises(BadData, match=r"a\.txt has no lines"):
        texts_of(file("a.txt", b""), COLUMN)
    with pytest.raises(BadData, match=r"a\.txt is not UTF-8"):
        texts_of(file("a.txt", b"\xff\xfe"), COLUMN)


def test_tables_give_the_column_that_they_have():
    rows = [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}]
    lines = "\n".join(map(json.dumps, rows)).encode()
    assert texts_of(file("a.jsonl", lines), COLUMN) == ["one", "two"]
    named = b'{"sentence": "one"}\n'
    assert texts_of(file("a.jsonl", named), COLUMN) == ["one"]
    with pytest.raises(
        BadData, match=r"line 1: no text under 'text' or 'sentence'; its columns: id"
    ):
        texts_of(file("a.jsonl", b'{"id": 1}'), COLUMN)
    with pytest.raises(BadData, match=r"a\.jsonl, line 2: not JSON"):
        texts_of(file("a.jsonl", b'{"text": "a"}\n{'), COLUMN)
    with pytest.raises(BadData, match=r"a\.jsonl, line 1: a list, not an object"):
        texts_of(file("a.jsonl", b"[]"), COLUMN)


def test_parquet_is_read_and_a_damaged_one_is_an_error(tmp_path):
    import pyarrow
    import pyarrow.parquet

    made = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["one", "two"], "id": [1, 2]}), made)
    assert texts_of(file("a.parquet", made.read_bytes()), COLUMN) == ["one", "two"]
    with pytest.raises(BadData, match=r"a\.parquet is no parquet file"):
        texts_of(file("a.parquet", made.read_bytes()[:40]), COLUMN)


FILES = {"deep/er/b.txt": b"b\n", "a.txt": b"a\n", "c.md": b"no\n"}


@pytest.mark.parametrize("kind", ["folder", ".tar", ".tar.gz", ".tar.xz", ".zip"])
def test_a_folder_and_archives_hold_the_same_files(tmp_path, kind):
    source = tmp_path / f"made{'' if kind == 'folder' else kind}"
    if kind == "folder":
        for name, content in FILES.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
    elif kind == ".zip":
        with zipfile.ZipFile(source, "w") as archive:
            for name, content in FILES.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(source, f"w:{kind.removeprefix('.tar').removeprefix('.')}") as archive:
            for name, content in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    opened = open_files(source, re.compile(r"(?:.*/)?[a-z]+\.txt"))
    assert opened.name == source.name and len(opened.sha256) == 64
    assert {each.name.rpartition("/")[2]: each.read() for each in opened.files} == {
        "a.txt": b"a\n",
        "b.txt": b"b\n",
    }


def test_what_is_not_there_or_cut_short_is_an_error(tmp_path):
    with pytest.raises(BadData, match="There is no file or folder"):
        open_files(tmp_path / "none.tar.gz", PATTERN)
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"\x1f\x8b\x08 and no more")
    with pytest.raises(BadData, match=r"broken\.tar\.gz is no tar archive or is cut short"):
        open_files(broken, PATTERN)


def write_tar(path, contents, links=()):
    with tarfile.open(path, f"w:{path.suffix.removeprefix('.tar').removeprefix('.')}") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


@pytest.mark.parametrize("target", ["/nowhere/c.txt", "c.txt"])
def test_links_in_a_tar_are_left_out(tmp_path, target):
    source = write_tar(tmp_path / "a.tar", {"a.txt": b"a\n"}, [("c.txt", target)])
    assert [each.name for each in open_files(source, PATTERN).files] == ["a.txt"]


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
@pytest.mark.parametrize("place", [0.5, 0.9])
def test_a_damaged_archive_is_an_error_wherever_it_is_damaged(tmp_path, kind, place):
    contents = {f"{name}.txt": os.urandom(10_000).hex().encode() for name in "ab"}
    source = write_tar(tmp_path / f"a.tar.{kind}", contents)
    content = bytearray(source.read_bytes())
    for byte in range(int(len(content) * place), int(len(content) * place) + 40):
        content[byte] ^= 0x55
    source.write_bytes(bytes(content))
    with pytest.raises(BadData, match="is no tar archive or is cut short"):
        open_files(source, PATTERN)


def test_the_checksum_at_the_end_of_a_gzip_is_read(tmp_path):
    source = write_tar(tmp_path / "a.tar.gz", {"a.txt": b"a\n"})
    content = bytearray(source.read_bytes())
    content[-6] ^= 1
    source.write_bytes(bytes(content))
    with pytest.raises(BadData, match="CRC check failed"):
        open_files(source, PATTERN)


def test_members_of_a_zip_packed_with_lzma_may_be_damaged(tmp_path):
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", os.urandom(5000).hex())
    content = bytearray(source.read_bytes())
    content[1000:1040] = bytes(40)
    source.write_bytes(bytes(content))
    (only,) = open_files(source, PATTERN).files
    with pytest.raises(BadData, match=r"a\.txt in a\.zip cannot be read, the file is damaged"):
        only.read()


@pytest.mark.parametrize("kind", ["tar", "zip", "gz"])
def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "MOST_BYTES", 2**20)
    for size in (2**20, 2**20 + 1):
        source, content = tmp_path / f"a.{kind}", bytes(size)
        if kind == "tar":
            write_tar(source, {"a.txt": content})
        elif kind == "gz":
            source.write_bytes(gzip.compress(content))
        else:
            with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a.txt", content)
        pattern = re.compile(r"a\.(gz|txt)")
        if size == 2**20:
            assert open_files(source, pattern).files[0].read() == content
        else:
            with pytest.raises(BadData, match="unpacks to more than 1 MB, which no file"):
                open_files(source, pattern).files[0].read()


def test_the_hash_of_a_folder_is_not_of_its_own_name(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a")
    one, two = (open_files(tmp_path / name, PATTERN) for name in ("one", "two"))
    assert one.sha256 == two.sha256 and one.files[0].name == "one/a.txt"


def test_files_of_different_length_name_the_odd_one():
    check_equal_lengths([])
    check_equal_lengths([("a", 5), ("b", 5)])
    with pytest.raises(BadData, match=r"^b has 1,011 lines and a 1,012, so that they are not"):
        check_equal_lengths([("a", 1012), ("b", 1011), ("c", 1012)])
